"""Daily partitions of history, made ahead of need for every day that the clock window can accept."""

from datetime import UTC, datetime, timedelta

import asyncpg

from joulegate_db.sql import query

DAYS_AHEAD = 2
"""Tomorrow, and one more in case the gateway that makes them is down for a day."""


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def ensure_partitions(
    connection: asyncpg.Connection, now: datetime, *, max_age_days: int, not_before: datetime = EPOCH
) -> int:
    """Creates the missing partitions from `max_age_days` + 1 before `now` to two days after it. Returns how many were made.

    None of a day before `not_before` is made.

    A lock serialises gateways that do this at the same time.
    """
    first = max(now - timedelta(days=max_age_days + 1), not_before).date()
    last = (now + timedelta(days=DAYS_AHEAD)).date()
    async with connection.transaction():
        # by another zone's days, the series of days loses its last one where the clocks skip a midnight
        await connection.execute("set local timezone = 'UTC'")
        created: int = await connection.fetchval(query("ensure_partitions"), first, last)
    return created
