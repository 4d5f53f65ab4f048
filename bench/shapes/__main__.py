"""Measures the shapes of `tables/` on a PostgreSQL of its own, and shows or writes what they take."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import asyncpg
import msgspec
import typer

from joulegate_cli.bench.machine import machine_facts
from joulegate_cli.bench.report import Figure, collect, number, record
from joulegate_cli.bench.servers import POSTGRES_OPTIONS
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_cli.tables import print_table
from joulegate_db.connect import MIGRATION_SETTINGS, connect

HERE = Path(__file__).parent
CLOSED = "-- closed\n"
MINUTES = 1440


class ShapeResult(msgspec.Struct, frozen=True, rename="camel"):
    """One shape, filled with a day of readings."""

    readings: int
    breaks: str
    heap: Annotated[float, Figure("heap, bytes a reading")]
    index: Annotated[float, Figure("index, bytes a reading")]
    total: Annotated[float, Figure("together", most=90)]
    insert_us: Annotated[float, Figure("INSERT, us a reading")]


def main(
    pairs: Annotated[int, typer.Option(min=2, help="Meters; each has a reading a minute for a day.")] = 300,
    json: Annotated[Path | None, typer.Option(help="Writes the record here.")] = None,
) -> None:
    """Stores the same day in tables of other shapes, and says how many bytes a reading takes in each."""
    facts = machine_facts()
    results = list(measure(pairs))
    header = ("shape", "heap", "index", "together", "INSERT, us", "breaks")
    rows = [
        (title, *(number(round(v)) for v in (r.heap, r.index, r.total)), number(r.insert_us), r.breaks)
        for title, r in results
    ]
    print_table(header, rows, "bytes a reading")
    if json is not None:
        json.write_text(record("shapes", collect([results]), facts) + "\n")


def measure(pairs: int) -> Iterator[tuple[str, ShapeResult]]:
    """Each shape in turn, by its title."""
    with tempfile.TemporaryDirectory(prefix="joulegate-bench-") as name, asyncio.Runner() as runner:
        Path(name).chmod(0o755)
        server = LocalPostgres(Path(name) / "postgres", options=POSTGRES_OPTIONS).start()
        try:
            connection = runner.run(connect(server.url(), MIGRATION_SETTINGS))
            runner.run(_make_source(connection, pairs))
            for file in sorted((HERE / "tables").glob("*.sql")):
                text = file.read_text()
                title, breaks = (line.lstrip("- ").removeprefix("breaks: ") for line in text.splitlines()[:2])
                yield title, runner.run(_measure(connection, text, breaks, pairs * MINUTES))
            runner.run(connection.close())
        finally:
            server.stop("immediate")


async def _make_source(connection: asyncpg.Connection, pairs: int) -> None:
    for statement in (HERE / "source.sql").read_text().replace("$PAIRS", str(pairs)).split(";\n"):
        if statement.strip():
            await connection.execute(statement)


async def _measure(connection: asyncpg.Connection, text: str, breaks: str, readings: int) -> ShapeResult:
    create, _, closed = text.partition(CLOSED)
    await connection.execute(create)
    columns = await connection.fetch(
        "select attname from pg_attribute where attrelid = 'shape'::regclass and attnum > 0 order by attnum"
    )
    names = [column["attname"] for column in columns]
    key = "device_no" if "device_no" in names else "device"
    fill = (HERE / "fill.sql").read_text().replace("$COLUMNS", ", ".join(names)).replace("$KEY", key)
    await connection.execute(fill)
    started = time.perf_counter()
    await connection.execute("call fill()")
    seconds = time.perf_counter() - started
    if closed:
        await connection.execute(closed)
    heap, index, rows = await connection.fetchrow((HERE / "sizes.sql").read_text())
    assert rows == readings
    await connection.execute("drop table shape")
    await connection.execute("drop procedure fill")
    return ShapeResult(
        readings=readings,
        breaks=breaks,
        heap=heap / readings,
        index=index / readings,
        total=(heap + index) / readings,
        insert_us=seconds / readings * 1e6,
    )


if __name__ == "__main__":
    typer.run(main)
