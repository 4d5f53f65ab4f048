"""Archives days, oldest first. Killed anywhere it can be run again, and goes on:

    files written -> read back, compared with the database -> manifest -> sealed (never rolled again)
    -> detached -> compared once more, now that nothing can write to it -> dropped

Until the manifest is there, files are made anew; from then on the day's tables are compared with it before each is dropped.
"""

from collections.abc import AsyncIterator, Callable
from datetime import date, datetime, timedelta
from importlib.metadata import version

import asyncpg

from joulegate_cli.archive.files import Rows, digest_of_file, digest_of_table, write_file, writing
from joulegate_cli.archive.layout import FORMAT, Archive, ArchiveError, Manifest, Part, sha256_of
from joulegate_core.clock import utc_now
from joulegate_core.telemetry import Stream
from joulegate_db import archive as db
from joulegate_db.archive import ArchiveState, DayTable, midnight
from joulegate_db.citus import is_distributed

DAY = timedelta(days=1)

Tell = Callable[[str, date], None]
"""Hears of each step that is done."""


def least_age(state: ArchiveState, max_age_days: int) -> timedelta:
    """How old a day must be: nothing that can still arrive may belong to it, nor may a register look back into it.

    A late register reading is as old as the clock window, and its last accepted one up to the window + 1 day older.
    """
    window = max(timedelta(days=max_age_days) + DAY, state.look_back)
    return 2 * window - DAY if state.registers else window


async def archive_days(
    connection: asyncpg.Connection, archive: Archive, *, older_than: timedelta, max_age_days: int, tell: Tell
) -> AsyncIterator[Manifest]:
    """Archives every day that ended longer ago than `older_than`, and yields what was archived.

    Raises:
        ArchiveError: the login is not the owner's, `older_than` is too short, another archive runs, or a day cannot be archived;
            those before it are.
    """
    await require_owner(connection)
    if not await db.lock(connection):
        raise ArchiveError("another archive or restore is at work on this database: wait until it has ended")
    now = utc_now()
    least = least_age(await db.archive_state(connection, now), max_age_days)
    if older_than < least:
        raise ArchiveError(
            f"--older-than must be at least {least.days}d here: readings, and what registers look back to, may be as old as that "
            "(JOULEGATE_MAX_AGE_DAYS, as the command and the gateways have it)"
        )
    by_day: dict[date, list[DayTable]] = {}
    for table in await db.day_tables(connection):
        if midnight(table.day) + DAY <= now - older_than:
            by_day.setdefault(table.day, []).append(table)
    for day, tables in sorted(by_day.items()):
        yield await _archive_day(connection, archive, day, tables, tell)


async def require_owner(connection: asyncpg.Connection) -> None:
    """Raises ArchiveError before anything is written or sealed that could then not be taken out."""
    if await is_distributed(connection):
        raise ArchiveError(
            "history is distributed over a Citus cluster, whose days cannot be archived or restored (docs/scale.md): nothing was done"
        )
    if not await db.is_owner(connection):
        raise ArchiveError(
            "archiving and restoring take tables out of history and put them in, which needs the owner's login: "
            "give JOULEGATE_DATABASE_URL as `joulegate migrate` has it (docs/roles.md)"
        )


async def _archive_day(
    connection: asyncpg.Connection, archive: Archive, day: date, tables: list[DayTable], tell: Tell
) -> Manifest:
    manifest = archive.manifest(day)
    if manifest is None:
        _require_both(day, tables)
        _require_final(await db.archive_state(connection, midnight(day) + DAY), midnight(day) + DAY, day)
        parts = {}
        for stream in Stream:
            parts[stream.value] = await _export(connection, archive, stream, day)
            tell(f"{stream} written", day)
        manifest = Manifest(FORMAT, day, utc_now(), version("joulegate"), parts)
        with writing(archive.root):
            archive.write_manifest(manifest)
        tell("manifest written", day)
    else:
        await _compare_again(connection, archive, manifest, tables)
    await db.seal(connection, midnight(day) + DAY, lambda state: _require_final(state, midnight(day) + DAY, day))
    tell("sealed", day)
    for table in tables:
        await _take_out(connection, manifest, table, tell)
    return manifest


def _require_both(day: date, tables: list[DayTable]) -> None:
    if [table.attached for table in tables] != [True] * len(Stream):
        names = ", ".join(table.name for table in tables)
        raise ArchiveError(
            f"{day}: only {names} is there, or is detached, and the archive has no manifest of that day: "
            "name the folder that the day was archived to (--to)"
        )


def _require_final(state: ArchiveState, until: datetime, day: date) -> None:
    """What is derived from the day must be as it will be for good."""
    behind = min(state.rolled_until, state.attributed_until) < until
    if behind or state.marks or state.charging_marks:
        raise ArchiveError(
            f"{day}: its rollups are not final ({'not computed yet' if behind else 'late readings or changes wait to be computed'}): "
            "let a gateway run until `joulegate doctor` says that rollups are in order"
        )


async def _export(connection: asyncpg.Connection, archive: Archive, stream: Stream, day: date) -> Part:
    path = archive.file(stream, day)
    there = await write_file(connection, stream, db.table_name(stream, day), path)
    _require_same(there, digest_of_file(path, stream), f"{path} does not hold what was written to it: look at the disk")
    return Part(there.rows, there.digest, path.stat().st_size, sha256_of(path))


async def _compare_again(
    connection: asyncpg.Connection, archive: Archive, manifest: Manifest, tables: list[DayTable]
) -> None:
    """A former run ended here: files and tables must still be what the manifest says. An empty table is a partition made anew."""
    for stream in Stream:
        part = manifest.parts[stream]
        path = archive.file(stream, manifest.day)
        _require_same(
            Rows(part.rows, part.digest),
            digest_of_file(path, stream),
            f"{path} is not what the manifest says: restore it from a copy, or move the day's manifest away to write it anew",
        )
    for table in tables:
        part = manifest.parts[table.stream]
        found = await digest_of_table(connection, Stream(table.stream), table.name)
        if found.rows:
            _require_same(
                Rows(part.rows, part.digest),
                found,
                f"{table.name} has other readings ({found.rows:,}) than the archive ({part.rows:,}): were some accepted after it was "
                "archived? Move the day's files and manifest elsewhere, and run this again",
            )


async def _take_out(connection: asyncpg.Connection, manifest: Manifest, table: DayTable, tell: Tell) -> None:
    stream, part = Stream(table.stream), manifest.parts[table.stream]
    if table.attached:
        await db.detach(connection, stream, table.day)
        tell(f"{stream} detached", table.day)
    found = await digest_of_table(connection, stream, table.name)
    if found.rows and found != Rows(part.rows, part.digest):
        await db.attach(connection, stream, table.day)
        raise ArchiveError(f"{table.name} changed while it was archived, and is history again: run this again")
    await db.drop(connection, stream, table.day)
    tell(f"{stream} dropped", table.day)


def _require_same(one: Rows, other: Rows, problem: str) -> None:
    if one != other:
        raise ArchiveError(problem)
