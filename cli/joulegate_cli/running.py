"""Runs a service until SIGINT or SIGTERM asks it to stop."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import uvloop

from joulegate_cli.profiling import Profiler


def run_service(service: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Runs `service` with an event that the first SIGINT or SIGTERM sets; it then drains and returns. SIGUSR1 makes a profile."""

    async def _run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, stop.set)
        loop.add_signal_handler(signal.SIGUSR1, Profiler().begin)
        await service(stop)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run())
