"""Something that must be done in time."""

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls `act` when it was not stopped within `seconds` of its start."""

    def __init__(self, seconds: float, act: Callable[[], None]) -> None:
        self._seconds = seconds
        self._act = act
        self._timer: asyncio.TimerHandle | None = None

    @property
    def end(self) -> float | None:
        """When it will be too late, by the loop's clock; None while nothing is due."""
        return self._timer.when() if self._timer else None

    def start(self) -> None:
        """Begins to count, unless it has begun already."""
        self._timer = self._timer or asyncio.get_running_loop().call_later(self._seconds, self._act)

    def stop(self) -> None:
        """What was due is done."""
        if self._timer:
            self._timer.cancel()
        self._timer = None
