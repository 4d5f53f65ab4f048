"""Services of joulegate as child processes, with what they used of the machine."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil

from joulegate_cli.local.ports import free_port
from joulegate_core.errors import JoulegateError

COMMAND = [sys.executable, "-c", "from joulegate_cli.main import main; main()"]
SETTLED = "joulegate_messages_settled_total"
READY_SECONDS = 30.0


class Service:
    """A running `joulegate gateway` or `joulegate http`; `port` is the one that it answers HTTP at."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.port = port
        self._process = process
        self._log = log
        self._stats = psutil.Process(process.pid)

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        times = self._stats.cpu_times()
        return float(times.user + times.system)

    def rss_mb(self) -> float:
        """Resident memory now."""
        return float(self._stats.memory_info().rss) / 1e6

    def peak_mb(self) -> float:
        """Peak resident memory so far (VmHWM)."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
        return 0

    def pin(self, cores: set[int]) -> None:
        """Lets it run on these cores only."""
        self._stats.cpu_affinity(list(cores))

    def wait_ready(self) -> None:
        """Returns once /readyz answers 200.

        Raises:
            JoulegateError: the service ended, or is not ready in time.
        """
        deadline = time.monotonic() + READY_SECONDS
        while not self.get("/readyz"):
            if time.monotonic() > deadline:
                raise JoulegateError(f"a service is not ready after {READY_SECONDS:.0f} s")
            time.sleep(0.05)

    def settled(self) -> dict[str, int]:
        """Messages that a gateway settled so far by outcome, over both streams; empty before it listens."""
        totals: dict[str, int] = {}
        for line in self.get("/metrics").splitlines():
            if line.startswith(SETTLED):
                outcome = line.split('outcome="')[1].split('"')[0]
                totals[outcome] = totals.get(outcome, 0) + int(float(line.rsplit(" ", 1)[1]))
        return totals

    def get(self, path: str) -> str:
        """The body of an answer with status 200, empty without one."""
        if self._process.poll() is not None:
            tail = self._log.read_text(errors="replace")[-600:]
            raise JoulegateError(f"a service ended with exit code {self._process.returncode}: {tail}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""


@contextmanager
def gateway_child(environ: Mapping[str, str], client_id: str, log: Path) -> Iterator[Service]:
    """Starts a gateway on the session of `client_id`, and stops it at the end."""
    port = free_port()
    settings = {"JOULEGATE_CLIENT_ID": client_id, "JOULEGATE_METRICS_PORT": str(port), **environ}
    with _child("gateway", settings, log) as process:
        yield Service(process, port, log)


@contextmanager
def http_child(environ: Mapping[str, str], log: Path) -> Iterator[Service]:
    """Starts an HTTP sidecar, waits until it is ready, and stops it at the end."""
    port = free_port()
    with _child("http", {"JOULEGATE_HTTP_PORT": str(port), "JOULEGATE_RATE_LIMIT": "0", **environ}, log) as process:
        service = Service(process, port, log)
        service.wait_ready()
        yield service


@contextmanager
def _child(command: str, settings: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("JOULEGATE_")}
    with log.open("ab") as output:
        process = subprocess.Popen([*COMMAND, command], env={**inherited, **settings}, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_committed(
    gateways: Sequence[Service], count: int, *, poll_seconds: float, timeout_seconds: float
) -> Iterator[int]:
    """Yields the number of readings that all `gateways` together have committed, until there are `count`.

    Duplicates do not count: what was on its way when the gateway left the broker comes again, and is settled twice.

    Raises:
        JoulegateError: a gateway ended, or no progress is made for `timeout_seconds`.
    """
    last, moved = -1, time.monotonic()
    while True:
        done = sum(gateway.settled().get("committed", 0) for gateway in gateways)
        if done != last:
            last, moved = done, time.monotonic()
            yield done
        if done >= count:
            return
        if time.monotonic() - moved > timeout_seconds:
            raise JoulegateError(f"no progress for {timeout_seconds:.0f} s: {done} of {count} readings committed")
        time.sleep(poll_seconds)


class Program:
    """A module of this package as a program of its own: one argument, JSON; its result, JSON, on standard output.

    Args:
        script: the program's file, when it is not in this package.
    """

    def __init__(self, module: str, argument: msgspec.Struct, *, script: Path | None = None) -> None:
        self._module = module
        program = [str(script)] if script else ["-m", f"joulegate_cli.bench.{module}"]
        command = [sys.executable, *program, msgspec.json.encode(argument).decode()]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def result(self, kind: type[Any], *, timeout_seconds: float) -> Any:
        """Waits for the end and returns the result as `kind`.

        Raises:
            JoulegateError: the program failed or takes too long; it is ended then.
        """
        try:
            output, errors = self._process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            raise JoulegateError(f"{self._module} did not end within {timeout_seconds:.0f} s") from None
        if self._process.returncode:
            raise JoulegateError(f"{self._module} failed: {errors.decode()[-600:]}")
        return msgspec.json.decode(output, type=kind)

    def finish(self) -> None:
        """Tells the program to come to its end early (SIGTERM)."""
        self._process.terminate()

    def stop(self) -> None:
        """Ends the program if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
