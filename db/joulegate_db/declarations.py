"""What people declare (links, kinds of energy) and the rollups that were computed with it: changed and computed one at a time.

Rollups are split by link and computed by kind, so that a change must reach those that exist. The lock makes that simple. Every
change, and every step of the roller, takes it at the beginning of a transaction and holds it beyond the commit. Hence, for a change C:

- A step before C has committed: its rows are seen by C, which marks those that it touches. Until a later step takes the marks,
  readers go to history, where links and kinds are looked up as they are.
- A step after C begins its first statement when C is committed, and sees what it computes with.
- No step runs beside C. In particular a mark of C cannot be taken by a step that does not see C; nor can the mark that a
  writer appends for a late reading, and the reading itself may be one that C cannot see yet.

So C need not look at buckets that are not rolled, closed or open: they will be, by a step after it. Writers never take this lock;
readings flow on during a large import.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from joulegate_db.citus import settle_rollups
from joulegate_db.sql import query

DECLARER_SETTINGS = {
    "application_name": "joulegate-declare",
    "lock_timeout": "60s",  # the roller holds the lock for one step, seconds even after a long outage
    "jit": "off",
    "plan_cache_mode": "force_custom_plan",
    "TimeZone": "UTC",
}
"""For a command that changes links or declarations."""


@asynccontextmanager
async def declarations_locked(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """A transaction in which links and declarations stand still, or are changed by the caller alone."""
    async with connection.transaction(isolation="read_committed"):
        await connection.execute(query("roll_lock_declarations"))
        await settle_rollups(connection)  # what was changed before is seen on all nodes
        yield
