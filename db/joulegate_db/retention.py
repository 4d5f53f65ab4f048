"""Retention: what is older than it is to be kept goes, in batches that hold nothing up. Readings are `joulegate archive`'s business.

What is derived goes by months, whole partitions at a time, and only where the readings that it was derived from are archived: as long as
history has a day, its rollups answer for it.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from joulegate_db.sql import query

BATCH = 10_000
"""Rows in a transaction: some tens of milliseconds."""

QUARANTINE_BATCH = 1000
"""Gateways that have something to quarantine wait for it."""

KINDS = ("rollups", "presence", "quarantine", "alerts")


class Keep(msgspec.Struct, frozen=True):
    """How long each is kept; None: for ever. `rollups`: with all that is derived, and with presence."""

    rollups: timedelta | None
    quarantine: timedelta | None
    alerts: timedelta | None


class Removed(msgspec.Struct, frozen=True):
    """One batch. `kind` is one of KINDS; `rows` may be 0. Rollups go as the partition `table`, whose rows are not counted."""

    kind: str
    rows: int
    table: str | None = None


async def remove_old(connection: asyncpg.Connection, keep: Keep, now: datetime) -> AsyncIterator[Removed]:
    """Removes what is older than `keep` says, one transaction a step. May be left at any step, and begun anew.

    Args:
        connection: the roller's, which holds its lock: one removes at a time.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: the database failed; what was yielded is done.
    """
    if keep.rollups is not None:
        async for one in _rollups(connection, now - keep.rollups):
            yield one
    if keep.quarantine is not None:
        async for one in _quarantine(connection, now - keep.quarantine):
            yield one
    if keep.alerts is not None:
        rows = BATCH
        while rows == BATCH:
            rows = await connection.fetchval(query("retention_alerts"), now - keep.alerts, BATCH)
            yield Removed("alerts", rows)


async def _rollups(connection: asyncpg.Connection, before: datetime) -> AsyncIterator[Removed]:
    day = before.astimezone(UTC).date()
    try:
        while table := await connection.fetchval(query("retention_rollups"), day):
            yield Removed("rollups", 0, table)
    except asyncpg.LockNotAvailableError:
        return  # a long answer reads them: next time
    begin = await connection.fetchval(query("retention_begin"))
    if begin is None:
        return
    begin = min(begin, before)
    for name in ("retention_presence", "retention_baselines"):
        after, row = "", await _batch(connection, name, "", begin)
        while row["removed"]:
            yield Removed("presence", row["removed"])
            after = row["next"]
            row = await _batch(connection, name, after, begin)


async def _batch(connection: asyncpg.Connection, name: str, after: str, begin: datetime) -> Any:
    return await connection.fetchrow(query(name), after, begin, BATCH)


async def _quarantine(connection: asyncpg.Connection, before: datetime) -> AsyncIterator[Removed]:
    last, more = 0, True
    while more:
        row = await connection.fetchrow(query("retention_quarantine"), last, before, QUARANTINE_BATCH)
        last, more = row["last"], row["more"]
        yield Removed("quarantine", row["removed"])
