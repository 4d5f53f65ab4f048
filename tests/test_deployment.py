"""docker-compose.yml, Dockerfile and .env.example: read, and tried as far as that goes without a container engine."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml  # type: ignore[import-untyped]

from joulegate_cli.commands import command_line
from joulegate_cli.local.postgres import LocalPostgres, embedded_bin_dir
from joulegate_core.settings import Settings, load_settings
from joulegate_gateway.service import DRAIN_SECONDS

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"] == "joulegate:local"]
ONE_SHOT = {"migrate", "logins", "grafana-role"}

UNITS = {"m": 2**20, "g": 2**30}
VARIABLE = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")


def interpolate(text: str, given: dict[str, str]) -> str:
    """What compose makes of `${NAME:-default}` and `${NAME:?message}`."""
    return VARIABLE.sub(lambda found: given.get(found[1]) or (found[3] if found[2] == "-" else "X" * 48), text)


def settings_of(service: dict[str, Any]) -> dict[str, str]:
    return {name: interpolate(str(value), {}) for name, value in service.get("environment", {}).items()}


def seconds(text: str) -> int:
    return int(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


@pytest.fixture
def environment_file(tmp_path: Path) -> Path:
    """The .env that the command of docs/deployment.md makes from .env.example."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/deployment.md").read_text(), re.DOTALL)
    recipe = next(block for block in blocks if "openssl rand" in block and ".env.example" in block)
    shutil.copy(ROOT / ".env.example", tmp_path)
    subprocess.run(["sh", "-euc", recipe], cwd=tmp_path, check=True)
    return tmp_path / ".env"


def compose_command() -> list[str]:
    for command in (["docker", "compose"], ["docker-compose"]):
        if (
            shutil.which(command[0])
            and not subprocess.run([*command, "version"], capture_output=True, check=False).returncode
        ):
            return command
    pytest.skip("neither `docker compose` nor `docker-compose` works on this machine")


def config(environment: Path) -> subprocess.CompletedProcess[str]:
    command = [
        *compose_command(),
        "--env-file",
        str(environment),
        "--profile",
        "simulator",
        "--profile",
        "observability",
        "config",
    ]
    clean = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)


def test_the_recipe_makes_an_environment_that_compose_accepts(environment_file: Path) -> None:
    done = config(environment_file)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["services"].keys() == SERVICES.keys()


