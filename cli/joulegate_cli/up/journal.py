"""What a run of `up` started, written down as it starts it: locked against a second run, read when a run was killed."""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil

from joulegate_cli.up.console import Note
from joulegate_core.errors import JoulegateError

NAME = "processes.jsonl"
CLOCK_SLACK_SECONDS = 10.0
"""The time a process was born is computed from the wall clock, which may have been set meanwhile."""

LOCK_SECONDS = 90.0
"""The guardian of a killed run stops what is left over, one after the other; a drain may take its time."""

END_SECONDS = 10.0
POLL_SECONDS = 0.05


class AlreadyRunningError(JoulegateError):
    """Another `joulegate up` uses the directory."""


class Started(msgspec.Struct, frozen=True):
    """A process that a run started, and how to stop it: one line of the journal. `created` is in seconds since 1970."""

    name: str
    pid: int
    created: float
    command: tuple[str, ...]
    stop_signal: int = signal.SIGTERM
    end_signal: int = signal.SIGKILL
    stop_seconds: float = 10.0

    def find(self) -> psutil.Process | None:
        """The process if it still runs: born at that time, with that command line (less a prefix such as setpriv's)."""
        try:
            process = psutil.Process(self.pid)
            command = tuple(process.cmdline())
            born = process.create_time()
        except psutil.Error:
            return None
        same = command and command == self.command[-len(command) :] and abs(born - self.created) < CLOCK_SLACK_SECONDS
        return process if same else None


class Journal:
    """The open, locked journal of this run. The lock lasts until everyone who holds `fileno` has ended."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def open(cls, directory: Path, note: Note) -> "Journal":
        """Locks `directory` for this process, and stops what a killed run left over there.

        Raises:
            AlreadyRunningError: a run holds the directory.
        """
        path = directory / NAME
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            _lock(descriptor, path, note)
            for name in stop_leftovers(path):
                note(f"stopped {name} of a run that was killed")
            os.ftruncate(descriptor, 0)
            journal = cls(descriptor, path)
            journal.add(Started("up", os.getpid(), psutil.Process().create_time(), tuple(psutil.Process().cmdline())))
        except BaseException:
            os.close(descriptor)
            raise
        return journal

    def fileno(self) -> int:
        """For the guardian, which inherits the lock."""
        return self._descriptor

    def add(self, started: Started) -> None:
        """Appends one line, at once: one write, so that a kill leaves no half of it."""
        os.write(self._descriptor, msgspec.json.encode(started) + b"\n")

    def close(self) -> None:
        """Gives the directory up."""
        os.close(self._descriptor)


def stop_leftovers(path: Path) -> Iterator[str]:
    """Stops the services of a run that is over, the last started first; yields the names of those that still ran."""
    entries = [entry for entry in _read(path) if entry.name != "up"]
    order = list(dict.fromkeys(entry.name for entry in entries))
    for entry in sorted(entries, key=lambda entry: order.index(entry.name), reverse=True):
        if (process := entry.find()) is not None:
            _end(process, entry)
            yield entry.name


def _read(path: Path) -> list[Started]:
    if not path.exists():
        return []
    decode = msgspec.json.Decoder(Started).decode
    entries = []
    for line in path.read_bytes().splitlines():
        with contextlib.suppress(msgspec.DecodeError):  # torn when the machine went down, and its process with it
            entries.append(decode(line))
    return entries


def _lock(descriptor: int, path: Path, note: Note) -> None:
    """Waits for the guardian of a killed run, which holds the lock until it has stopped what was left."""
    deadline = time.monotonic() + LOCK_SECONDS
    waiting = False
    while not _try_lock(descriptor):
        holder = next((entry for entry in _read(path) if entry.name == "up"), None)
        if holder is not None and holder.find() is not None:
            raise AlreadyRunningError(
                f"`joulegate up` runs already in {path.parent} (process {holder.pid}): stop it with Ctrl-C or "
                f"`kill {holder.pid}`, or start another with --dir and other ports"
            )
        if time.monotonic() > deadline:
            raise AlreadyRunningError(
                f"processes of an earlier run in {path.parent} do not end: {path} lists them, one a line"
            )
        if not waiting:
            note("waiting for what an earlier run left over to end")
            waiting = True
        time.sleep(POLL_SECONDS)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end(process: psutil.Process, entry: Started) -> None:
    for number, seconds in (
        (entry.stop_signal, entry.stop_seconds),
        (entry.end_signal, END_SECONDS),
        (signal.SIGKILL, END_SECONDS),
    ):
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if entry.find() is None:
                return
            time.sleep(POLL_SECONDS)
