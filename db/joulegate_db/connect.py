"""Connections and pools, with the session settings that each role needs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from joulegate_core.errors import DatabaseUnavailableError, PoolerError
from joulegate_core.tls import DATABASE, tls_failure, why_tls_failed
from joulegate_db.failures import describe
from joulegate_db.sql import query

CONNECT_TIMEOUT_SECONDS = 10.0
POOL_CLOSE_SECONDS = 3.0
STATEMENTS = 100

WRITER_SETTINGS = {
    "application_name": "joulegate-gateway",
    "synchronous_commit": "on",  # a PUBACK says that the reading is on disk
    "lock_timeout": "10s",  # a lock held on a table: give up, say so, try again
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
    # staging tables carry no statistics, and a day's partition is empty when its plans are made: these keep the planner
    # on the primary keys of history
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    "jit": "off",
}

READER_SETTINGS = {
    "application_name": "joulegate-http",
    "default_transaction_read_only": "on",
    "plan_cache_mode": "force_custom_plan",  # the window is known when planning: partitions are pruned
    "jit": "off",
    "statement_timeout": "10s",
    "TimeZone": "UTC",
}

PLAIN_READER_SETTINGS = READER_SETTINGS | {
    # planning would take longer than the statement runs; which partitions it reads it decides when it begins
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",  # the plan may be older than what is in the tables of marks
    # a primary key finds a handful of readings; block ranges of days would be combined with it
    "enable_bitmapscan": "off",
    "enable_sort": "off",  # groups are few
}

ROLLER_SETTINGS = {
    "application_name": "joulegate-roller",
    "lock_timeout": "30s",
    "jit": "off",
    "plan_cache_mode": "force_custom_plan",
    "work_mem": "64MB",  # a bucket of 100,000 devices is sorted in memory
    "TimeZone": "UTC",
}

MIGRATION_SETTINGS = {"application_name": "joulegate-migrate", "lock_timeout": "30s"}


THROUGH_POOLER = (
    "the connection does not keep the session's settings: it leads through a pooler (PgBouncer in transaction mode?). "
    "JOULEGATE_DATABASE_URL needs a direct connection; JOULEGATE_READ_DATABASE_URL may lead through a pooler "
    "with JOULEGATE_READ_POOLING=transaction (docs/scale.md)"
)


async def connect(url: str, settings: dict[str, str]) -> asyncpg.Connection:
    """Opens one connection.

    Raises:
        DatabaseUnavailableError: the server cannot be reached, or refuses the connection; the message holds no password.
        PoolerError: a pooler answers, and does not take the settings.
    """
    try:
        return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_SECONDS, server_settings=settings)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise unavailable(error) from error


@asynccontextmanager
async def open_pool(
    url: str, settings: dict[str, str], *, size: int, command_timeout: float, statements: int = STATEMENTS
) -> AsyncIterator[asyncpg.Pool]:
    """A pool for the length of the block; it connects when it is first used. Connections that do not let go are dropped.

    Args:
        statements: so many prepared statements are kept with each connection; 0 also names none.
    """
    pool = asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size,
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=command_timeout,
        server_settings=settings,
        statement_cache_size=statements,
        reset=_is_clean,
    )
    await pool
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(POOL_CLOSE_SECONDS):
                await pool.close()
        except TimeoutError:
            pool.terminate()


async def _is_clean(_: asyncpg.pool.PoolConnectionProxy) -> None:
    """Instead of asyncpg's DISCARD of what a session may have set, a statement and a wait after each question. Ours set nothing, and
    asyncpg has rolled back what was not ended."""


async def require_settings(connection: asyncpg.Connection, settings: dict[str, str]) -> None:
    """Returns when the session has the settings that it was opened with. A pooler may be told to swallow them
    (`ignore_startup_parameters`); all that is kept for a session is then somebody else's in the next transaction.

    Raises:
        PoolerError: it has not.
    """
    if await connection.fetchval(query("settings_missing"), list(settings)):
        raise PoolerError(THROUGH_POOLER)


def unavailable(error: BaseException) -> DatabaseUnavailableError | PoolerError:
    """The error for a person: what happened and what to look at."""
    refused = tls_failure(error)
    if refused is not None:
        return DatabaseUnavailableError(f"the database cannot be used: {why_tls_failed(refused, DATABASE)}")
    if isinstance(error, asyncpg.ProtocolViolationError) and "startup parameter" in str(error):
        return PoolerError(THROUGH_POOLER)
    reason = error.strerror if isinstance(error, OSError) and error.strerror else describe(error)
    if isinstance(error, FileNotFoundError | PermissionError):
        reason += " (the server's socket, or a file named by sslrootcert, sslcert or sslkey)"
    if isinstance(error, asyncpg.ClientConfigurationError) and any(word in str(error) for word in ("ssl", "root cert")):
        reason = str(error).split("\n", maxsplit=1)[0]  # names a parameter and a file; others may repeat the URL
    if isinstance(error, asyncpg.PostgresError):
        reason = f"{error.args[0]} (SQLSTATE {error.sqlstate})"
    if isinstance(error, asyncpg.ConnectionDoesNotExistError | ConnectionResetError):
        # a server that says no to a certificate closes; what we had sent then makes TCP lose its reason
        reason += "; with TLS that can be a no to the certificate of sslcert: the server's log says why"
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return DatabaseUnavailableError(
            f"the database refuses: {reason}. The login lacks a right; docs/roles.md says which role each service and command needs"
        )
    return DatabaseUnavailableError(
        f"the database cannot be used: {reason}. Check JOULEGATE_DATABASE_URL and that PostgreSQL 15 or newer is running"
    )
