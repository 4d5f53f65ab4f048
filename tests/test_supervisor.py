"""The supervisor of `joulegate up` with small processes: what dies is told and replaced, what must end ends."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from gateway_harness import eventually
from joulegate_cli.up.journal import NAME, AlreadyRunningError, Journal, Started, stop_leftovers
from joulegate_cli.up.logfiles import ImportantLines, rotate, tail
from joulegate_cli.up.ports import WantedPort, require_free_ports
from joulegate_cli.up.supervisor import HELD, RestartPolicy, Service, ServiceFailedError, Supervisor
from joulegate_core.errors import PortTakenError

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP
QUICK = RestartPolicy(most=2, within_seconds=60, first_pause_seconds=0.01)


class Watched:
    """A supervisor with what it told, and the processes that it started."""

    def __init__(self, logs: Path) -> None:
        self.notes: list[str] = []
        self.pids: list[tuple[str, int]] = []
        self.hurry = asyncio.Event()
        self.supervisor = Supervisor(logs, note=self.notes.append, started=self._started, policy=QUICK)
        self._logs = logs

    def service(self, code: str, *, name: str = "service", stop_seconds: float = 20) -> Service:
        """A Python program that counts as ready once it has printed something."""
        log = self._logs / f"{name}.log"

        async def ready() -> bool:
            return bool(log.read_bytes())

        return Service(
            name=name,
            command=(sys.executable, "-c", code),
            environ=os.environ,
            ready=ready,
            stop_seconds=stop_seconds,
        )

    def told(self, text: str) -> int:
        return sum(text in note for note in self.notes)

    def _started(self, service: Service, pid: int) -> None:
        self.pids.append((service.name, pid))


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    watched = Watched(tmp_path / "logs")
    yield watched
    watched.hurry.set()
    await watched.supervisor.stop(watched.hurry)


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", SLEEP], stdout=subprocess.DEVNULL)
    yield process
    process.kill()
    process.wait()


async def test_a_service_that_dies_is_told_with_its_last_words_and_started_again(watched: Watched) -> None:
    await watched.supervisor.start(watched.service(SLEEP))
    os.kill(watched.pids[0][1], signal.SIGKILL)
    await eventually(lambda: _true(len(watched.pids) == 2))
    await eventually(lambda: _true(watched.told("service was started again") == 1))
    assert watched.told("service died: it was ended by SIGKILL; the end of") == 1
    assert watched.told("\n    up") == 1


async def test_a_service_that_keeps_dying_is_given_up(watched: Watched) -> None:
    code = "import time; print('no use', flush=True); time.sleep(0.3); raise SystemExit(7)"
    await watched.supervisor.start(watched.service(code))
    with pytest.raises(ServiceFailedError, match="service died 3 times within 60 s"):
        await asyncio.wait_for(watched.supervisor.watch(), 20)
    assert watched.told("service died: it ended with exit code 7") == 3
    assert len(watched.pids) == 3


async def test_a_service_that_does_not_start_is_not_tried_again(watched: Watched) -> None:
    service = watched.service("raise SystemExit('the disk is full')")
    never_ready = Service(
        name="service", command=service.command, environ=os.environ, ready=lambda: _true(bool(watched.notes))
    )
    with pytest.raises(ServiceFailedError, match=r"service did not start: it ended with exit code 1:\n.*disk is full"):
        await watched.supervisor.start(never_ready)
    assert len(watched.pids) == 1


async def test_a_program_that_is_not_there_is_named(watched: Watched) -> None:
    service = Service(
        name="service", command=("/nowhere/program",), environ={}, ready=lambda: _true(bool(watched.told("x")))
    )
    with pytest.raises(
        ServiceFailedError, match=r"service did not start: .*exit code 127:\n.*/nowhere/program: not found"
    ):
        await watched.supervisor.start(service)


async def test_a_command_does_not_run_before_it_is_written_down(tmp_path: Path) -> None:
    """As when `up` is killed in the very moment in which it starts something."""
    trace = tmp_path / "trace"
    held = await asyncio.create_subprocess_exec(*HELD, "touch", str(trace), stdin=subprocess.PIPE)
    assert held.stdin is not None
    held.stdin.close()
    assert await held.wait() == 1
    assert not trace.exists()


async def test_services_stop_in_reverse_order_and_end(watched: Watched) -> None:
    for name in ("first", "second", "third"):
        await watched.supervisor.start(watched.service(SLEEP, name=name))
    await watched.supervisor.stop(watched.hurry)
    assert watched.notes == ["stopping third", "stopping second", "stopping first"]
    assert not [pid for _, pid in watched.pids if psutil.pid_exists(pid)]


async def test_a_service_that_does_not_leave_in_its_time_is_made_to(watched: Watched) -> None:
    await watched.supervisor.start(watched.service(STUBBORN, stop_seconds=0.2))
    await watched.supervisor.stop(watched.hurry)
    assert watched.told("service was ended by SIGKILL") == 1
    assert not psutil.pid_exists(watched.pids[0][1])


async def test_hurry_does_not_wait(watched: Watched) -> None:
    await watched.supervisor.start(watched.service(STUBBORN, stop_seconds=600))
    stopping = asyncio.create_task(watched.supervisor.stop(watched.hurry))
    await eventually(lambda: _true(bool(watched.told("stopping service"))))
    watched.hurry.set()
    await asyncio.wait_for(stopping, 20)
    assert not psutil.pid_exists(watched.pids[0][1])


async def test_an_unclean_end_is_told(watched: Watched) -> None:
    code = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit('not all was saved')); " + SLEEP
    await watched.supervisor.start(watched.service(code))
    await watched.supervisor.stop(watched.hurry)
    assert watched.told("service ended with exit code 1") == 1
    assert watched.told("not all was saved") == 1


async def test_the_terminals_ctrl_c_does_not_reach_a_service(watched: Watched) -> None:
    await watched.supervisor.start(watched.service(SLEEP))
    pid = watched.pids[0][1]
    assert os.getsid(pid) == pid
    assert os.getpgid(pid) != os.getpgid(0)


def test_a_directory_is_locked_for_one_run(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, print)
    with pytest.raises(AlreadyRunningError, match=f"process {os.getpid()}"):
        Journal.open(tmp_path, print)
    journal.close()
    Journal.open(tmp_path, print).close()


def test_what_a_run_left_over_is_stopped(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    journal = Journal.open(tmp_path, print)
    journal.add(_entry(sleeper))
    journal.close()
    told: list[str] = []
    Journal.open(tmp_path, told.append).close()
    assert told == ["stopped service of a run that was killed"]
    assert sleeper.wait(10) == -signal.SIGTERM


def test_a_torn_line_of_the_journal_does_not_stop_the_next_start(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b'{"name":"up","pid":1,"crea\0\0\n\xff\n')
    Journal.open(tmp_path, print).close()


def test_a_stubborn_left_over_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output, subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=output) as process:
        while not log.read_bytes():
            time.sleep(0.01)
        journal = Journal.open(tmp_path, print)
        journal.add(_entry(process, stop_seconds=0.2))
        assert list(stop_leftovers(journal.path)) == ["service"]
        journal.close()
        assert process.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize("difference", ["command", "created"])
def test_another_process_with_the_same_id_is_left_alone(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]", difference: str
) -> None:
    other = {"command": (sys.executable, "-c", "pass")} if difference == "command" else {"created": 1.0}
    journal = Journal.open(tmp_path, print)
    journal.add(_entry(sleeper, **other))
    assert list(stop_leftovers(journal.path)) == []
    journal.close()
    assert sleeper.poll() is None


def test_a_port_wanted_twice_is_a_problem_and_the_proposal_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        taken = WantedPort("one", "127.0.0.1", port, "ONE={port}")
        with pytest.raises(PortTakenError) as refused:
            require_free_ports([taken, WantedPort("two", "127.0.0.1", port, "TWO={port}")])
    lines = str(refused.value).splitlines()[1:]
    assert "it is taken; set ONE=" in lines[0]
    assert "it is wanted twice; set TWO=" in lines[1]
    proposed = [int(line.rpartition("=")[2]) for line in lines]
    assert len({port, *proposed}) == 3
    require_free_ports([WantedPort("three", "127.0.0.1", free, "") for free in proposed])


def test_an_address_of_another_machine_is_a_problem() -> None:
    with pytest.raises(PortTakenError, match=r"192\.0\.2\.1:8080 for HTTP: Cannot assign requested address"):
        require_free_ports([WantedPort("HTTP", "192.0.2.1", 8080, "JOULEGATE_HTTP_PORT={port}")])


def test_important_lines_are_warnings_and_errors_each_once(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    lines = ImportantLines(log)
    assert lines.read() == []
    log.write_text(
        '{"event":"subscribed","level":"info"}\nnot JSON\n{"event":"lost","level":"warning","why":"x"}\n{"ev'
    )
    assert lines.read() == ["warning: lost why=x"]
    with log.open("a") as more:
        more.write('ent":"gone","level":"error","timestamp":"now"}\n')
    assert lines.read() == ["error: gone"]
    with log.open("a") as more:
        more.write('{"event":"lost","level":"warning"}\n' * 8)
    assert lines.read() == ["warning: lost"] * 5 + [f"and 3 more in {log}"]
    assert lines.read() == []


def test_a_log_of_the_run_before_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "gateway.log"
    rotate(log)
    assert tail(log) == "    (no log)"
    log.write_text("".join(f"line {number}\n" for number in range(2000)))
    assert tail(log).splitlines() == [f"    line {number}" for number in range(1994, 2000)]
    rotate(log)
    assert not log.exists()
    assert log.with_name("gateway.log.1").read_text().startswith("line 0\n")


def _entry(process: "subprocess.Popen[bytes]", **changes: object) -> Started:
    fields = {
        "name": "service",
        "pid": process.pid,
        "created": psutil.Process(process.pid).create_time(),
        "command": ("setpriv", "--", *psutil.Process(process.pid).cmdline()),
    }
    return Started(**(fields | changes))  # type: ignore[arg-type]


async def _true(value: bool) -> bool:  # noqa: FBT001 - the condition of `eventually`
    return value
