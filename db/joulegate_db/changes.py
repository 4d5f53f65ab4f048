"""What changed in the live tables and among the alerts since a cursor, read once for all who look.

A cursor is the oldest transaction that was not over, on all nodes, when one looked. What is written by it or by a later one has changed
since, or may have: a row may be given twice, none is missed, in whatever order transactions commit. Rows say themselves who wrote them.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Generic, TypeVar

import asyncpg
import msgspec

from joulegate_core.telemetry import Stream
from joulegate_db.alerts import Alert
from joulegate_db.live import STALE_AFTER, MeterState, StateT, VehicleState, with_registers
from joulegate_db.reader import Reader
from joulegate_db.sql import query

RESUMABLE_SECONDS = 3600
"""Who was away for longer reads the lists anew: there is little that has not changed."""

CLOSED_WITHIN_SECONDS = RESUMABLE_SECONDS + 900.0
"""For clocks that differ: alerts are closed by the gateway's."""

_CURSOR = re.compile(r"([0-9]{1,19})-([0-9]{1,12})-([0-9a-f]{8})\Z")


class Cursor(msgspec.Struct, frozen=True):
    """A place in the order of a database's transactions, and when that was, in seconds since 1970.

    `database`: another one, or one restored to an earlier moment, has another name and counts for itself.
    """

    transaction: int
    seconds: int
    database: str

    @classmethod
    def parse(cls, text: str) -> "Cursor | None":
        """The cursor that `str` wrote; None for anything else."""
        found = _CURSOR.match(text)
        return cls(int(found[1]), int(found[2]), found[3]) if found else None

    def __str__(self) -> str:
        return f"{self.transaction}-{self.seconds}-{self.database}"


class Now(msgspec.Struct, frozen=True):
    """Where one looks from: the `cursor` for the next time, and the `next` transaction, which is not looked for yet. `in_recovery`: at a
    replica, which may be behind what the primary, or another one, has told.
    """

    cursor: Cursor
    next: int
    in_recovery: bool

    def reaches(self, since: Cursor) -> bool:
        """Whether changes since then can be given now: it is no future of a replica's."""
        return since.transaction <= self.next and not self.has_lost(since)

    def has_lost(self, since: Cursor) -> bool:
        """Whether changes since then can never be given: it is of another database, of what is undone, or long ago."""
        is_undone = since.transaction > self.next and not self.in_recovery
        seconds = self.cursor.seconds - since.seconds + 1
        return since.database != self.cursor.database or is_undone or seconds > RESUMABLE_SECONDS


ItemT = TypeVar("ItemT", MeterState, VehicleState, Alert)


class Change(msgspec.Struct, Generic[ItemT], frozen=True):
    """What is there now, and the transaction that wrote it."""

    written: int
    item: ItemT


class Changes(msgspec.Struct, frozen=True):
    """What changed: devices in the order of their ids, alerts in the order of theirs."""

    now: Now
    vehicles: list[Change[VehicleState]] = []
    meters: list[Change[MeterState]] = []
    alerts: list[Change[Alert]] = []


class Wanted(msgspec.Struct, frozen=True):
    """What is looked for."""

    vehicles: bool
    meters: bool
    alerts: bool


async def now(connection: asyncpg.Connection) -> Now:
    """Where one looks from who reads live rows afterwards.

    Args:
        connection: in a snapshot, if at all, whose first question this is.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: the database failed.
    """
    row = await connection.fetchrow(query("changes_now"))
    return Now(Cursor(row["oldest"], row["seconds"], row["database"]), row["next"], row["in_recovery"])


async def changes(reader: Reader, since: Iterable[Cursor], wanted: Wanted, at: datetime) -> Changes:
    """What changed since the oldest of `since` that is in reach; nothing when none is, but where one is now.

    Raises:
        what every method of the reader raises.
    """
    async with reader.snapshot() as connection:
        here = await now(connection)
        reached = [cursor.transaction for cursor in since if here.reaches(cursor)]
        if not reached:
            return Changes(here)
        span = (min(reached), here.next)
        return Changes(
            here,
            vehicles=await _live(connection, Stream.VEHICLE, VehicleState, span, at) if wanted.vehicles else [],
            meters=await _live(connection, Stream.METER, MeterState, span, at) if wanted.meters else [],
            alerts=await _alerts(connection, span) if wanted.alerts else [],
        )


async def _live(
    connection: asyncpg.Connection, stream: Stream, kind: type[StateT], span: tuple[int, int], at: datetime
) -> list[Change[Any]]:
    rows = await connection.fetch(query(f"changes_{stream}"), *span, at - STALE_AFTER)
    states = [kind(**{name: row[name] for name in kind.__struct_fields__}) for row in rows]
    registers = [state.device for state, row in zip(states, rows, strict=True) if row["is_register"]]
    states = await with_registers(connection, stream, states, registers)
    return [Change(row["written"], state) for row, state in zip(rows, states, strict=True)]


async def _alerts(connection: asyncpg.Connection, span: tuple[int, int]) -> list[Change[Alert]]:
    rows = await connection.fetch(query("changes_alert"), *span, CLOSED_WITHIN_SECONDS)
    return [Change(row["written"], Alert(**{name: row[name] for name in Alert.__struct_fields__})) for row in rows]
