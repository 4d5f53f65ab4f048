"""Links for the HTTP sidecar: a small pool on the database that takes writes, which a reader's may not be."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from joulegate_db.checked_pool import CheckedPool, open_checked_pool
from joulegate_db.declarations import DECLARER_SETTINGS
from joulegate_db.links import Link, LinkFilter, LinkPut, Outcome, delete_link, get_link, links_page, put_link

POOL_SIZE = 2
"""Changes go one at a time anyway; the other connection looks meanwhile."""

ANSWER_SECONDS = 40.0
"""Longer than the session's statement timeout: it ends a wait for a server that no longer answers."""

SETTINGS = DECLARER_SETTINGS | {
    "application_name": "joulegate-http-links",
    "lock_timeout": "10s",  # a client waits for the roller's step, but not for a long import
    "statement_timeout": "30s",
}


class LinkStore:
    """Looks at links and changes them. Reads are from the same database as writes: a client finds what it has just put.

    Every method raises what `CheckedPool.connection` does.
    """

    def __init__(self, pool: CheckedPool) -> None:
        self._pool = pool

    async def page(self, which: LinkFilter, after: int, limit: int) -> list[Link]:
        """Up to `limit` links in order of id, beginning after the id `after`."""
        async with self._pool.connection() as connection:
            return await links_page(connection, which, after, limit)

    async def get(self, number: int) -> Link | None:
        """The link with this id."""
        async with self._pool.connection() as connection:
            return await get_link(connection, number)

    async def put(self, put: LinkPut) -> tuple[Link, Outcome]:
        """Creates a link, changes its end, or finds it as wanted. Raises LinkOverlapError."""
        async with self._pool.connection() as connection:
            return await put_link(connection, put)

    async def delete(self, number: int) -> Link | None:
        """Deletes the link with this id and returns it."""
        async with self._pool.connection() as connection:
            return await delete_link(connection, number)


@asynccontextmanager
async def open_link_store(url: str) -> AsyncIterator[LinkStore]:
    """A store for the length of the block; it connects when it is first used."""
    async with open_checked_pool(url, SETTINGS, size=POOL_SIZE, seconds=ANSWER_SECONDS) as pool:
        yield LinkStore(pool)
