"""Runs `joulegate up` as a user does: a process of its own, on free ports, in a directory of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil

from joulegate_cli.local.ports import free_port
from joulegate_cli.up.journal import NAME, Started

PROGRAM = "from joulegate_cli.main import main; main()"
WITHOUT_MOSQUITTO = "import joulegate_cli.local.broker as broker; broker.find_mosquitto = lambda: None; " + PROGRAM

READY = re.compile(r"ready after .* s;")


class Up:
    """One `joulegate up`, perhaps started several times."""

    def __init__(self, directory: Path, *, devices: int = 5, program: str = PROGRAM, **settings: str) -> None:
        self.directory = directory / "home"
        self.output = directory / "output.txt"
        self.ports = {"mqtt": free_port(), "http": free_port(), "metrics": free_port()}
        self._program = program
        self._devices = devices
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> list[str]:
        return [
            *(sys.executable, "-c", self._program, "up", "--devices", str(self._devices)),
            *("--dir", str(self.directory), "--mqtt-port", str(self.ports["mqtt"])),
        ]

    @property
    def environ(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("JOULEGATE_")}
        return inherited | {
            "JOULEGATE_HTTP_PORT": str(self.ports["http"]),
            "JOULEGATE_METRICS_PORT": str(self.ports["metrics"]),
            **self._settings,
        }

    def run(self) -> "subprocess.CompletedProcess[str]":
        """Runs it to its end, for starts that are refused."""
        return subprocess.run(self.command, env=self.environ, capture_output=True, text=True, timeout=60, check=False)

    def start(self, *, ready: bool = True) -> "Up":
        """Starts it in a session of its own, as in a terminal of its own."""
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                self.command, env=self.environ, stdout=output, stderr=output, start_new_session=True
            )
        if ready:
            self.wait_for(READY)
        return self

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    @property
    def text(self) -> str:
        """What it has printed since its start."""
        return self.output.read_text()

    def lines(self, start: str) -> list[str]:
        """The printed lines that begin with `start`."""
        return [line for line in self.text.splitlines() if line.startswith(start)]

    def wait_for(self, pattern: str | re.Pattern[str], *, seconds: float = 60) -> None:
        """Waits until something that matches is printed."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            assert self._process is None or self._process.poll() is None, f"it ended:\n{self.text}"
            assert time.monotonic() < deadline, f"{pattern} did not appear:\n{self.text}"
            time.sleep(0.05)

    def pid_of(self, name: str) -> int:
        """The process id of the service's newest process."""
        decode = msgspec.json.Decoder(Started).decode
        entries = [decode(line) for line in (self.directory / NAME).read_bytes().splitlines()]
        return [entry.pid for entry in entries if entry.name == name][-1]

    def tree(self) -> list[psutil.Process]:
        """All processes that belong to it, itself included."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def guardian(self) -> psutil.Process:
        """The process that is to clear up when it is killed."""
        (found,) = [process for process in self.tree() if "joulegate_cli.up.guardian" in process.cmdline()]
        return found

    def interrupt(self, *, seconds: float = 60) -> int:
        """Ctrl-C in its terminal: SIGINT for all of the foreground process group. Returns the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Ends whatever runs, so that a test that failed leaves nothing."""
        if self._process is not None and self._process.poll() is None:
            tree = self.tree()
            self.process.terminate()
            try:
                self.process.wait(40)
            finally:
                for process in alive(tree):
                    process.kill()


def running(directory: Path, **options: Any) -> Iterator[Up]:
    """For fixtures: an `up` that is ready, and ended afterwards."""
    up = Up(directory, **options)
    try:
        yield up.start()
    finally:
        up.close()


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run. One that ended and that nobody has collected does not."""
    return [process for process in processes if _is_alive(process)]


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
