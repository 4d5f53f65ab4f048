"""Every released schema, with data in it, brought to this version: nothing is lost, and the answers are right."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path

import asyncpg
import pytest

from backup_support import program
from databases import new_database
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_db.charging import Charging
from joulegate_db.migrate import migrate, require_schema, shipped_migrations
from joulegate_db.partitions import ensure_partitions
from joulegate_db.reader import open_reader
from joulegate_db.rollups import Rollups
from joulegate_db.windows import Window
from joulegate_db.writer import Writer
from oracle import Answer, performance
from oracle.strategies import BASE
from oracle_stand import Step, check, defaults, happen, oracle_database
from upgrade_stand import (
    COLUMNS,
    FLEET,
    NEXT,
    VEHICLES,
    after_the_upgrade,
    copy,
    fill,
    migrate_to,
    tables,
)

PINNED = Path(__file__).parent / "migrations.sha256"
VERSIONS = [migration.version for migration in shipped_migrations()]
WINDOWS = [
    Window(BASE + timedelta(minutes=start), BASE + timedelta(minutes=end))
    for start, end in ((0, 90), (8, 73), (15, 60))
]


def test_released_migrations_never_change() -> None:
    pinned = {line[66:]: line[:64] for line in PINNED.read_text().splitlines()}
    folder = files("joulegate_db") / "migrations"
    shipped = {entry.name: hashlib.sha256(entry.read_bytes()).hexdigest() for entry in folder.iterdir()}
    changed = [name for name in pinned if shipped.get(name) != pinned[name]]
    assert not changed, "a database that has applied it would refuse to go on: restore the file, write a new migration"
    assert shipped.keys() == pinned.keys(), f"add what `sha256sum` says of the new file to {PINNED.name}"


@pytest.fixture(scope="module")
def source(postgres_server: LocalPostgres) -> Iterator[str]:
    """The URL of a database at the newest schema with all data from before the upgrade."""
    with oracle_database(postgres_server, "t_upgrade") as (url, runner):
        runner.run(fill(url))
        yield url


async def test_every_table_has_data(source: str) -> None:
    connection = await asyncpg.connect(source)
    empty = [t for t in await tables(connection) if not await connection.fetchval(f"select exists (select from {t})")]
    await connection.close()
    assert not empty, "write data for it in tests/upgrade_fleet.sql"


@pytest.mark.parametrize("version", VERSIONS)
async def test_data_of_an_older_schema(postgres_server: LocalPostgres, source: str, version: int) -> None:
    data = await asyncpg.connect(source)
    async with new_database(postgres_server) as (url, db):
        await migrate_to(db, version)
        await copy(data, db)
        await data.close()
        kept = await _kept(db)
        before = await _rows(db, kept)
        assert [m.version for m in await migrate(db)] == VERSIONS[version:]
        await require_schema(db)
        await ensure_partitions(db, BASE + timedelta(days=1), max_age_days=1)
        assert await _rows(db, kept) == before
        if "links" not in kept:
            await _declare_links(db)
        await _assert_quarantine_adds_up(db)
        await _assert_answers(url, expected(before_upgrade=True))  # before anything is computed anew
        await _go_on(url, db)
        await _assert_answers(url, expected(before_upgrade=False))


async def test_a_dump_restored_elsewhere(postgres_server: LocalPostgres, source: str, tmp_path: Path) -> None:
    """Rolled, marked and open quarters fit together: a dump is one moment, and nothing is computed while it is read back."""
    program(postgres_server, "pg_dump", "-Fc", "-d", source, "-f", str(tmp_path / "dump"))
    async with new_database(postgres_server) as (url, db):
        program(postgres_server, "pg_restore", "-d", url, "--exit-on-error", str(tmp_path / "dump"))
        assert await migrate(db) == []
        await _assert_quarantine_adds_up(db)
        await _assert_answers(url, expected(before_upgrade=True))
        await _go_on(url, db)
        await _assert_answers(url, expected(before_upgrade=False))


async def _kept(db: asyncpg.Connection) -> dict[str, list[str]]:
    """The columns of every table, in the schema as it is: no migration has lost or changed a row so far. One that does so on purpose is
    left out here."""
    return {table: [row[0] for row in await db.fetch(COLUMNS, table)] for table in await tables(db)}


async def _rows(db: asyncpg.Connection, kept: dict[str, list[str]]) -> dict[str, list[str]]:
    """Their rows, in these columns."""
    return {
        table: sorted(str(tuple(row)) for row in await db.fetch(f"select {', '.join(columns)} from {table}"))
        for table, columns in kept.items()
    }


async def _declare_links(db: asyncpg.Connection) -> None:
    """What an operator can do only now."""
    links = [(link.vehicle, link.meter, link.valid_from, link.valid_to) for link in FLEET.links]
    await db.executemany("insert into links (vehicle, meter, valid) values ($1, $2, tstzrange($3, $4))", links)


async def _assert_quarantine_adds_up(db: asyncpg.Connection) -> None:
    counted = await db.fetch("select reason, count(*), sum(count)::bigint from quarantine group by 1 order by 1")
    assert [tuple(row) for row in counted] == [("bad_json", 1, 2)]
    totals = await db.fetch(
        "select reason, kept_rows, kept_messages from quarantine_totals where kept_rows > 0 order by 1"
    )
    assert totals == counted


async def _go_on(url: str, db: asyncpg.Connection) -> None:
    """Writes, rolls and attributes, as a gateway of this version does."""
    writer = await Writer.open(url)
    messages = after_the_upgrade()
    tally = await writer.write(messages, BASE + timedelta(minutes=90))
    writer.terminate()
    assert sum(one.committed for one in tally.values()) == len(messages)
    rollups, charging = Rollups(db, defaults(FLEET)), Charging(db)
    assert await rollups.lock()
    await rollups.declare_defaults()
    for does in ("roll", "roll_marked", "attribute"):
        await happen(rollups, charging, Step(does, 100))
    for table in ("rollup_marks", "charging_marks"):
        assert await db.fetchval(f"select count(*) from {table}") == 0, table


async def _assert_answers(url: str, answers: dict[tuple[str, Window], Answer]) -> None:
    async with open_reader(url) as reader:
        for (vehicle, window), by_the_oracle in answers.items():
            answer = await reader.performance(vehicle, window)
            assert answer is not None
            check(answer, by_the_oracle)


@cache
def expected(*, before_upgrade: bool) -> dict[tuple[str, Window], Answer]:
    """The oracle's answers, with the readings before the upgrade or with all."""
    end = BASE + (NEXT if before_upgrade else timedelta(days=1))
    fleet = replace(
        FLEET,
        meters=[point for point in FLEET.meters if point.ts < end],
        vehicles=[point for point in FLEET.vehicles if point.ts < end],
    )
    return {(v, window): performance(fleet, v, window.start, window.end) for v in VEHICLES for window in WINDOWS}


async def test_rows_from_before_count_as_written_by_the_migration(postgres_server: LocalPostgres) -> None:
    """No table is rewritten for that, and a gateway of the version before, which does not say who it is, is told apart."""
    file = "select relfilenode from pg_class where relname = 'meter_live'"
    insert = "insert into meter_live select now(), now(), 1, 230, true, $1, 'cp-1'"
    async with new_database(postgres_server) as (_, db):
        await migrate_to(db, 10)
        await db.execute(insert, "m-1")
        before = await db.fetchval(file)
        begun = await db.fetchval("select pg_current_xact_id()")
        await migrate(db)
        assert await db.fetchval(file) == before
        await db.execute(insert, "m-2")
        old, new = [row[0] for row in await db.fetch("select written from meter_live order by device")]
        assert begun < old < new <= await db.fetchval("select pg_current_xact_id()")
