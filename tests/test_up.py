"""`joulegate up`: from nothing to an efficiency answer, and back to nothing."""

import asyncio
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import psutil
import pytest

from joulegate_cli.local.ports import is_listening
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.tokens import hashed_entry, make_token
from up_harness import READY, WITHOUT_MOSQUITTO, Up, alive, running

needs_clients = pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="mosquitto-clients is not installed")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """An `up` with seven charge points, of which the last wastes energy, that is ready."""
    yield from running(tmp_path_factory.mktemp("up"), devices=7)


@pytest.fixture
def own_up(tmp_path: Path) -> Iterator[Up]:
    """An `up` of the test's own, not started."""
    up = Up(tmp_path)
    yield up
    up.close()


def test_it_shows_an_efficiency_and_the_curl_line_gives_it(up: Up) -> None:
    shown = dict(re.findall(r"(v-\d+): 0\.\d{3} efficiency over .* \(AC .* kWh, DC .* kWh\), status (\w+)", up.text))
    assert shown == {"v-00001": "ok", "v-00007": "degraded"}, up.text
    (line,) = up.lines("curl ")
    assert re.fullmatch(r"curl http://127\.0\.0\.1:\d+/v1/analytics/performance/v-00001", line)
    answer = json.loads(_shell(line))
    assert answer["vehicleId"] == "v-00001"
    assert 0.85 <= answer["efficiencyRatio"] <= 1


def test_where_http_asks_for_tokens_it_shows_how_to_send_one(tmp_path: Path) -> None:
    """It knows the hash only, and yet asks for a first answer itself."""
    token = make_token()
    for up in running(tmp_path, devices=1, JOULEGATE_API_TOKENS=hashed_entry("me", "read", token)):
        assert "v-00001: 0." in up.text
        assert token not in up.text
        (line,) = up.lines("curl ")
        assert '-H "Authorization: Bearer $TOKEN"' in line
        assert json.loads(_shell(f"TOKEN={token}; {line}"))["vehicleId"] == "v-00001"
        assert json.loads(_shell(f"TOKEN=; {line}"))["code"] == "unauthorized"


def test_every_printed_page_is_there(up: Up) -> None:
    pages = re.findall(r"^ +\w+ +(http://\S+)$", up.text, re.MULTILINE)
    assert len(pages) >= 3
    for page in pages:
        assert _shell(f"curl -s -o /dev/null -w %{{http_code}} {page}") == "200"


@needs_clients
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_printed_commands_can_be_pasted(up: Up, shell: str) -> None:
    _paste_and_check(up, shell)


@needs_clients
def test_it_runs_with_the_built_in_broker_and_without_a_fleet(tmp_path: Path) -> None:
    for up in running(tmp_path, devices=0, program=WITHOUT_MOSQUITTO):
        assert "(rumqttd)" in up.text
        assert "efficiency over" not in up.text
        _paste_and_check(up, "sh")


def test_a_second_start_in_the_same_directory_is_refused(up: Up) -> None:
    refused = up.run()
    assert refused.returncode == 1
    assert f"runs already in {up.directory} (process {up.process.pid})" in refused.stderr
    assert up.process.poll() is None


def test_all_taken_ports_are_reported_before_anything_starts(own_up: Up) -> None:
    with ExitStack() as stack:
        for port in own_up.ports.values():
            stack.enter_context(socket.create_server(("127.0.0.1", port)))
        refused = own_up.run()
    assert refused.returncode == 1
    for port, remedy in zip(
        own_up.ports.values(), ("--mqtt-port", "JOULEGATE_HTTP_PORT=", "JOULEGATE_METRICS_PORT="), strict=True
    ):
        assert re.search(rf"127\.0\.0\.1:{port} for .*: it is taken; set {remedy}", refused.stderr), refused.stderr
    assert not (own_up.directory / "postgres").exists()


@pytest.mark.parametrize("name", ["gateway", "broker", "postgres", "http", "simulator"])
def test_a_killed_service_is_reported_and_replaced_and_readings_go_on(up: Up, name: str) -> None:
    killed = up.pid_of(name)
    os.kill(killed, signal.SIGKILL)
    up.wait_for(rf"{name} died: it was ended by SIGKILL")
    up.wait_for(rf"{name} was started again")
    assert up.pid_of(name) != killed
    _wait_until(lambda: _commits(up))
    _wait_until(lambda: _status(up, "/readyz") == 200)


def test_warnings_of_a_service_reach_the_terminal(up: Up) -> None:
    os.kill(up.pid_of("broker"), signal.SIGKILL)
    up.wait_for(r"gateway: warning: connection_lost ")


