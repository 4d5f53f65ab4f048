"""`joulegate archive`: move days of history to files, look at them, put them back."""

import os
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer

from joulegate_cli.archive.extra import require_pyarrow

app = typer.Typer(
    help="Move old days of history to Parquet files, look at them, put them back.", invoke_without_command=True
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The archive's folder.", file_okay=False)]


def tell(step: str, day: date) -> None:
    """A line for each step that is done: a day of a large fleet takes minutes."""
    print(f"{day}  {step}", flush=True)


def _days(text: str | timedelta) -> timedelta:
    if isinstance(text, timedelta):
        return text
    found = re.fullmatch(r"([1-9]\d{0,4})d", text)
    if found is None:
        raise typer.BadParameter("expected days, such as 30d")
    return timedelta(days=int(found[1]))


def _day(text: str | date) -> date:
    if isinstance(text, date):
        return text
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("expected a UTC day, such as 2026-05-01") from None


@app.callback()
def archive(
    context: typer.Context,
    *,
    older_than: Annotated[
        timedelta | None,
        typer.Option(parser=_days, metavar="DAYS", help="Days that ended at least so long ago, such as 30d."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", file_okay=False, help="The folder; made if missing.")
    ] = None,
) -> None:
    """Move days of history to Parquet files in DIR, verify them, and drop them from the database. Rollups stay.

    May be killed and run again. A gateway may run meanwhile.
    """
    if context.invoked_subcommand is not None:
        return
    import asyncio

    if older_than is None or to is None:
        raise typer.BadParameter("both --older-than and --to are needed, or one of list, verify, restore")
    require_pyarrow()
    asyncio.run(_archive(older_than, to))


@app.command("list")
def show(folder: Folder) -> None:
    """Show the days of an archive. Asks no database."""
    from joulegate_cli.archive.layout import Archive
    from joulegate_cli.tables import print_table

    manifests = list(Archive(folder).manifests())
    rows = [
        (
            f"{one.day}", *(f"{one.parts[stream].rows:,}" for stream in ("meter", "vehicle")), f"{one.octets:,}",
            f"{one.octets / one.rows:.2f}" if one.rows else "-", f"{one.archived_at:%F %R}Z",
        )
        for one in manifests
    ]  # fmt: skip
    total = sum(one.rows for one in manifests)
    header = ("day", "meter readings", "vehicle readings", "bytes", "bytes a reading", "archived")
    print_table(header, rows, f"{len(rows):,} days, {total:,} readings, {sum(one.octets for one in manifests):,} bytes")


@app.command()
def verify(folder: Folder) -> None:
    """Read every file back and compare it with its manifest. Asks no database. Exit code 1 when one is damaged."""
    require_pyarrow()
    from joulegate_cli.archive.verify import damages

    bad = 0
    for manifest, problems in damages(folder):
        print(f"{manifest.day}  {'; '.join(problems) or f'{manifest.rows:,} readings, as written'}", flush=True)
        bad += bool(problems)
    if bad:
        print(f"{bad} days are damaged: restore their files from a copy of the archive")
        raise typer.Exit(1)


@app.command()
def restore(
    folder: Folder,
    *,
    since: Annotated[
        date,
        typer.Option("--from", parser=_day, metavar="DAY", help="This UTC day, and all that follow it in the archive."),
    ],
) -> None:
    """Put days back into history, verified. All from a day on: history has no holes. The files stay."""
    import asyncio

    require_pyarrow()
    asyncio.run(_restore(folder, since))


async def _archive(older_than: timedelta, to: Path) -> None:
    from joulegate_cli.archive.layout import Archive
    from joulegate_cli.archive.run import archive_days
    from joulegate_cli.database import archiver
    from joulegate_core.settings import load_settings

    done = 0
    max_age = load_settings(os.environ).max_age_days
    async with archiver() as connection:
        async for one in archive_days(connection, Archive(to), older_than=older_than, max_age_days=max_age, tell=tell):
            done += 1
            print(f"{one.day}  archived: {one.rows:,} readings, {one.octets:,} bytes")
    print(f"{done:,} days archived" if done else "nothing to do: no day is that old")


async def _restore(folder: Path, since: date) -> None:
    from joulegate_cli.archive.layout import Archive
    from joulegate_cli.archive.restore import restore_days
    from joulegate_cli.database import archiver

    done = 0
    async with archiver() as connection:
        async for one in restore_days(connection, Archive(folder), since, tell):
            done += 1
            print(f"{one.day}  restored: {one.rows:,} readings")
    print(f"{done:,} days restored" if done else "nothing to do: history has these days")
