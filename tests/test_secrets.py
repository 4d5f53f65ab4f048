"""No password and no token in what any command prints, logs or shows in the list of processes, least of all when it fails."""

import asyncio
import signal
from pathlib import Path

import psutil
import pytest

from command_support import joulegate
from gateway_harness import Gateway, eventually, http_get
from joulegate_cli.local.broker import LocalBroker
from joulegate_cli.local.ports import free_port
from process_harness import Process, launching
from up_harness import Up

SECRET = "s3cr3t8216f7cc8b9439db"
PARTS = (SECRET, SECRET[:10])

DATABASES = {
    "nobody listens": f"postgresql://joulegate:{SECRET}@127.0.0.1:1/x",
    "a slash in the password": f"postgresql://joulegate:{SECRET}/{SECRET}@127.0.0.1:1/x",
    "a hash in the password": f"postgresql://joulegate:{SECRET}#{SECRET}@127.0.0.1:1/x",
    "a question mark": f"postgresql://joulegate:{SECRET}?{SECRET}@127.0.0.1:1/x",
    "brackets": f"postgresql://joulegate:[{SECRET}@127.0.0.1:1/x",
    "another scheme": f"mysql://joulegate:{SECRET}@127.0.0.1/x",
    "a bad sslmode": f"postgresql://joulegate:{SECRET}@127.0.0.1:1/x?sslmode={SECRET}",
    "a parameter": f"postgresql://joulegate@127.0.0.1:1/x?password={SECRET}",
}
BROKERS = (
    f"mqtt://u:{SECRET}@127.0.0.1:1",
    f"mqtt://u:{SECRET}/x@127.0.0.1:1",
    f"mqtt://u:x@127.0.0.1:{SECRET}",
    f"mqtts://u:{SECRET}@127.0.0.1:1",
    f"amqp://u:{SECRET}@127.0.0.1:1",
)
COMMANDS = (
    ["migrate"],
    ["migrate", "--check"],
    ["doctor", "--gateway", "none"],
    ["links", "list"],
    ["devices", "list"],
)


def clean(text: str) -> bool:
    return not any(part in text for part in PARTS)


@pytest.mark.parametrize("problem", DATABASES)
def test_commands_that_cannot_use_the_database(problem: str) -> None:
    command = COMMANDS[list(DATABASES).index(problem) % len(COMMANDS)]
    for arguments in (command, ["quarantine", "list"]):
        failed = joulegate(DATABASES[problem], *arguments, JOULEGATE_MQTT_URL=BROKERS[0])
        assert failed.returncode, failed
        assert clean(failed.stdout + failed.stderr), failed
        assert "Traceback" not in failed.stderr, failed


@pytest.mark.parametrize("url", BROKERS)
def test_commands_that_cannot_use_the_broker(url: str) -> None:
    for arguments in (["simulate", "--devices", "1", "--backfill", "2m"], ["gateway", "--leave"]):
        bad_url = arguments[0] == "simulate" or not url.endswith(":1")
        if bad_url:
            failed = joulegate(
                DATABASES["nobody listens"], *arguments, JOULEGATE_MQTT_URL=url, JOULEGATE_METRICS_PORT="0"
            )
            assert failed.returncode, failed
            assert clean(failed.stdout + failed.stderr), failed
            assert "Traceback" not in failed.stderr, failed


async def test_services_that_fail_and_try_again(tmp_path: Path, broker: LocalBroker) -> None:
    """Through the log, the list of processes and /metrics."""
    gateway = Gateway(broker, DATABASES["nobody listens"])
    http_port = free_port()
    tokens = f"{SECRET}-of-an-operator,dashboard:read:{SECRET}-of-a-reader"
    settings = {"http_port": http_port, "api_tokens": tokens, "mqtt_url": BROKERS[0], "client_id": SECRET}
    for command in ("gateway", "http"):
        directory = tmp_path / command
        directory.mkdir()
        async with launching(gateway, directory) as launch:
            process = await launch(command, **settings)

            async def has_logged(process: Process = process) -> bool:
                return len(process.errors()) >= 1

            await eventually(has_logged)
            await asyncio.sleep(0.5)  # a few more tries
            shown = [" ".join(one.cmdline()) for one in psutil.Process().children(recursive=True)]
            port = http_port if command == "http" else gateway.metrics_port
            _, metrics = await http_get(port, "/metrics")
            _, health = await http_get(port, "/readyz")
            process.send(signal.SIGTERM)
            _, output = await process.end()
            errors = "\n".join(process.errors())
            assert "database" in errors + health
            assert clean("\n".join([output, errors, metrics, health, *shown])), errors


async def test_the_broker_refuses_the_gateway(tmp_path: Path, broker: LocalBroker, database_url: str) -> None:
    gateway = Gateway(broker, database_url)
    async with launching(gateway, tmp_path) as launch:
        process = await launch(mqtt_url=BROKERS[0], client_id=SECRET)

        async def is_refused() -> bool:
            return any("broker_unavailable" in line for line in process.errors())

        await eventually(is_refused)
        assert clean("\n".join(process.errors()))


def test_up_shows_no_token(tmp_path: Path) -> None:
    tokens = f"operator:operate:{SECRET}-of-an-operator"
    up = Up(
        tmp_path,
        JOULEGATE_API_TOKENS=tokens,
        JOULEGATE_DATABASE_URL=DATABASES["nobody listens"],
        JOULEGATE_MQTT_URL=BROKERS[0],
    )
    try:
        up.start()
        shown = [" ".join(process.cmdline()) for process in up.tree()]
        assert len(shown) > 4
        assert clean("\n".join(shown))
        files = [
            path
            for path in up.directory.rglob("*")
            if path.is_file() and path.suffix in {".log", ".conf", ".jsonl", ".txt"}
        ]
        assert files
        assert all(clean(path.read_text(errors="replace")) for path in [*files, up.output])
    finally:
        up.close()
