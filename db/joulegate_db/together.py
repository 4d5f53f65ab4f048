"""Plain questions are asked together: those that come while others are answered go in one statement (docs/adr/0007-plain-answers.md)."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from joulegate_db.checked_pool import CheckedPool
from joulegate_db.performance import Performance
from joulegate_db.plain import Buckets, Question, plain_performances

STATEMENTS = 2
"""So many are under way at a time: the database reads for one while the client adds up the other. More would each have fewer questions."""

MOST = 16
"""Questions in a statement. Beyond that the first ones wait longer for the others than they save."""

SLOW_SECONDS = 0.05
"""A statement that takes longer does not keep others waiting."""

Waiting = tuple[Question, asyncio.Future[Performance | None]]


class PlainQuestions:
    """Asks over `pool`. Who asks alone does not wait for others; under load the fixed cost of a statement is shared."""

    def __init__(self, pool: CheckedPool) -> None:
        self._pool = pool
        self._waiting: dict[Buckets, list[Waiting]] = {}
        self._free = STATEMENTS
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, question: Question) -> Performance | None:
        """The answer in the plain case, as `plain_performances` gives it, or None.

        Raises:
            as `CheckedPool.connection`.
        """
        buckets = question.buckets
        if buckets is None:
            return None
        answer: asyncio.Future[Performance | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(buckets, []).append((question, answer))
        self._begin()
        return await answer

    def _begin(self) -> None:
        """Begins statements, as many as may be under way."""
        while self._free and self._waiting:
            buckets = next(iter(self._waiting))
            waiting = [one for one in self._waiting.pop(buckets) if _is_awaited(one[1])]
            if waiting[MOST:]:
                self._waiting[buckets] = waiting[MOST:]
            if waiting:
                self._free -= 1
                task = asyncio.create_task(self._answer(buckets, waiting[:MOST]))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _answer(self, buckets: Buckets, waiting: list[Waiting]) -> None:
        asked = [answer for _, answer in waiting]
        with self._place():
            try:
                async with self._pool.connection() as connection:
                    answers = await plain_performances(connection, buckets, [question for question, _ in waiting])
            except Exception as error:  # noqa: BLE001 - whatever it is, those who asked are told
                for one in filter(_is_awaited, asked):
                    one.set_exception(error)
                return
        for one, answer in zip(asked, answers, strict=True):
            if _is_awaited(one):
                one.set_result(answer)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One of the statements under way; others may begin when the block ends, or when it takes long."""
        has_left = False

        def leave() -> None:
            nonlocal has_left
            if not has_left:
                has_left = True
                self._free += 1
                self._begin()

        slow = asyncio.get_running_loop().call_later(SLOW_SECONDS, leave)
        try:
            yield
        finally:
            slow.cancel()
            leave()


def _is_awaited(answer: asyncio.Future[Performance | None]) -> bool:
    """False when who asked has left."""
    return not answer.done()