def test_compose_refuses_to_go_on_without_a_secret(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("")
    refused = config(tmp_path / ".env")
    assert refused.returncode != 0
    assert ".env.example" in refused.stderr, "the message says what to do"


def test_the_recipe_makes_every_secret_a_different_one_and_keeps_it_private(environment_file: Path) -> None:
    values = dict(line.split("=", 1) for line in environment_file.read_text().splitlines() if re.match(r"\w+=", line))
    needed = {found[1] for found in VARIABLE.finditer((ROOT / "docker-compose.yml").read_text()) if found[2] == "?"}
    assert needed
    assert all(re.fullmatch("[0-9a-f]{48}", values[name]) for name in needed)
    assert len({values[name] for name in needed}) == len(needed)
    assert environment_file.stat().st_mode & 0o077 == 0


def test_every_variable_is_explained() -> None:
    explained = set(re.findall(r"^#? ?(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    used = {found[1] for found in VARIABLE.finditer((ROOT / "docker-compose.yml").read_text())}
    assert used <= explained


def test_no_secret_is_written_down() -> None:
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|TOKEN", key):
                assert VARIABLE.fullmatch(value), f"{name}: {key}"
            for password in re.findall(r"://[^:/]+:(.*)@", str(value)):
                assert VARIABLE.fullmatch(password), f"{name}: {key}"


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_bounded_and_watched(name: str) -> None:
    service = SERVICES[name]
    assert int(service["mem_limit"][:-1]) * UNITS[service["mem_limit"][-1]] >= 2**28
    assert 0 < service["cpus"] <= 2, "more than the machine has, and the container does not start"
    assert service["pids_limit"] > 0
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service["image"].endswith(":latest")
    assert ":" in service["image"]
    if name in ONE_SHOT:
        assert service["restart"] == "no"
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
        assert seconds(service["healthcheck"]["timeout"]) <= seconds(service["healthcheck"]["interval"])


def test_only_mqtt_is_reachable_from_other_machines() -> None:
    published = {name: port for name, service in SERVICES.items() for port in service.get("ports", [])}
    assert published.keys() == {"mosquitto", "gateway", "http", "prometheus", "grafana"}
    assert published.pop("mosquitto") == "${MQTT_BIND:-0.0.0.0}:1883:1883"
    assert all(port.startswith("127.0.0.1:") for port in published.values())


def test_services_start_after_what_they_need() -> None:
    order = {
        name: {on: how["condition"] for on, how in service.get("depends_on", {}).items()}
        for name, service in SERVICES.items()
    }
    migrated = {"migrate": "service_completed_successfully"}
    assert order["migrate"] == {"postgres": "service_healthy"}
    assert order["logins"] == migrated
    has_login = {"logins": "service_completed_successfully"}
    assert order["http"] == has_login
    assert order["gateway"] == has_login | {"mosquitto": "service_healthy"}
    assert order["simulator"] == {"gateway": "service_healthy"}
    assert order["grafana-role"] == migrated
    assert order["grafana"] == {"grafana-role": "service_completed_successfully"}
    for name, needed in order.items():
        for other in needed:
            assert set(SERVICES[name]["networks"]) & set(SERVICES[other]["networks"]), f"{name} must reach {other}"


def test_data_outlives_the_containers() -> None:
    mounts = [mount.split(":") for service in SERVICES.values() for mount in service.get("volumes", [])]
    named = {source: target for source, target, *_ in mounts if not source.startswith(".")}
    assert named == {
        "broker-data": "/mosquitto/data",
        "postgres-data": "/var/lib/postgresql",
        "prometheus-data": "/prometheus",
        "grafana-data": "/var/lib/grafana",
    }
    assert named.keys() == COMPOSE["volumes"].keys()


@pytest.mark.parametrize("name", OURS)
def test_the_settings_are_accepted(name: str) -> None:
    settings = load_settings(settings_of(SERVICES[name]))
    assert len(settings.client_id) >= (len("joulegate") if name != "gateway" else 32), (
        "its session is not to be guessed"
    )
    for port in SERVICES[name].get("ports", []):
        assert (settings.metrics_host if name == "gateway" else settings.http_host) == "0.0.0.0"
        assert port.split(":")[-1] == str(settings.metrics_port if name == "gateway" else settings.http_port)


@pytest.mark.parametrize("name", OURS)
def test_the_commands_and_their_options_exist(name: str) -> None:
    root = typer.main.get_command(command_line())
    command, *words = SERVICES[name]["command"]
    context = typer.Context(root)
    found = root.get_command(context, command)  # type: ignore[attr-defined]
    assert found is not None
    options = {option for parameter in found.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_the_gateway_has_the_time_to_drain() -> None:
    assert seconds(SERVICES["gateway"]["stop_grace_period"]) > 2 * DRAIN_SECONDS


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(self.server.status if self.path == "/readyz" else 404)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: the test's output stays readable."""


@pytest.fixture
def web() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), _Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("name", "port"), [("gateway", Settings().metrics_port), ("http", Settings().http_port)])
@pytest.mark.parametrize("status", [200, 503])
def test_a_service_is_healthy_while_it_is_ready(web: HTTPServer, name: str, port: int, status: int) -> None:
    kind, python, *arguments = SERVICES[name]["healthcheck"]["test"]
    assert (kind, python) == ("CMD", "python")
    web.status = status  # type: ignore[attr-defined]
    script = [word.replace(f":{port}/", f":{web.server_port}/") for word in arguments]
    assert script != arguments
    healthy = subprocess.run([sys.executable, *script], capture_output=True, check=False).returncode == 0
    assert healthy == (status == 200)


def test_the_simulator_is_healthy_while_it_is_connected() -> None:
    kind, command = SERVICES["simulator"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    assert f":{1883:04X} 01 " in command
    with socket.create_server(("127.0.0.1", 0)) as broker:
        port = broker.getsockname()[1]
        check = ["sh", "-c", command.replace(f"{1883:04X}", f"{port:04X}")]
        assert subprocess.run(check, check=False).returncode == 1
        with socket.create_connection(("127.0.0.1", port)):
            assert subprocess.run(check, check=False).returncode == 0


def test_postgresql_takes_the_settings(tmp_path: Path) -> None:
    _, *words = SERVICES["postgres"]["command"]
    options = dict(word.removeprefix("-c").split("=", 1) for word in words)
    assert options["synchronous_commit"] == options["fsync"] == "on"
    assert options.pop("wal_compression") == "lz4", "the image has lz4, the embedded server only pglz"
    server = LocalPostgres(tmp_path, options=options)
    try:
        server.start()
        show = [str(embedded_bin_dir() / "psql"), server.url(), "-Atc"]
        for name, value in options.items():
            done = subprocess.run([*show, f"show {name}"], capture_output=True, text=True, check=True)
            assert done.stdout.strip() == value, name
    finally:
        server.stop("immediate")


def test_the_image_is_built_from_the_lock_and_is_not_root() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    final = dockerfile[dockerfile.rindex("\nFROM ") :]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", final, re.MULTILINE)
    assert 'ENTRYPOINT ["joulegate"]' in final
    installs = re.findall(r"pip install (.*?)(?:;? \\)?$", dockerfile, re.MULTILINE)
    assert len(installs) == 4
    assert all("--no-deps" in line and ("--require-hashes" in line or "dist/" in line) for line in installs)
    assert "/^pyarrow==/" in dockerfile
    wanted = re.search(r"\^\(([^)]+)\)==", dockerfile)
    assert wanted is not None
    locked = (ROOT / "requirements/dev.txt").read_text()
    assert all(re.search(f"^{name}==", locked, re.MULTILINE) for name in (*wanted[1].split("|"), "pyarrow"))


def test_what_the_builder_gets_is_enough_for_the_wheel(tmp_path: Path) -> None:
    ignore = (ROOT / ".dockerignore").read_text().split("\n")
    assert "*" in ignore, "everything is left out but what is named: no .env, no data, no history"
    context = tmp_path / "context"
    context.mkdir()
    for name in (line[1:] for line in ignore if line.startswith("!")):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, context / name, ignore=shutil.ignore_patterns("dashboard"))
        else:
            shutil.copy(ROOT / name, context / name)
    build = [sys.executable, "-P", "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=context, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = {name.split("/")[0] for name in wheel.namelist()}
        assert any(name.endswith(".sql") for name in wheel.namelist())
        shipped = {f"joulegate_http/static/{name}" for name in ("index.html", "docs.html", "LICENSES.txt")}
        assert shipped <= set(wheel.namelist())
        assert any(re.fullmatch(r"joulegate_http/static/assets/app-[0-9a-f]+\.js", name) for name in wheel.namelist())
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {Path(package).name for package in packages} <= packed
