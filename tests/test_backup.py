"""Backups taken while readings go on, restored to a fresh server. A ledger says what comes back and what does not (docs/backup.md)."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from backup_support import program
from fault_harness import Numbered, require_mosquitto, streaming
from gateway_harness import Gateway, eventually, publisher
from joulegate_cli.local import postgres
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_db.connect import MIGRATION_SETTINGS, connect
from joulegate_db.migrate import migrate

FAST = {"fsync": "off", "max_wal_senders": "3"}


@pytest.fixture
def streams(gateway: Gateway) -> Numbered:
    """The ledger: readings have a number each."""
    require_mosquitto(gateway.broker)
    return Numbered()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[LocalPostgres]:
    """A server on another machine, so to speak; it is not started yet."""
    server = LocalPostgres(tmp_path / "fresh", options=FAST)
    yield server
    server.stop("immediate")


async def numbers(url: str) -> set[int]:
    """The readings that history holds, by number; none twice."""
    connection = await asyncpg.connect(url)
    rows = [int(row[0]) for row in await connection.fetch("select kwh from meter_history")]
    await connection.close()
    assert len(rows) == len(set(rows))
    return set(rows)


async def until_more(url: str, count: int = 100) -> None:
    """Waits until so many more readings are stored."""
    before = len(await numbers(url))

    async def more() -> bool:
        return len(await numbers(url)) >= before + count

    await eventually(more)


async def until_stored(url: str, expected: set[int]) -> None:
    """Waits until history holds just these."""

    async def stored() -> bool:
        return await numbers(url) >= expected

    await eventually(stored)
    assert await numbers(url) == expected


async def publish_again(gateway: Gateway, ledger: Numbered, wanted: set[int]) -> None:
    """What devices do that keep their readings."""
    again = Numbered()
    again._newest = ledger._newest
    async with publisher(gateway.broker) as publish:
        await asyncio.gather(*(publish(*one) for n, one in enumerate(again.take(ledger.count)) if n in wanted))


async def test_a_dump(
    gateway: Gateway,
    streams: Numbered,
    postgres_server: LocalPostgres,
    database_url: str,
    fresh: LocalPostgres,
    tmp_path: Path,
) -> None:
    await gateway.start()
    async with streaming(gateway.broker, streams), publisher(gateway.broker) as publish:
        await publish("fleet/cp-1/meter", b"{")
        await until_more(database_url)
        await asyncio.to_thread(
            program, postgres_server, "pg_dump", "-Fc", "-d", database_url, "-f", str(tmp_path / "dump")
        )
        await until_more(database_url)
        await gateway.stop()  # all that is stored is acknowledged
        stored = await numbers(database_url)
        await asyncio.to_thread(fresh.start)
        program(fresh, "createdb", "-h", str(fresh._sockets), "-U", "joulegate", "joulegate")
        restored = fresh.url("joulegate")
        program(fresh, "pg_restore", "-d", restored, "--no-privileges", "--exit-on-error", str(tmp_path / "dump"))
        dumped = await numbers(restored)
        await gateway.start(database_url=restored)
    everything = set(range(streams.count))
    assert 100 <= len(dumped) < len(stored) < len(everything)
    # acknowledged after the dump: in neither. All else is there: dumped, or still with the broker
    await until_stored(restored, everything - (stored - dumped))
    assert await kept_in_quarantine(restored) == [("bad_json", 1, 1)]  # restored, not counted again by its triggers
    await publish_again(gateway, streams, everything)
    await until_stored(restored, everything)


@pytest.fixture
async def archived(tmp_path: Path) -> AsyncIterator[LocalPostgres]:
    """A server that archives its WAL to `wal`."""
    (tmp_path / "wal").mkdir()
    options = FAST | {"archive_mode": "on", "archive_command": f"cp %p {tmp_path}/wal/%f"}
    server = LocalPostgres(tmp_path / "first", options=options)
    server.start()
    program(server, "createdb", "-h", str(server._sockets), "-U", "joulegate", "joulegate")
    connection = await connect(server.url("joulegate"), MIGRATION_SETTINGS)
    await migrate(connection)
    await connection.close()
    yield server
    server.stop("immediate")


@pytest.mark.parametrize("last_wal_saved", [False, True], ids=["disk lost", "last WAL saved"])
async def test_a_base_backup_and_archived_wal(
    gateway: Gateway, streams: Numbered, archived: LocalPostgres, tmp_path: Path, *, last_wal_saved: bool
) -> None:
    url = archived.url("joulegate")
    await gateway.start(database_url=url)
    async with streaming(gateway.broker, streams):
        await until_more(url)
        await asyncio.to_thread(base_backup, archived, tmp_path / "fresh")
        await until_more(url)
        in_the_archive = await numbers(url)
        await until_archived(url)
        await until_more(url)
        await gateway.stop()
        stored = await numbers(url)
        archived.stop("immediate")
        if last_wal_saved:
            save_wal(tmp_path)
        fresh = recover(tmp_path)
        try:
            await asyncio.to_thread(fresh.start)
            restored = fresh.url("joulegate")
            await until_writable(restored)
            recovered = await numbers(restored)
            await gateway.start(database_url=restored)
        except BaseException:
            fresh.stop("immediate")
            raise
    try:
        everything = set(range(streams.count))
        assert in_the_archive <= recovered
        assert (stored - recovered == set()) == last_wal_saved
        await until_stored(restored, everything - (stored - recovered))
        await publish_again(gateway, streams, stored - recovered)
        await until_stored(restored, everything)
        await gateway.stop()
    finally:
        fresh.stop("immediate")


def base_backup(server: LocalPostgres, directory: Path) -> None:
    """Copies the running server into `directory`/data."""
    directory.mkdir()
    postgres._own(directory)
    where = ("-h", str(server._sockets), "-U", "joulegate", "-D", str(directory / "data"))
    server._run("pg_basebackup", *where, "--checkpoint=fast", "--wal-method=stream", "--no-sync")


async def until_archived(url: str) -> None:
    """Waits until everything written so far is in the archive."""
    connection = await asyncpg.connect(url)
    segment = await connection.fetchval("select pg_walfile_name(pg_switch_wal())")

    async def done() -> bool:
        return bool(await connection.fetchval("select last_archived_wal >= $1 from pg_stat_archiver", segment))

    await eventually(done)
    await connection.close()


def save_wal(folder: Path) -> None:
    """Takes from the dead server's disk what was not archived yet."""
    for segment in (folder / "first/data/pg_wal").glob("[0-9A-F]*"):
        if segment.is_file():
            shutil.copy(segment, folder / "wal")


def recover(folder: Path) -> LocalPostgres:
    """A server on the base backup that takes WAL from the archive, as far as it goes."""
    signal = folder / "fresh/data/recovery.signal"
    signal.touch()
    signal.chmod(0o666)
    options = FAST | {"restore_command": f"cp {folder}/wal/%f %p"}
    return LocalPostgres(folder / "fresh", options=options)


async def until_writable(url: str) -> None:
    """Waits for the end of recovery."""

    async def writable() -> bool:
        connection = await asyncpg.connect(url)
        try:
            return not await connection.fetchval("select pg_is_in_recovery()")
        finally:
            await connection.close()

    await eventually(writable)


async def kept_in_quarantine(url: str) -> list[tuple[str, int, int]]:
    """Reason, rows and messages."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("select reason, kept_rows, kept_messages from quarantine_totals")
    await connection.close()
    return [tuple(row) for row in rows]
