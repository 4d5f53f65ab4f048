"""The reader: answers from the database, each from one snapshot, over a pool of read-only connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import asyncpg

from joulegate_core.errors import DatabaseUnavailableError
from joulegate_db.connect import READER_SETTINGS, open_pool, unavailable
from joulegate_db.evidence import gather
from joulegate_db.failures import DATABASE_ERRORS, is_permanent
from joulegate_db.live import MeterState, VehicleState, meter_state, vehicle_state
from joulegate_db.migrate import require_schema
from joulegate_db.performance import Performance, performance
from joulegate_db.series import series
from joulegate_db.windows import Window

POOL_SIZE = 8
"""Twice the cores that the database is likely to have: more would only wait inside the database instead of before it."""

ACQUIRE_SECONDS = 5.0
"""How long a question waits for a connection, a new one included; then the database is busy or out of reach."""

COMMAND_SECONDS = 15.0
"""Longer than the session's statement timeout: it ends a wait for a server that no longer answers."""


class QueryTimeoutError(DatabaseUnavailableError):
    """A statement ran into the reader's statement timeout: the question is too large, or the server too busy."""


class Reader:
    """Reads answers. Made by `open_reader`. The schema is checked before the first answer, and again after an outage.

    Every method raises:
        DatabaseUnavailableError: the database cannot be reached, or fails for a reason that passes.
        QueryTimeoutError: an answer took longer than the statement timeout.
        SchemaMismatchError: the schema is not this version's.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._schema_matches = False

    async def check(self) -> None:
        """Returns when the database is reached and has the right schema. Cheap: for readiness."""
        async with self._connection() as connection:
            await require_schema(connection)

    async def performance(self, vehicle: str, window: Window) -> Performance | None:
        """The performance answer for [window.start, window.end), None for a vehicle that was never seen nor linked."""
        async with self.snapshot() as connection:
            evidence = await gather(connection, vehicle, window)
        return None if evidence is None else performance(vehicle, window, evidence)

    async def series(self, vehicle: str, window: Window, step: timedelta) -> list[Performance] | None:
        """The same in steps, cut at UTC multiples of `step` (a multiple of 15 minutes)."""
        async with self.snapshot() as connection:
            evidence = await gather(connection, vehicle, window)
        return None if evidence is None else series(vehicle, window, evidence, step)

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
        async with (
            self._connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                if not self._schema_matches:
                    await require_schema(connection)
                    self._schema_matches = True
                yield connection
        except asyncpg.QueryCanceledError as error:
            raise QueryTimeoutError("the database took too long to answer") from error
        except DATABASE_ERRORS as error:
            if is_permanent(error):
                raise
            self._schema_matches = False
            raise unavailable(error) from error


@asynccontextmanager
async def open_reader(url: str, *, size: int = POOL_SIZE) -> AsyncIterator[Reader]:
    """A reader for the length of the block. It connects when it is first used, and again when connections are lost.

    Args:
        url: PostgreSQL URL.
        size: the most connections at a time.
    """
    async with open_pool(url, READER_SETTINGS, size=size, command_timeout=COMMAND_SECONDS) as pool:
        yield Reader(pool)
