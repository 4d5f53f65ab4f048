"""The simulation's clock: real time, faster, or as fast as the readings are taken. It never runs ahead of real time."""

import asyncio
import math
import time

TICK_SECONDS = 0.01
"""Shortest sleep: what falls due within one tick leaves together, so that a large fleet costs few wake-ups."""

NO_LIMIT = math.inf


class SimulatedTime:
    """A clock that starts `ago_ms` in the past and runs `speed` times as fast, until it has caught up with real time.

    Then it is real time: readings carry it, the gateway refuses the future, and a long run must not drift away from the wall clock.
    """

    def __init__(self, *, speed: float = 1.0, ago_ms: int = 0) -> None:
        self._speed = speed
        self._ago_ms = ago_ms
        self.begin()

    def begin(self) -> None:
        """Starts now, again."""
        self._began_ms = real_ms()
        self.start_ms = self._began_ms - self._ago_ms

    def now_ms(self) -> int:
        """The simulated time, in milliseconds since 1970 (UTC)."""
        real = real_ms()
        if math.isinf(self._speed):
            return real
        return min(real, self.start_ms + int((real - self._began_ms) * self._speed))

    async def wait_until(self, due_ms: int) -> None:
        """Returns once the simulated time is `due_ms` or later."""
        while (early_ms := due_ms - self.now_ms()) > 0:
            behind = real_ms() - self.now_ms()
            speed = self._speed if behind > early_ms and not math.isinf(self._speed) else 1.0
            await asyncio.sleep(max(TICK_SECONDS, early_ms / 1000 / speed))


def real_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000
