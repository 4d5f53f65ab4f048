"""Puts archived days back into history, newest first, so that history has no hole at any time. Killed anywhere it can be run again."""

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta

import asyncpg

from joulegate_cli.archive.files import Rows, csv_of_file, digest_of_file, digest_of_table
from joulegate_cli.archive.layout import Archive, ArchiveError, Manifest
from joulegate_cli.archive.run import Tell, require_owner
from joulegate_core.telemetry import Stream
from joulegate_db import archive as db
from joulegate_db.archive import DayTable, midnight


async def restore_days(
    connection: asyncpg.Connection, archive: Archive, since: date, tell: Tell
) -> AsyncIterator[Manifest]:
    """Restores every day of the archive from `since` on, and yields those that were not there.

    Raises:
        ArchiveError: the login is not the owner's, a file is damaged, the archive lacks a day in between, or history has other
            readings of a day.
    """
    await require_owner(connection)
    if not await db.lock(connection):
        raise ArchiveError("another archive or restore is at work on this database: wait until it has ended")
    manifests = {manifest.day: manifest for manifest in archive.manifests() if manifest.day >= since}
    if since not in manifests:
        raise ArchiveError(f"{archive.root} has no day {since}: `joulegate archive list` shows which it has")
    for day, manifest in sorted(manifests.items(), reverse=True):
        everything = await db.day_tables(connection)
        tables = {table.stream: table for table in everything if table.day == day}
        missing = [stream for stream in Stream if not await _is_there(connection, manifest, tables.get(stream))]
        archived_until = (await db.archive_state(connection, midnight(day))).archived_until
        if not missing and archived_until <= midnight(day):
            continue
        await _require_no_hole(connection, day, everything, archived_until)
        for stream in missing:
            await _fill(connection, archive, manifest, stream)
            tell(f"{stream} filled", day)
        for stream in missing:  # only now: a table that a killed archive left detached may be the last whole copy
            if stream in tables:
                await _take_away(connection, manifest, tables[stream])
        await db.put_back(connection, day, missing)
        tell("attached" if missing else "unsealed", day)
        yield manifest


async def _require_no_hole(
    connection: asyncpg.Connection, day: date, tables: list[DayTable], archived_until: datetime
) -> None:
    """Rollups are rebuilt from the first day of history on: a day after it that is only in an archive would lose its own.

    A partition of an archived day is one that was made anew, and no history.
    """
    after = day + timedelta(days=1)
    history = (table.day for table in tables if table.attached and midnight(table.day) >= archived_until)
    following = min((one for one in history if one > day), default=archived_until.date())
    if following > after and await db.was_measured(connection, after, following):
        raise ArchiveError(
            f"{day} cannot be restored: history begins at {following}, and days between them are not in this archive. "
            "Restore those first, from the folder that they were archived to"
        )


async def _is_there(connection: asyncpg.Connection, manifest: Manifest, table: DayTable | None) -> bool:
    """Whether the stream's readings are history. Not when the table is empty, or was left detached by a killed archive."""
    if table is None:
        return False
    stream, part = Stream(table.stream), manifest.parts[table.stream]
    found = await digest_of_table(connection, stream, table.name)
    if found.rows and found != Rows(part.rows, part.digest):
        raise _other_readings(table, found, manifest)
    return table.attached and found.rows == part.rows


async def _take_away(connection: asyncpg.Connection, manifest: Manifest, table: DayTable) -> None:
    """Drops the table in whose place a filled one comes, after a last look: what came into an empty one meanwhile is not in the archive."""
    stream, part = Stream(table.stream), manifest.parts[table.stream]
    if table.attached:
        await db.detach(connection, stream, table.day)
    found = await digest_of_table(connection, stream, table.name)
    if found.rows and found != Rows(part.rows, part.digest):
        await db.attach(connection, stream, table.day)
        raise _other_readings(table, found, manifest)
    await db.drop(connection, stream, table.day)


def _other_readings(table: DayTable, found: Rows, manifest: Manifest) -> ArchiveError:
    archived = manifest.parts[table.stream].rows
    return ArchiveError(
        f"{table.name} has other readings ({found.rows:,}) than the archive ({archived:,}): move them elsewhere first"
    )


async def _fill(connection: asyncpg.Connection, archive: Archive, manifest: Manifest, stream: Stream) -> None:
    path, part = archive.file(stream, manifest.day), manifest.parts[stream]
    expected = Rows(part.rows, part.digest)
    if digest_of_file(path, stream) != expected:
        raise ArchiveError(f"{path} is damaged: restore it from a copy of the archive")
    name = await db.fill(connection, stream, manifest.day, csv_of_file(path))
    if await digest_of_table(connection, stream, name) != expected:
        raise ArchiveError(f"{manifest.day}: the database did not store what the file holds: look at its log")
