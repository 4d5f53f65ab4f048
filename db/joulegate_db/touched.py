"""What a transaction changes in the rollups leaves marks in it: for attribution, and for the look at devices in two places.

Each statement that changes a rollup notes what it touched, in a temporary table of its connection; the marks follow from that
table at the end of the transaction. Without the table such a statement fails: none can change a rollup past the marks.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from joulegate_db.declarations import declarations_locked
from joulegate_db.sql import query


@asynccontextmanager
async def rollups_changed(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """A transaction for what changes rollups, under the lock of declarations; their marks are left when the block ends."""
    async with declarations_locked(connection):
        await connection.execute(query("rollup_touched_table"))
        yield
        await connection.execute(query("rollup_touched_mark"))
