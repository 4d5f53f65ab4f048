"""Attribution kept in a table: whose AC it was (docs/energy.md), by vehicle and 15-minute bucket, and the sums of the last 24 h.

Whatever changes a rollup leaves a mark in its transaction (touched.py). Marks are taken and attributed in one transaction
here: after a crash at any point either the marks are still there or the rows are right.
"""

import asyncpg

from joulegate_db.citus import form, settle_rollups
from joulegate_db.sql import query

MARKS_A_STEP = 40_000
"""Two buckets of 10,000 pairs: a step is a second or two, and can be interrupted."""


class Charging:
    """The roller's hands for attribution. Every method may be interrupted anywhere and called again.

    Args:
        connection: the roller's, which holds its lock: two of these would overwrite each other's rows.
    """

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def attribute(self) -> int:
        """Attributes what changed in the rollups since, up to a limit; returns how many marks there were, 0 when all is done."""
        async with self._connection.transaction():
            marks = await self._connection.fetch(query("charging_take_marks"), MARKS_A_STEP)
            if marks:
                await settle_rollups(self._connection)  # the marks' rollups are seen by what follows
                buckets, charge_points, vehicles = zip(*marks, strict=True)
                statement = await form(self._connection, query("charging_set"))
                await self._connection.execute(statement, buckets, charge_points, vehicles, min(buckets), max(buckets))
            await self._connection.execute(query("charging_advance"), bool(marks))
        return len(marks)

    async def refresh(self) -> bool:
        """Brings the sums of the last 24 h up to date; False when they were."""
        async with self._connection.transaction():
            if not await self._connection.fetchval(query("charging_stale")):
                return False
            for statement in ("charging_day_rows", "charging_day_forget", "charging_day_done"):
                await self._connection.execute(query(statement))
        return True

    async def vacuum(self) -> None:
        """Makes what was attributed visible to all in the visibility map: only then are sums index-only scans."""
        await self._connection.execute(query("charging_vacuum"))
