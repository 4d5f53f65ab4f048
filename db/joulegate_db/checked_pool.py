"""A pool for services that answer questions: every wait has an end, the schema is checked, errors are sorted.

A question waits for a connection, then for the database. Both end: the first after `ACQUIRE_SECONDS`, the whole by the time that the
pool was made with. A connection that is silent beyond that is cut off, not asked to stop: a server that has gone would not hear it.

asyncpg's pool makes connections and takes leave of them. Between two questions those that served well are kept here: to give one back and
to take one again, with asyncpg's tasks and timers, costs a quarter of what a plain answer takes here.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from joulegate_core.errors import DatabaseUnavailableError
from joulegate_db.connect import STATEMENTS, open_pool, require_settings, unavailable
from joulegate_db.failures import DATABASE_ERRORS, is_permanent, needs_new_connection
from joulegate_db.migrate import require_schema
from joulegate_db.sql import query

ACQUIRE_SECONDS = 5.0
"""How long a question waits for a connection, a new one included; then the database is busy or out of reach."""

KEEP_SECONDS = 240.0
"""How long a connection is kept without a question; then asyncpg's pool has it, which closes it."""


class QueryTimeoutError(DatabaseUnavailableError):
    """A statement ran into the session's statement timeout: the question is too large, or the server too busy."""


class DatabaseBusyError(DatabaseUnavailableError):
    """All connections of the pool were taken by other questions for as long as one waits."""


class ReplicaConflictError(DatabaseUnavailableError):
    """A replica cancelled a statement that stood in the way of replaying what the primary has done (40001)."""


class CheckedPool:
    """Made by `open_checked_pool`. The schema is checked before the first use of a connection, and again after an outage.

    `by_transaction`: each question is a read-only transaction of its own, in one snapshot, and its settings go with it: there is a
    pooler between, and every transaction may have another session.
    """

    def __init__(
        self, pool: asyncpg.Pool, settings: dict[str, str], size: int, seconds: float, *, by_transaction: bool
    ) -> None:
        self.by_transaction = by_transaction
        self._pool = pool
        self._settings = settings
        self._seconds = seconds
        self._schema_matches = False
        self._turns = asyncio.Semaphore(size)
        self._kept: deque[tuple[asyncpg.Connection, float]] = deque()
        """The one that was used last is the last, with when that was by the loop's clock."""

    async def check(self, seconds: float) -> None:
        """Returns when the database is reached, within so many seconds, and has the right schema. Cheap: for readiness.

        Raises:
            as `connection`.
        """
        async with self.connection(seconds) as connection:
            await require_schema(connection)

    @asynccontextmanager
    async def connection(self, seconds: float | None = None) -> AsyncIterator[asyncpg.Connection]:
        """A connection for one question, which takes at most `seconds`, by default as the pool says.

        Raises:
            DatabaseUnavailableError: the database cannot be reached, or fails for a reason that passes.
            DatabaseBusyError: no connection became free.
            QueryTimeoutError: a statement took longer than the statement timeout.
            ReplicaConflictError: a replica cancelled the statement; soon it will not.
            SchemaMismatchError: the schema is not this version's.
            PoolerError: sessions are needed, and a pooler between has none.
        """
        try:
            async with self._acquired(seconds or self._seconds) as connection, self._ready(connection):
                if not self._schema_matches:
                    await require_schema(connection)
                    self._schema_matches = True
                yield connection
        except asyncpg.QueryCanceledError as error:
            raise QueryTimeoutError("the database took too long to answer") from error
        except (
            asyncpg.SerializationError
        ) as error:  # no transaction of ours is serializable: a replica says so, of a conflict
            raise ReplicaConflictError("the replica cancelled the statement for the sake of replication") from error
        except DATABASE_ERRORS as error:
            if is_permanent(error):
                raise
            self._schema_matches = False
            if needs_new_connection(error) or isinstance(error, asyncpg.PostgresConnectionError):
                await self._pool.expire_connections()  # the others lead to the same server and are no better
                self._drop()
            raise unavailable(error) from error

    async def give_back(self, idle_since: float = float("inf")) -> None:
        """Gives the pool the kept connections that have had no question since then, by default all."""
        while self._kept and self._kept[0][1] < idle_since:
            await self._pool.release(self._kept.popleft()[0])

    @asynccontextmanager
    async def _ready(self, connection: asyncpg.Connection) -> AsyncIterator[None]:
        """The settings are there while the block runs."""
        if not self.by_transaction:
            if not self._schema_matches:
                await require_settings(connection, self._settings)
            yield
            return
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.fetch(query("settings_local"), list(self._settings), list(self._settings.values()))
            yield

    @asynccontextmanager
    async def _acquired(self, seconds: float) -> AsyncIterator[asyncpg.Connection]:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        await self._turn(min(seconds, ACQUIRE_SECONDS))
        try:
            connection = await self._take() or await self._pool.acquire(timeout=min(seconds, ACQUIRE_SECONDS))
            cutting_off = loop.call_at(end, connection.terminate)
            try:
                yield connection
            except BaseException:
                await self._pool.release(connection)  # which waits until a statement that was given up has ended
                raise
            finally:
                cutting_off.cancel()
            self._kept.append((connection, loop.time()))
            await self.give_back(loop.time() - KEEP_SECONDS)
        finally:
            self._turns.release()

    async def _turn(self, seconds: float) -> None:
        if not self._turns.locked():
            await self._turns.acquire()
            return
        try:
            async with asyncio.timeout(seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise DatabaseBusyError("the database is busy: all connections are taken by other questions") from None

    async def _take(self) -> asyncpg.Connection | None:
        """A kept connection that still lives; the server may have ended others meanwhile."""
        while self._kept:
            connection, _ = self._kept.pop()
            if _lives(connection):
                return connection
            await self._pool.release(connection)
        return None

    def _drop(self) -> None:
        for connection, _ in self._kept:
            if _lives(connection):
                connection.terminate()
        self._kept.clear()


def _lives(connection: asyncpg.Connection) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # asyncpg's pool has taken leave of it by itself
        return False


@asynccontextmanager
async def open_checked_pool(
    url: str, settings: dict[str, str], *, size: int, seconds: float, by_transaction: bool = False
) -> AsyncIterator[CheckedPool]:
    """A pool for the length of the block; it connects when it is first used, and again when connections are lost.

    Args:
        settings: of the sessions; their statement timeout must be shorter than `seconds`.
        size: the most connections at a time.
        seconds: the most that a question takes.
        by_transaction: for questions that only read, through a pooler in transaction mode; see `CheckedPool`.
    """
    # a pooler takes few settings at the start, and its next transaction may be in a session that knows no prepared statement of ours
    kept = {"application_name": settings["application_name"]} if by_transaction else settings
    statements = 0 if by_transaction else STATEMENTS
    async with open_pool(url, kept, size=size, command_timeout=seconds, statements=statements) as pool:
        checked = CheckedPool(pool, settings, size, seconds, by_transaction=by_transaction)
        try:
            yield checked
        finally:
            await checked.give_back()
