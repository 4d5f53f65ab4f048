"""`joulegate` as a process of its own, to be sent signals."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway_harness import Gateway, eventually, status_of

COMMAND = (sys.executable, "-c", "from joulegate_cli.main import main; main()")


class Process:
    """One command that runs; `errors()` is what it has written to standard error so far."""

    def __init__(self, running: asyncio.subprocess.Process, log: Path) -> None:
        self._running = running
        self._log = log

    @classmethod
    async def start(cls, directory: Path, environ: Mapping[str, str], *arguments: str) -> "Process":
        """Starts `joulegate ARGUMENTS` with `environ` in place of this process's JOULEGATE_ variables."""
        log = directory / "stderr.log"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("JOULEGATE_")}
        with log.open("wb") as output:
            running = await asyncio.create_subprocess_exec(
                *COMMAND, *arguments, env={**inherited, **environ}, stdout=asyncio.subprocess.PIPE, stderr=output
            )
        return cls(running, log)

    @property
    def is_running(self) -> bool:
        """False once it has ended."""
        return self._running.returncode is None

    def send(self, signum: int) -> None:
        """Sends a signal."""
        self._running.send_signal(signum)

    async def end(self, seconds: float = 20) -> tuple[int, str]:
        """Waits for the end: exit code and standard output."""
        async with asyncio.timeout(seconds):
            output, _ = await self._running.communicate()
        assert self._running.returncode is not None
        return self._running.returncode, output.decode()

    def errors(self) -> list[str]:
        """The lines on standard error."""
        return self._log.read_text().splitlines()

    def events(self) -> list[dict[str, Any]]:
        """The log, which must be one JSON object a line."""
        return [json.loads(line) for line in self.errors()]

    def assert_one_line(self, *words: str) -> None:
        """Besides the log there is one line, `joulegate: ...`, for a person; it holds the words."""
        plain = [line for line in self.errors() if not line.startswith("{")]
        assert len(plain) == 1, plain
        assert plain[0].startswith("joulegate: ")
        assert all(word in plain[0] for word in words), plain

    async def kill(self) -> None:
        """Ends it at once, if it still runs."""
        if self.is_running:
            self._running.kill()
        await self._running.communicate()


Launch = Callable[..., Awaitable[Process]]
"""Starts `joulegate ARGUMENTS` (`gateway` by default); keywords are settings."""


@asynccontextmanager
async def launching(gateway: Gateway, directory: Path) -> AsyncIterator[Launch]:
    """Gives a `Launch` with the settings of `gateway`, which itself stays at rest; ends what still runs."""
    started: list[Process] = []

    async def launch(*arguments: str, **overrides: object) -> Process:
        process = await Process.start(directory, gateway.environ(**overrides), *(arguments or ("gateway",)))
        started.append(process)
        return process

    try:
        yield launch
    finally:
        for process in started:
            await process.kill()


async def until_status(gateway: Gateway, path: str, process: Process) -> None:
    """Waits until the process answers 200 to a GET of `path`."""

    async def answers() -> bool:
        assert process.is_running, process.errors()
        return await status_of(gateway.metrics_port, path) == 200

    await eventually(answers)
