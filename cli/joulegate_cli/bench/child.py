"""A gateway as a child process, with what it used of the machine."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from joulegate_cli.local.ports import free_port
from joulegate_core.errors import JoulegateError

COMMAND = [sys.executable, "-c", "from joulegate_cli.main import main; main()"]
SETTLED = "joulegate_messages_settled_total"


class GatewayChild:
    """A running `joulegate gateway`."""

    def __init__(self, process: subprocess.Popen[bytes], metrics_port: int) -> None:
        self._process = process
        self._metrics_port = metrics_port
        self._stats = psutil.Process(process.pid)

    def settled(self) -> dict[str, int]:
        """Messages settled so far by outcome, over both streams; empty before the gateway listens."""
        totals: dict[str, int] = {}
        for line in self._metrics().splitlines():
            if line.startswith(SETTLED):
                outcome = line.split('outcome="')[1].split('"')[0]
                totals[outcome] = totals.get(outcome, 0) + int(float(line.rsplit(" ", 1)[1]))
        return totals

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        times = self._stats.cpu_times()
        return float(times.user + times.system)

    def peak_bytes(self) -> int:
        """Peak resident memory so far (VmHWM)."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0

    def _metrics(self) -> str:
        if self._process.poll() is not None:
            raise JoulegateError(f"the gateway ended with exit code {self._process.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics_port}/metrics", timeout=10) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""


@contextmanager
def gateway_child(environ: Mapping[str, str], client_id: str, log: Path) -> Iterator[GatewayChild]:
    """Starts a gateway on the session of `client_id`, and stops it at the end."""
    port = free_port()
    settings = {"JOULEGATE_CLIENT_ID": client_id, "JOULEGATE_METRICS_PORT": str(port), **environ}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("JOULEGATE_")}
    with log.open("wb") as output:
        process = subprocess.Popen([*COMMAND, "gateway"], env=inherited | settings, stdout=output, stderr=output)
    try:
        yield GatewayChild(process, port)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def wait_settled(child: GatewayChild, count: int, *, poll_seconds: float, timeout_seconds: float) -> Iterator[int]:
    """Yields the number of settled messages until `count` are.

    Raises:
        JoulegateError: the gateway ended, or no progress is made for `timeout_seconds`.
    """
    last, moved = -1, time.monotonic()
    while True:
        done = sum(child.settled().values())
        if done != last:
            last, moved = done, time.monotonic()
            yield done
        if done >= count:
            return
        if time.monotonic() - moved > timeout_seconds:
            raise JoulegateError(f"no progress for {timeout_seconds:.0f} s: {done} of {count} messages settled")
        time.sleep(poll_seconds)
