"""Starts processes, reports those that die, starts them again, and stops all of them in order."""

import asyncio
import contextlib
import signal
import subprocess
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NoReturn

import msgspec

from joulegate_cli.up.console import Note
from joulegate_cli.up.logfiles import rotate, tail
from joulegate_core.errors import JoulegateError

START_SECONDS = 60.0
"""Recovery of a database that was killed takes a while."""

END_SECONDS = 10.0
HURRIED_SECONDS = 1.0
"""What a broker needs to save its sessions is not taken from it even by someone in a hurry."""

POLL_SECONDS = 0.05

HELD = ("sh", "-c", 'read -r go && exec "$@" </dev/null', "sh")
"""Holds a command back until `started` has written its process down: if we are killed before that, it never runs."""


class ServiceFailedError(JoulegateError):
    """A service does not start, or does not stay up."""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A process to keep running, in a session of its own, so that a terminal's Ctrl-C does not reach it.

    `ready` is asked until it says yes. `stop_signal` asks the process to leave; after `stop_seconds` `end_signal` makes it.
    """

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    ready: Callable[[], Awaitable[bool]] | None = None
    stop_signal: int = signal.SIGTERM
    end_signal: int = signal.SIGKILL
    stop_seconds: float = 10.0


class RestartPolicy(msgspec.Struct, frozen=True):
    """At most `most` restarts within `within_seconds`; the pause before one doubles with each."""

    most: int = 5
    within_seconds: float = 60.0
    first_pause_seconds: float = 0.5


class _Running:
    def __init__(self, service: Service, log: Path) -> None:
        self.service = service
        self.log = log
        self.process: asyncio.subprocess.Process | None = None
        self.deaths: deque[float] = deque()


class Supervisor:
    """Runs services until it is told to stop.

    Args:
        logs: directory for `<name>.log`.
        note: told of everything that happens.
        started: told of every process before it begins to run its service's command.
    """

    def __init__(
        self,
        logs: Path,
        *,
        note: Note,
        started: Callable[[Service, int], None] = lambda _service, _pid: None,
        policy: RestartPolicy = RestartPolicy(),  # noqa: B008 - frozen
    ) -> None:
        self._logs = logs
        self._note = note
        self._started = started
        self._policy = policy
        self._running: list[_Running] = []
        self._keepers: list[asyncio.Task[None]] = []

    async def start(self, service: Service) -> None:
        """Starts `service`, waits until it is ready, and keeps it running from then on.

        Raises:
            ServiceFailedError: it ends or is not ready in time; the message holds the last lines of its log.
        """
        running = _Running(service, self._logs / f"{service.name}.log")
        self._running.append(running)
        rotate(running.log)
        process = await self._spawn(running)
        deadline = time.monotonic() + START_SECONDS
        while service.ready is not None and not await service.ready():
            if process.returncode is not None:
                raise ServiceFailedError(
                    f"{service.name} did not start: it {_how(process.returncode)}:\n{tail(running.log)}"
                )
            if time.monotonic() > deadline:
                raise ServiceFailedError(
                    f"{service.name} is not ready after {START_SECONDS:g} s, see {running.log}:\n{tail(running.log)}"
                )
            await asyncio.sleep(POLL_SECONDS)
        self._keepers.append(asyncio.create_task(self._keep(running), name=f"keep {service.name}"))

    async def watch(self) -> NoReturn:
        """Waits for a service to give up.

        Raises:
            ServiceFailedError: a service that is kept running died too often.
        """
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if self._keepers:
                done, _ = await asyncio.wait(self._keepers, timeout=1, return_when=asyncio.FIRST_COMPLETED)
                for keeper in done:
                    keeper.result()

    async def stop(self, hurry: asyncio.Event) -> None:
        """Stops all services, the last started first; once `hurry` is set, with little patience."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for running in reversed(self._running):
            await self._stop(running, hurry)

    async def _spawn(self, running: _Running) -> asyncio.subprocess.Process:
        service = running.service
        with running.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *HELD,
                *service.command,
                env=dict(service.environ),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        running.process = process
        self._started(service, process.pid)
        if process.stdin is not None:
            process.stdin.write(b"go\n")
            process.stdin.close()
        return process

    async def _keep(self, running: _Running) -> None:
        process = running.process
        while process is not None:
            code = await process.wait()
            name, deaths = running.service.name, running.deaths
            self._note(f"{name} died: it {_how(code)}; the end of {running.log}:\n{tail(running.log)}")
            deaths.append(time.monotonic())
            while deaths[0] < deaths[-1] - self._policy.within_seconds:
                deaths.popleft()
            if len(deaths) > self._policy.most:
                raise ServiceFailedError(
                    f"{name} died {len(deaths)} times within {self._policy.within_seconds:g} s: see {running.log}"
                )
            await asyncio.sleep(self._policy.first_pause_seconds * 2 ** (len(deaths) - 1))
            process = await self._spawn(running)
            self._note(f"{name} was started again")

    async def _stop(self, running: _Running, hurry: asyncio.Event) -> None:
        service, process = running.service, running.process
        if process is None or process.returncode is not None:
            return
        self._note(f"stopping {service.name}")
        _signal(process, service.stop_signal)
        await _ended(process, service.stop_seconds, hurry)
        if hurry.is_set():
            await _ended(process, HURRIED_SECONDS)
        for number in (service.end_signal, signal.SIGKILL):
            if process.returncode is None:
                _signal(process, number)
                await _ended(process, END_SECONDS)
        if process.returncode not in (0, -service.stop_signal) and not hurry.is_set():
            self._note(f"{service.name} {_how(process.returncode)}; the end of {running.log}:\n{tail(running.log)}")


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


async def _ended(process: asyncio.subprocess.Process, seconds: float, hurry: asyncio.Event | None = None) -> None:
    """Waits for the end of `process`, but not longer than `seconds`, nor once `hurry` is set."""
    waiting = {asyncio.create_task(process.wait(), name="wait for the end")}
    if hurry is not None:
        waiting.add(asyncio.create_task(hurry.wait(), name="wait for hurry"))
    await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


def _how(code: int | None) -> str:
    if code is None:
        return "does not end"
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
