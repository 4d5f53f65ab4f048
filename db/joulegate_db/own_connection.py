"""A connection for one purpose, beside the writer's and the pools."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from joulegate_db.connect import connect, unavailable
from joulegate_db.failures import DATABASE_ERRORS


class OwnConnection:
    """Opened when it is needed, and again after a failure.

    Args:
        url: PostgreSQL URL.
        settings: of the session.
        seconds: the most that a use takes; longer than the session's timeouts, it ends a wait for a server that no longer answers at all.
    """

    def __init__(self, url: str, settings: dict[str, str], *, seconds: float) -> None:
        self._url = url
        self._settings = settings
        self._seconds = seconds
        self._connection: asyncpg.Connection | None = None

    @asynccontextmanager
    async def use(self) -> AsyncIterator[asyncpg.Connection]:
        """The connection, for the length of the block.

        Raises:
            DatabaseUnavailableError: the database cannot be reached, does not answer, or refuses.
        """
        try:
            async with asyncio.timeout(self._seconds):
                if self._connection is None:
                    self._connection = await connect(self._url, self._settings)
                yield self._connection
        except DATABASE_ERRORS as error:
            self.close()
            raise unavailable(error) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Gives the connection up, without a word."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
