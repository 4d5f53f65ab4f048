"""Connections and pools, with the session settings that each role needs."""

import asyncpg

from joulegate_core.errors import DatabaseUnavailableError
from joulegate_db.failures import describe

CONNECT_TIMEOUT_SECONDS = 10.0

WRITER_SETTINGS = {
    "application_name": "joulegate-gateway",
    "synchronous_commit": "on",  # a PUBACK says that the reading is on disk
    "lock_timeout": "10s",  # a lock held on a table: give up, say so, try again
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
    # staging tables carry no statistics; these keep the planner on the primary keys of history
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
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

ROLLER_SETTINGS = {
    "application_name": "joulegate-roller",
    "lock_timeout": "30s",
    "jit": "off",
    "plan_cache_mode": "force_custom_plan",
    "work_mem": "64MB",  # a bucket of 100,000 devices is sorted in memory
    "TimeZone": "UTC",
}

MIGRATION_SETTINGS = {"application_name": "joulegate-migrate", "lock_timeout": "30s"}


async def connect(url: str, settings: dict[str, str]) -> asyncpg.Connection:
    """Opens one connection.

    Raises:
        DatabaseUnavailableError: the server cannot be reached, or refuses the connection; the message holds no password.
    """
    try:
        return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_SECONDS, server_settings=settings)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise unavailable(error) from error


def create_reader_pool(url: str, *, size: int) -> asyncpg.Pool:
    """A pool for the HTTP sidecar; it is opened by `async with` and connects when it is first used."""
    return asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size,
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=15,
        server_settings=READER_SETTINGS,
    )


def unavailable(error: BaseException) -> DatabaseUnavailableError:
    """The error for a person: what happened and what to look at."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else describe(error)
    if isinstance(error, asyncpg.PostgresError):
        reason = f"{error.args[0]} (SQLSTATE {error.sqlstate})"
    return DatabaseUnavailableError(
        f"the database cannot be used: {reason}. Check JOULEGATE_DATABASE_URL and that PostgreSQL 15 or newer is running"
    )
