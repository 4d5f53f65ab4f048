"""Runs a service until SIGINT or SIGTERM asks it to stop."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import uvloop


def run_service(service: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Runs `service` with an event that the first SIGINT or SIGTERM sets; it then drains and returns."""

    async def _run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, stop.set)
        await service(stop)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run())
