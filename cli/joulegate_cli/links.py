"""`joulegate links`: which meter measures which vehicle, and when."""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from joulegate_cli.csv_file import LineError, Row, a_time, an_id, read_rows, refuse

if TYPE_CHECKING:
    import asyncpg

    from joulegate_db.link_import import NumberedPut
    from joulegate_db.links import Link

FIELDS = ("vehicleId", "meterId", "validFrom", "validTo")

VehicleOption = Annotated[str | None, typer.Option(metavar="ID", help="Only those of this vehicle.")]
MeterOption = Annotated[str | None, typer.Option(metavar="ID", help="Only those of this meter.")]

app = typer.Typer(help="Links: which meter measures which vehicle, and when.", no_args_is_help=True)


@app.command("list")
def show(
    *,
    vehicle: VehicleOption = None,
    meter: MeterOption = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV, like `export`.")] = False,
) -> None:
    """Show links, by meter and time, as a table."""
    links = _links(vehicle, meter)
    if as_csv:
        _print_csv(links)
    else:
        _print_table(links)


@app.command()
def export(*, vehicle: VehicleOption = None, meter: MeterOption = None) -> None:
    """Write all links as CSV to standard output; `import` takes the same file."""
    _print_csv(_links(vehicle, meter))


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help=f"With the header {','.join(FIELDS)}.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, change nothing.")] = False,
) -> None:
    """Put every link of a CSV file, all or none. An empty validTo is a link without end.

    A link that is there already gets the validTo of its line. Exit code 1, with every error by line, when a line is bad or a meter
    would have two vehicles at a time.
    """
    from joulegate_cli.database import with_declarer
    from joulegate_cli.progress import bar
    from joulegate_db.link_import import import_links

    errors: list[LineError] = []
    with bar("reading", total=None) as advance:
        puts: list[NumberedPut] = []
        for row in read_rows(file, FIELDS, errors):
            puts += _put(row)
            advance(1)
    if errors:
        refuse(file, errors)
    with bar(f"putting {len(puts):,} links", total=None):
        result = with_declarer(lambda connection: import_links(connection, puts, dry_run=dry_run))
    if result.overlaps:
        refuse(file, [LineError(overlap.line, "", overlap.text) for overlap in result.overlaps])
    would = "would be " if dry_run else ""
    print(
        f"{result.created:,} links {would}created, {result.changed:,} {would}changed, {result.unchanged:,} as they were"
    )


def _put(row: Row) -> "Iterator[NumberedPut]":
    """The line's link; nothing when it is bad."""
    from joulegate_db.link_import import NumberedPut
    from joulegate_db.links import LinkPut

    vehicle, meter = row.read("vehicleId", an_id), row.read("meterId", an_id)
    since = row.read("validFrom", a_time)
    until = row.read("validTo", lambda text: (a_time(text) if text else None,))
    if vehicle is None or meter is None or since is None or until is None:
        return
    if until[0] is not None and until[0] <= since:
        row.error("validTo", "it must be after validFrom, or empty for a link without end")
        return
    yield NumberedPut(row.line, LinkPut(vehicle, meter, since, until[0]))


def _links(vehicle: str | None, meter: str | None) -> "list[Link]":
    from joulegate_cli.database import with_declarer
    from joulegate_db.links import all_links

    async def links(connection: "asyncpg.Connection") -> "list[Link]":
        return [link async for link in all_links(connection, vehicle, meter)]

    return with_declarer(links)


def _cells(link: "Link") -> tuple[str, str, str, str]:
    from joulegate_db.links import rfc3339

    until = "" if link.valid_to is None else rfc3339(link.valid_to)
    return link.vehicle, link.meter, rfc3339(link.valid_from), until


def _print_csv(links: "list[Link]") -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(FIELDS)
    out.writerows(_cells(link) for link in links)


def _print_table(links: "list[Link]") -> None:
    from joulegate_cli.tables import print_table

    rows = []
    for link in links:
        vehicle, meter, since, until = _cells(link)
        rows.append((str(link.id), meter, vehicle, since, until or "without end"))
    print_table(("id", "meter", "vehicle", "from", "to"), rows, f"{len(rows):,} links")