def test_ctrl_c_leaves_nothing_and_a_second_start_goes_on_with_the_data(own_up: Up) -> None:
    own_up.start()
    _wait_until(lambda: _commits(own_up))
    before = _history_count(own_up)
    tree = own_up.tree()
    assert len(tree) >= 7
    assert own_up.interrupt() == 0, own_up.text
    stopped = re.findall(r"stopping (\w+)$", own_up.text, re.MULTILINE)
    assert stopped == ["simulator", "gateway", "http", "broker", "postgres"]
    assert "exit code" not in own_up.text
    _assert_nothing_left(own_up, tree)

    own_up.start()
    assert "0 migrations applied" in own_up.text
    assert _history_count(own_up) >= before > 0


def test_ctrl_c_while_it_starts_leaves_nothing(own_up: Up) -> None:
    own_up.start(ready=False)
    own_up.wait_for("database: ready")
    tree = own_up.tree()
    assert own_up.interrupt() == 0, own_up.text
    _assert_nothing_left(own_up, tree)


def test_after_kill_9_everything_ends_and_the_next_start_works(own_up: Up) -> None:
    own_up.start()
    tree = own_up.tree()
    own_up.kill()
    _wait_until(lambda: not alive(tree))
    _assert_nothing_left(own_up, tree)
    own_up.start()


def test_what_a_killed_run_left_over_is_stopped_by_the_next(own_up: Up) -> None:
    own_up.start()
    tree = own_up.tree()
    own_up.guardian().kill()
    own_up.kill()
    assert len(alive(tree)) >= 5
    own_up.start()
    for name in ("simulator", "gateway", "http", "broker", "postgres"):
        assert f"stopped {name} of a run that was killed" in own_up.text
    assert not alive(tree)


def test_a_start_right_after_kill_9_waits_for_the_guardian(own_up: Up) -> None:
    own_up.start()
    guardian = own_up.guardian()
    guardian.suspend()
    own_up.kill()
    try:
        own_up.start(ready=False)
        own_up.wait_for("waiting for what an earlier run left over to end")
    finally:
        guardian.resume()
    own_up.wait_for(READY)


def test_it_runs_in_a_directory_with_a_long_and_odd_name(tmp_path: Path) -> None:
    directory = tmp_path / "a, b 100%41" / ("long" * 20)
    directory.mkdir(parents=True)
    for up in running(directory):
        sockets = (up.directory / "postgres" / "sockets").readlink()
        assert sockets.exists()
    assert not sockets.exists()


def test_the_database_starts_although_a_dead_servers_process_id_is_anothers_now(tmp_path: Path) -> None:
    server = LocalPostgres(tmp_path)
    server.prepare()
    (tmp_path / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n{tmp_path}/data\n")
    try:
        assert server.pid is None
        assert server.start().pid not in (None, os.getpid())
    finally:
        server.stop("immediate")


def test_an_interrupted_creation_of_the_database_is_done_again(tmp_path: Path) -> None:
    interrupted = tmp_path / "data.new-interrupted"
    interrupted.mkdir()
    (interrupted / "PG_VERSION").write_text("18\n")
    LocalPostgres(tmp_path).prepare()
    assert not interrupted.exists()
    assert (tmp_path / "data" / "global" / "pg_control").exists()


def _paste_and_check(up: Up, shell: str) -> None:
    meter, vehicle = up.lines("mosquitto_pub ")
    _shell(meter, program=shell)
    _shell(vehicle, program=shell)
    (ask,) = (line for line in up.text.splitlines() if line.endswith("/v-x"))
    _wait_until(lambda: json.loads(_shell(ask)).get("efficiencyRatio") == pytest.approx(0.91))


def _shell(line: str, *, program: str = "sh") -> str:
    done = subprocess.run([program, "-c", line], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _get(up: Up, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", up.ports["metrics"], timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def _status(up: Up, path: str) -> int:
    return _get(up, path)[0]


def _commits(up: Up) -> bool:
    """Whether the gateway commits something from now on."""

    def committed() -> float:
        lines = [line for line in _get(up, "/metrics")[1].splitlines() if 'outcome="committed"' in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    before = committed()
    time.sleep(1)
    return committed() > before


def _history_count(up: Up) -> int:
    async def count() -> int:
        connection = await asyncpg.connect(LocalPostgres(up.directory / "postgres").url("joulegate"))
        try:
            return int(await connection.fetchval("select count(*) from meter_history"))
        finally:
            await connection.close()

    return asyncio.run(count())


def _assert_nothing_left(up: Up, tree: list[psutil.Process]) -> None:
    assert not alive(tree)
    assert not [port for port in up.ports.values() if is_listening(port)]


def _wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)
