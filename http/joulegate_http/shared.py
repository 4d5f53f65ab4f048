"""One answer for many who ask at once."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

AnswerT = TypeVar("AnswerT")


class Shared(Generic[AnswerT]):
    """Gives what `ask` answers, and the same again for `seconds`. Who asks meanwhile waits for the one that is under way, and shares its
    failure; that it was asked for by someone who has gone does not end it.
    """

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, AnswerT]], seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._asking: asyncio.Task[AnswerT] | None = None
        self._asked_at = 0.0

    async def get(self) -> AnswerT:
        """The answer. Raises what `ask` does; the next one asks again."""
        if self._asking is None or self._is_over(self._asking):
            self._asked_at = time.monotonic()
            self._asking = asyncio.create_task(self._ask(), name="shared-answer")
            self._asking.add_done_callback(_seen)
        return await asyncio.shield(self._asking)

    def _is_over(self, asking: asyncio.Task[AnswerT]) -> bool:
        if not asking.done():
            return False
        failed = asking.cancelled() or asking.exception() is not None
        return failed or time.monotonic() - self._asked_at >= self._seconds


def _seen(asking: asyncio.Task[Any]) -> None:
    """Everybody who wanted it may have gone: then nobody looks at how it failed."""
    if not asking.cancelled():
        asking.exception()
