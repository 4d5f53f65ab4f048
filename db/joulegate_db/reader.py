"""The reader: answers from the database, each from one snapshot, over a pool of read-only connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial

import asyncpg

from joulegate_db.checked_pool import CheckedPool, open_checked_pool
from joulegate_db.citus import is_distributed
from joulegate_db.connect import PLAIN_READER_SETTINGS, READER_SETTINGS
from joulegate_db.evidence import gather
from joulegate_db.live import MeterState, VehicleState, meter_state, vehicle_state
from joulegate_db.performance import Performance, performance
from joulegate_db.plain import Question
from joulegate_db.series import SeriesPoint, series
from joulegate_db.sql import query
from joulegate_db.together import PlainQuestions
from joulegate_db.windows import Window

POOL_SIZE = 8
"""Twice the cores that the database is likely to have: more would only wait inside the database instead of before it."""

ANSWER_SECONDS = 15.0
"""Longer than the session's statement timeout: it ends a wait for a server that no longer answers."""


class Reader:
    """Reads answers. Made by `open_reader`. Every method raises what `CheckedPool.connection` does."""

    def __init__(self, pool: CheckedPool, plain: CheckedPool) -> None:
        self._pool = pool
        self._plain = PlainQuestions(plain)
        self._is_distributed: bool | None = None

    async def check(self, seconds: float = ANSWER_SECONDS) -> None:
        """Returns when the database is reached, within so many seconds, and has the right schema. Cheap: for readiness."""
        await self._pool.check(seconds)

    async def lag(self, seconds: float = ANSWER_SECONDS) -> float:
        """How many seconds answers may be behind the primary; 0 from a primary. Waits for it at most `seconds`."""
        async with self._pool.connection(seconds) as connection:
            return float(await connection.fetchval(query("read_lag")))

    async def performance(self, vehicle: str, window: Window) -> Performance | None:
        """The performance answer for [window.start, window.end), None for a vehicle that was never seen nor linked."""
        if not await self._history_is_distributed():
            answer = await self._plain.ask(Question(vehicle, window))
            if answer is not None:
                return answer
        async with self.snapshot() as connection:
            evidence = await gather(connection, vehicle, window)
        return None if evidence is None else performance(vehicle, window, evidence)

    async def _history_is_distributed(self) -> bool:
        """Then Citus cannot plan the plain case's statement, and the general way answers. Asked once: who distributes restarts the
        sidecars (docs/scale.md)."""
        if self._is_distributed is None:
            async with self._pool.connection() as connection:
                self._is_distributed = await is_distributed(connection)
        return self._is_distributed

    async def series(self, vehicle: str, window: Window, step: timedelta) -> list[SeriesPoint] | None:
        """The same in steps, cut at UTC multiples of `step` (a multiple of 15 minutes)."""
        async with self.snapshot() as connection:
            evidence = await gather(connection, vehicle, window)
            return None if evidence is None else await series(connection, vehicle, window, evidence, step)

    async def meter(self, device: str, now: datetime) -> MeterState | None:
        """The newest measured state of a meter, None for one that never reported."""
        async with self.snapshot() as connection:
            return await meter_state(connection, device, now)

    async def vehicle(self, device: str, now: datetime) -> VehicleState | None:
        """The newest measured state of a vehicle, None for one that never reported."""
        async with self.snapshot() as connection:
            return await vehicle_state(connection, device, now)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection in whose statements the database stands still: parts of an answer fit each other."""
        async with self._pool.connection() as connection:
            if self._pool.by_transaction:
                yield connection
                return
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                yield connection


@asynccontextmanager
async def open_reader(url: str, *, size: int = POOL_SIZE, by_transaction: bool = False) -> AsyncIterator[Reader]:
    """A reader for the length of the block. It connects when it is first used, and again when connections are lost.

    Args:
        url: PostgreSQL URL.
        size: the most connections at a time for plain performance answers, and as many for all else.
        by_transaction: the URL leads through a pooler in transaction mode (`CheckedPool`).
    """
    make = partial(open_checked_pool, url, size=size, seconds=ANSWER_SECONDS, by_transaction=by_transaction)
    async with make(READER_SETTINGS) as pool, make(PLAIN_READER_SETTINGS) as plain:
        yield Reader(pool, plain)
