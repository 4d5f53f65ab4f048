"""Days of history as tables: listed, read in order, taken out, dropped, and put back. What goes into files is the command's business."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta

import asyncpg
import msgspec

from joulegate_core.telemetry import Stream
from joulegate_db.declarations import declarations_locked
from joulegate_db.sql import query

ARCHIVER_SETTINGS = {
    "application_name": "joulegate-archive",
    "synchronous_commit": "on",
    "lock_timeout": "30s",
    "jit": "off",
    "TimeZone": "UTC",
    "work_mem": "64MB",
}
"""No statement timeout: a day is read in order, which may be a sort."""

COLUMNS = {
    Stream.METER: ("ts", "kwh", "voltage", "late", "device", "charge_point"),
    Stream.VEHICLE: ("ts", "kwh", "battery_temp", "soc", "late", "device", "charge_point"),
}
"""In the order of the statements `archive_readings_*`."""


class DayTable(msgspec.Struct, frozen=True):
    """A table with a stream's readings of a UTC day. `attached`: part of history; `pending`: a detach was killed half way."""

    stream: str
    day: date
    name: str
    attached: bool
    pending: bool


class ArchiveState(msgspec.Struct, frozen=True):
    """What must be behind a day before it can be archived. `look_back`: the gateways' clock window + 1 day."""

    rolled_until: datetime
    attributed_until: datetime
    archived_until: datetime
    look_back: timedelta
    marks: bool
    charging_marks: bool
    registers: bool


def midnight(day: date) -> datetime:
    """When the UTC day begins."""
    return datetime.combine(day, time(), UTC)


def table_name(stream: Stream, day: date) -> str:
    """The name of the day's partition."""
    return f"{stream}_history_{day:%Y%m%d}"


async def lock(connection: asyncpg.Connection) -> bool:
    """Whether this connection may archive; it then may for as long as it lasts."""
    return bool(await connection.fetchval(query("archive_lock")))


async def is_owner(connection: asyncpg.Connection) -> bool:
    """Whether this login may take days out of history and put them back: nobody but the tables' owner may."""
    return bool(await connection.fetchval(query("archive_owner")))


async def day_tables(connection: asyncpg.Connection) -> list[DayTable]:
    """All of them, oldest first, after ending what a killed detach had begun."""
    tables = await _day_tables(connection)
    for table in tables:
        if table.pending:
            await connection.execute(_statement("archive_finalize", Stream(table.stream), table.day))
    return await _day_tables(connection) if any(table.pending for table in tables) else tables


async def _day_tables(connection: asyncpg.Connection) -> list[DayTable]:
    return [DayTable(**dict(row)) for row in await connection.fetch(query("archive_tables"))]


async def archive_state(connection: asyncpg.Connection, until: datetime) -> ArchiveState:
    """What stands in the way of archiving the days before `until`."""
    return ArchiveState(**dict(await connection.fetchrow(query("archive_state"), until)))


async def seal(connection: asyncpg.Connection, until: datetime, check: Callable[[ArchiveState], None]) -> None:
    """Declares the days before `until` archived, if `check` does not raise. No roller, rebuild or declaration is at work meanwhile.

    Nor is a writer: what it was about to commit is seen by `check`, and a replay after it sees that the days are archived.
    """
    async with declarations_locked(connection):
        await connection.execute(query("wait_for_writers"))
        check(await archive_state(connection, until))
        await connection.execute(query("archive_seal"), until)


async def read_day(
    connection: asyncpg.Connection, stream: Stream, table: str, take: Callable[[bytes], Awaitable[None]]
) -> None:
    """Hands the table's rows to `take` as CSV, sorted by device and time, in pieces that end anywhere."""
    statement = query(f"archive_readings_{stream}").replace("$TABLE", table)
    await connection.copy_from_query(statement, output=take, format="csv")


async def detach(connection: asyncpg.Connection, stream: Stream, day: date) -> None:
    """Takes the day out of history. Nothing can write to it afterwards."""
    await connection.execute(_statement("archive_detach", stream, day))


async def attach(connection: asyncpg.Connection, stream: Stream, day: date) -> None:
    """Puts a day's table into history."""
    await connection.execute(_statement("archive_attach", stream, day))


async def drop(connection: asyncpg.Connection, stream: Stream, day: date) -> None:
    """Drops a detached day."""
    await connection.execute(_statement("archive_drop", stream, day))


async def was_measured(connection: asyncpg.Connection, since: date, until: date) -> bool:
    """Whether there are rollups of the days [since, until)."""
    return bool(await connection.fetchval(query("archive_hole"), midnight(since), midnight(until)))


async def fill(connection: asyncpg.Connection, stream: Stream, day: date, rows: AsyncIterator[bytes]) -> str:
    """Makes a table of its own for the day, fills it with CSV, and returns its name."""
    await connection.execute(_statement("archive_restore_table", stream, day))
    name = f"restoring_{table_name(stream, day)}"
    await connection.copy_to_table(name, source=rows, columns=COLUMNS[stream], format="csv", schema_name="public")
    return name


async def put_back(connection: asyncpg.Connection, day: date, streams: Iterable[Stream]) -> None:
    """Makes the filled tables of `streams` history; with them the day is complete again."""
    async with declarations_locked(connection):
        for stream in streams:
            await connection.execute(_statement("archive_restore_rename", stream, day))
            await attach(connection, stream, day)
        await connection.execute(query("archive_unseal"), midnight(day))


def _statement(name: str, stream: Stream, day: date) -> str:
    """Identifiers cannot be parameters; these are made of a stream's name and a date alone."""
    values = {
        "$TABLE": table_name(stream, day),
        "$PARENT": f"{stream}_history",
        "$SINCE": day.isoformat(),
        "$UNTIL": (day + timedelta(days=1)).isoformat(),
    }
    statement = query(name)
    for placeholder, value in values.items():
        statement = statement.replace(placeholder, value)
    return statement
