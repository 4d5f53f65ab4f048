"""Migrations: numbered, forward only, checksummed, safe to run twice and from several places at once."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from databases import scratch_database
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.clock import utc_now
from joulegate_core.errors import SchemaMismatchError
from joulegate_db import migrate as migrate_module
from joulegate_db.connect import MIGRATION_SETTINGS, connect
from joulegate_db.migrate import Migration, migrate, require_schema, shipped_migrations
from joulegate_db.partitions import ensure_partitions
from joulegate_db.writer import Writer
from writer_harness import RECEIVED, bad_message, meter_message, snapshot, tally, vehicle_message

POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
VERSIONS = [migration.version for migration in shipped_migrations()]


@pytest.fixture
async def empty_url(postgres_server: LocalPostgres) -> AsyncIterator[str]:
    """The URL of a database without a schema."""
    async with scratch_database(postgres_server) as url:
        yield url


@pytest.fixture
async def empty(empty_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to it."""
    connection = await connect(empty_url, MIGRATION_SETTINGS)
    yield connection
    connection.terminate()


def extra_migration(sql: str) -> tuple[Migration, ...]:
    """The shipped migrations and one more."""
    return (*shipped_migrations(), Migration(version=9999, name="extra", sql=sql, checksum="c"))


def test_migrations_are_numbered_without_gaps() -> None:
    assert list(range(1, len(VERSIONS) + 1)) == VERSIONS
    assert len({migration.checksum for migration in shipped_migrations()}) == len(VERSIONS)


async def test_a_fresh_database_and_a_second_run(empty: asyncpg.Connection) -> None:
    with pytest.raises(SchemaMismatchError, match=r"at version 0, .* run `joulegate migrate`"):
        await require_schema(empty)
    assert [m.version for m in await migrate(empty)] == VERSIONS
    await require_schema(empty)
    assert await migrate(empty) == []
    assert [r["version"] for r in await empty.fetch("select version from schema_migrations order by 1")] == VERSIONS


async def test_several_at_once_apply_each_migration_once(empty_url: str) -> None:
    connections = [await connect(empty_url, MIGRATION_SETTINGS) for _ in range(5)]
    async with asyncio.timeout(30):
        applied = await asyncio.gather(*(migrate(connection) for connection in connections))
    assert sorted(m.version for each in applied for m in each) == VERSIONS
    for connection in connections:
        await require_schema(connection)
        await connection.close()


async def test_a_changed_migration_is_refused(empty: asyncpg.Connection) -> None:
    await migrate(empty)
    await empty.execute("update schema_migrations set checksum = 'other' where version = 1")
    for check in (migrate, require_schema):
        with pytest.raises(SchemaMismatchError, match=r"migration 0001 .* not the one shipped"):
            await check(empty)


async def test_a_newer_schema_is_refused(empty: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setattr(migrate_module, "shipped_migrations", lambda: extra_migration("create table t ()"))
        assert [m.version for m in await migrate(empty)][-1] == 9999
    for check in (migrate, require_schema):
        with pytest.raises(SchemaMismatchError, match=r"at version 9999, newer .* upgrade joulegate"):
            await check(empty)


async def test_an_older_schema_is_refused_and_brought_up(
    empty: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(empty)
    monkeypatch.setattr(migrate_module, "shipped_migrations", lambda: extra_migration("create table t ()"))
    with pytest.raises(SchemaMismatchError, match=rf"at version {VERSIONS[-1]}, this joulegate needs 9999"):
        await require_schema(empty)
    assert [m.version for m in await migrate(empty)] == [9999]
    await require_schema(empty)


@pytest.mark.parametrize(
    "failure",
    ["select 1 / 0", "alter table schema_migrations add check (version < 9999)"],
    ids=["itself", "when it is noted down"],
)
async def test_a_migration_that_fails_leaves_nothing_and_lets_the_next_try(
    empty_url: str, empty: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(migrate_module, "shipped_migrations", lambda: extra_migration(f"create table t (); {failure}"))
        with pytest.raises((asyncpg.DivisionByZeroError, asyncpg.CheckViolationError)):
            await migrate(empty)
    assert await empty.fetchval("select to_regclass('t')") is None
    other = await connect(empty_url, {**MIGRATION_SETTINGS, "lock_timeout": "2s"})
    assert await migrate(other) == []  # what came before it stays applied, and the lock is free
    await other.close()


async def test_a_server_that_is_too_old(empty: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate_module, "MINIMUM_SERVER_VERSION", 99)
    with pytest.raises(SchemaMismatchError, match=r"is too old: 99 or newer is needed"):
        await migrate(empty)


async def test_a_database_that_cannot_hold_every_topic(postgres_server: LocalPostgres) -> None:
    name = f"e_{secrets.token_hex(6)}"
    maintenance = await asyncpg.connect(postgres_server.url())
    await maintenance.execute(f"create database {name} encoding latin1 locale 'C' template template0")
    connection = await connect(postgres_server.url(name), MIGRATION_SETTINGS)
    with pytest.raises(SchemaMismatchError, match=r"encoding is LATIN1: create it with encoding UTF8"):
        await migrate(connection)
    await connection.close()
    await maintenance.execute(f"drop database {name}")
    await maintenance.close()


@pytest.fixture(scope="module")
def postgres_15(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    """The oldest PostgreSQL that is supported."""
    if not POSTGRES_15.exists():
        pytest.skip(f"PostgreSQL 15 is not installed in {POSTGRES_15}")
    server = LocalPostgres(tmp_path_factory.mktemp("pg15"), options={"fsync": "off"}, bin_dir=POSTGRES_15)
    server.start()
    yield server
    server.stop("immediate")


async def test_postgresql_15(postgres_15: LocalPostgres) -> None:
    connection = await connect(postgres_15.url(), MIGRATION_SETTINGS)
    assert connection.get_server_version().major == 15
    assert [m.version for m in await migrate(connection)] == VERSIONS
    assert await ensure_partitions(connection, utc_now(), max_age_days=7) >= 22
    writer = await Writer.open(postgres_15.url())
    batch = [meter_message(kwh=1.0), meter_message(kwh=2.0), meter_message("m-2"), vehicle_message(), bad_message()]
    assert await writer.write(batch, RECEIVED) == tally((2, 0, 2), (1, 0, 0))
    before = await snapshot(connection)
    assert await writer.write(batch, RECEIVED) == tally((0, 2, 2), (0, 1, 0))
    assert await snapshot(connection) == before
    assert await connection.fetchval("select sum(count) from quarantine") == 4
    writer.terminate()
    await connection.close()
