"""What each gateway may have subscribed at the broker: share groups by client id, '' for the plain form."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import asyncpg

from joulegate_db.connect import connect, unavailable
from joulegate_db.failures import DATABASE_ERRORS
from joulegate_db.sql import query

SUBSCRIPTION_SETTINGS = {
    "application_name": "joulegate-subscriptions",
    "synchronous_commit": "on",  # a form must be on disk before it is subscribed
    "lock_timeout": "10s",
    "statement_timeout": "10s",
}

ANSWER_TIMEOUT_SECONDS = 20.0
"""Longer than the session's timeouts: it ends a wait for a server that no longer answers at all."""


class SubscriptionRecord:
    """The rows of one client. They are read and written when something changes, each time over a connection of its own.

    Every method raises DatabaseUnavailableError when the database cannot be reached, does not answer, or refuses.

    Args:
        url: PostgreSQL URL.
        client_id: MQTT client id; only its digest is stored.
    """

    def __init__(self, url: str, client_id: str) -> None:
        self._url = url
        self._client = hashlib.sha256(client_id.encode()).digest()

    async def read(self) -> set[str]:
        """The share groups that are noted."""
        async with self._connection() as connection:
            return {row["share_group"] for row in await connection.fetch(query("subscription_list"), self._client)}

    async def note(self, share_group: str) -> None:
        """Notes a form that is about to be subscribed; nothing changes when it is noted already."""
        async with self._connection() as connection:
            await connection.execute(query("subscription_note"), self._client, share_group)

    async def forget(self, share_groups: Iterable[str]) -> None:
        """Forgets forms that are unsubscribed."""
        async with self._connection() as connection:
            await connection.execute(query("subscription_forget"), self._client, list(share_groups))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await connect(self._url, SUBSCRIPTION_SETTINGS)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                yield connection
        except DATABASE_ERRORS as error:
            raise unavailable(error) from error
        finally:
            connection.terminate()
