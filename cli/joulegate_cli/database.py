"""A connection for a command that changes what people declare, or moves history."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

T = TypeVar("T")


def with_declarer(work: Callable[[asyncpg.Connection], Coroutine[Any, Any, T]]) -> T:
    """What `work` returns, which gets the connection of a `declarer`; for a command that does one thing.

    Raises:
        as `declarer`.
    """

    async def run() -> T:
        async with declarer() as connection:
            return await work(connection)

    return asyncio.run(run())


@asynccontextmanager
async def declarer() -> AsyncIterator[asyncpg.Connection]:
    """A connection to JOULEGATE_DATABASE_URL, on a schema that was checked.

    Raises:
        SettingsError, DatabaseUnavailableError, SchemaMismatchError: said to the user in one line.
    """
    from joulegate_db.declarations import DECLARER_SETTINGS

    async with _session(DECLARER_SETTINGS) as connection:
        yield connection


@asynccontextmanager
async def archiver() -> AsyncIterator[asyncpg.Connection]:
    """The same, for reading days of history from beginning to end, and taking them out."""
    from joulegate_db.archive import ARCHIVER_SETTINGS

    async with _session(ARCHIVER_SETTINGS) as connection:
        yield connection


@asynccontextmanager
async def _session(session: dict[str, str]) -> AsyncIterator[asyncpg.Connection]:
    from joulegate_core.settings import load_settings
    from joulegate_db.connect import connect, unavailable
    from joulegate_db.failures import DATABASE_ERRORS, is_permanent
    from joulegate_db.migrate import require_schema

    connection = await connect(load_settings(os.environ).database_url, session)
    try:
        await require_schema(connection)
        yield connection
    except DATABASE_ERRORS as error:
        if is_permanent(error):
            raise
        raise unavailable(error) from error
    finally:
        connection.terminate()
