"""Readings and rollups on a Citus cluster that somebody has: made by one command, and what is different there.

JOULEGATE_TEST_CITUS_URL is a superuser's URL of a coordinator with workers (README.md, Development); without it all that needs a cluster
is skipped. tests/test_citus_same.py has what is the same.
"""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

import citus_harness
from citus_gate import gate_before
from citus_harness import all_nodes, empty, empty_cluster_database, on, prepare
from fleet_support import plant
from gateway_harness import eventually
from http_support import Reading, at, meter, vehicle, window
from joulegate_cli.archive.layout import ArchiveError
from joulegate_cli.archive.run import require_owner
from joulegate_core.clock import utc_now
from joulegate_core.errors import SchemaMismatchError
from joulegate_core.telemetry import Message
from joulegate_db import citus, declarations
from joulegate_db.alerts import AlertFilter, alert_page
from joulegate_db.changes import Changes, Cursor, Wanted, changes
from joulegate_db.citus import distribute, require_distributed, settle_rollups
from joulegate_db.connect import MIGRATION_SETTINGS, ROLLER_SETTINGS, WRITER_SETTINGS, connect
from joulegate_db.declarations import DECLARER_SETTINGS
from joulegate_db.fleet import fleet
from joulegate_db.links import LinkPut, put_link
from joulegate_db.live_page import LiveFilter, meter_page, vehicle_page
from joulegate_db.migrate import migrate
from joulegate_db.pairing import pairings
from joulegate_db.partitions import ensure_partitions
from joulegate_db.power import fleet_power
from joulegate_db.reader import open_reader
from joulegate_db.retention import Keep, remove_old
from joulegate_db.writer import Tally, Writer
from roles_support import logins
from writer_harness import RECEIVED, meter_message, snapshot, vehicle_message

RUN = "from joulegate_cli.main import main; main()"

WANTED = Wanted(vehicles=True, meters=True, alerts=True)

SHARD = """
select shardid, nodename, nodeport, groupid
from pg_dist_placement
join pg_dist_node using (groupid)
where shardid = get_shard_id_for_distribution_column($1::text::regclass, $2::text) and noderole = 'primary'
"""
"""Where the table $1 has the device $2."""

METERS, VEHICLES = (f"select * from {stream}_rollup_15m order by device, bucket" for stream in ("meter", "vehicle"))


cluster = citus_harness.cluster


@pytest.fixture
async def cluster_url(cluster: tuple[str, asyncio.Runner]) -> str:
    """Its URL, with no rows in it."""
    url, _ = cluster
    await empty(url)
    return url


@pytest.fixture
async def coordinator(cluster_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection to it."""
    connection = await asyncpg.connect(cluster_url)
    yield connection
    connection.terminate()


def joulegate(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command on the database."""
    environment = os.environ | {"JOULEGATE_DATABASE_URL": url, "JOULEGATE_MAX_AGE_DAYS": "1"}
    command = [sys.executable, "-c", RUN, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_without_the_extension_the_command_says_what_to_do(database_url: str) -> None:
    for arguments in (("--citus",), ("--check", "--citus")):
        done = joulegate(database_url, "migrate", *arguments)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert ("no extension citus" if len(arguments) == 1 else "`joulegate migrate --citus`") in done.stderr
    assert joulegate(database_url, "migrate", "--check").returncode == 0


async def test_the_command_distributes_what_is_there_and_may_run_again() -> None:
    async with empty_cluster_database() as url:
        connection = await connect(url, MIGRATION_SETTINGS)
        await migrate(connection)
        with pytest.raises(SchemaMismatchError, match="vehicle_history"):
            await require_distributed(connection)
        await ensure_partitions(connection, utc_now(), max_age_days=1)
        writer = await Writer.open(url)
        await writer.write([meter_message(), vehicle_message()], RECEIVED)
        writer.terminate()
        async with plant(url) as one:
            await one.write(meter(1, 1.0), vehicle(1, 0.9))
            await one.settle(30)
            refused = joulegate(url, "migrate", "--citus")
        assert (refused.returncode, "stop all gateways" in refused.stderr) == (1, True)
        before = [await snapshot(connection), *[await connection.fetch(statement) for statement in (METERS, VEHICLES)]]
        assert all(before)

        first, again = joulegate(url, "migrate", "--citus"), joulegate(url, "migrate", "--citus")

        assert "distributed meter_history by device" in first.stdout, first.stderr
        assert (again.returncode, "distributed" in again.stdout) == (0, False)
        after = [await snapshot(connection), *[await connection.fetch(statement) for statement in (METERS, VEHICLES)]]
        assert after == before
        assert await connection.fetchval("select count(*) from only meter_history") == 0
        for check in (("migrate",), ("migrate", "--check"), ("migrate", "--check", "--citus")):
            assert joulegate(url, *check).returncode == 0
        places = "select count(distinct colocationid) from pg_dist_partition where partmethod = 'h'"
        assert await connection.fetchval(places) == 1
        await connection.close()


async def test_what_an_older_version_distributed_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    async with empty_cluster_database() as url:
        connection = await connect(url, MIGRATION_SETTINGS)
        await migrate(connection)
        await ensure_partitions(connection, utc_now(), max_age_days=1)
        with monkeypatch.context() as older:
            older.setattr(citus, "DISTRIBUTED", {"meter_history": "device", "vehicle_history": "device"})
            await distribute(connection)
            writer = await Writer.open(url)
        await writer.write([meter_message(), vehicle_message()], RECEIVED)
        writer.terminate()
        before = await snapshot(connection)

        with pytest.raises(
            SchemaMismatchError,
            match=r"meter_live, meter_rollup_15m, vehicle_live, vehicle_rollup_15m\. .*migrate --citus",
        ):
            await Writer.open(url)
        async with open_reader(url) as reader:
            with pytest.raises(SchemaMismatchError, match="migrate --citus"):
                await reader.check()
        assert joulegate(url, "migrate", "--check").returncode == 1
        done = joulegate(url, "migrate", "--citus")

        assert "distributed meter_live by device" in done.stdout, done.stderr
        assert "meter_history" not in done.stdout
        assert await snapshot(connection) == before
        assert joulegate(url, "migrate", "--check").returncode == 0
        (await Writer.open(url)).terminate()
        await connection.close()


async def test_without_workers_the_command_says_what_to_do() -> None:
    async with empty_cluster_database(workers=False) as url:
        done = joulegate(url, "migrate", "--citus")
        assert done.returncode == 1
        assert "citus_add_node" in done.stderr


def some_readings() -> list[Reading]:
    """Two hours: a pair alone, two vehicles at one meter, a vehicle that moves, a meter with nobody."""
    readings: list[Reading] = []
    for minute in range(120):
        readings += [
            meter(minute, 0.12), vehicle(minute, 0.11),
            meter(minute, 0.2, "m-2", "cp-2"), vehicle(minute, 0.06, "v-2", "cp-2"), vehicle(minute, 0.09, "v-3", "cp-2"),
            meter(minute, 0.1, "m-4", "cp-4"), vehicle(minute, 0.05, "v-4", "cp-4" if minute < 50 else "cp-5"),
            meter(minute, 0.02, "m-5", "cp-5"),
        ]  # fmt: skip
    return readings


async def answers(url: str) -> dict[str, Any]:
    """What the services answer about `some_readings`, with a late reading, a link and declared registers among them."""
    found: dict[str, Any] = {}
    async with plant(url) as one:
        await one.connection.execute("insert into devices (device, kind, energy) values ('m-5', 'meter', 'register')")
        readings = some_readings()
        await one.write(*(reading for reading in readings if reading.ts != at(20)), received=at(121))
        await one.settle(120)
        await one.connection.execute(
            "insert into links (vehicle, meter, valid) values ('v-2', 'm-2', tstzrange($1, $2))", at(90), at(100)
        )
        await one.write(*(reading for reading in readings if reading.ts == at(20)), received=at(122))
        await one.settle(120)
        await one.evaluate(at(130), min_kwh=0.1)
        found["judged"] = [
            tuple(row) for row in await one.connection.fetch("select * from charging_24h order by vehicle")
        ]
    async with open_reader(url) as reader:
        here = (await changes(reader, [], WANTED, at(121))).now
        seen = await changes(reader, [replace(here.cursor, transaction=0)], WANTED, at(121))
        found["changes"] = [[change.item for change in kind] for kind in (seen.vehicles, seen.meters)]
        for device in ("v-1", "v-2", "v-3", "v-4", "v-none"):
            for start, end in ((0, 120), (7, 93), (15, 30), (60, 120)):
                found[f"{device} {start} {end}"] = await reader.performance(device, window(start, end))
        found["series"] = await reader.series("v-4", window(0, 120), window(0, 15).length)
        found["fleet"] = await fleet(reader, window(0, 120), at(121), 5)
        found["fleet's day"] = await fleet(reader, None, at(121), 5)
        found["power"] = list(await fleet_power(reader, at(121)))
        found["meters"] = await meter_page(reader, LiveFilter(), "", 10, at(121))
        found["vehicles"] = await vehicle_page(reader, LiveFilter(), "", 10, at(121))
        found["pairings"] = await pairings(reader, window(0, 120))
        found["alerts"] = [
            (one.kind, one.device, one.value)
            for one in await alert_page(reader, AlertFilter("all", None, None), 2**62, 99)
        ]
    return found


def rounded(answer: object) -> str:
    """The shards add up in another order: the last digits of sums may differ."""
    return re.sub(r"\d+\.\d+(e-\d+)?", lambda number: f"{float(number[0]):.10g}", repr(answer))


async def test_every_answer_is_that_of_one_server(cluster_url: str, database_url: str) -> None:
    there, here = await answers(cluster_url), await answers(database_url)
    assert here["v-1 0 120"].total_kwh_consumed_ac == pytest.approx(14.4)
    assert here["alerts"]
    assert [len(kind) for kind in here["changes"]] == [4, 4]
    for name, answer in here.items():
        assert rounded(there[name]) == rounded(answer), name


@asynccontextmanager
async def only_prepared(url: str, partition: str, device: str, statement: str) -> AsyncIterator[None]:
    """`statement` about the shard of `device`, as a worker leaves it that goes away after the coordinator has committed, and comes back."""
    transaction = "citus_0_2147483647_1_1"
    coordinator = await asyncpg.connect(url)
    shard = await coordinator.fetchrow(SHARD, partition, device)
    worker = await asyncpg.connect(on(url, node=shard))
    await worker.execute("begin")
    await worker.execute(statement.format(shard=f"{partition}_{shard['shardid']}"))
    await worker.execute(f"prepare transaction '{transaction}'")
    await coordinator.execute(
        "insert into pg_dist_transaction (groupid, gid) values ($1, $2)", shard["groupid"], transaction
    )
    yield
    await worker.close()
    await coordinator.close()


async def looked(url: str, *since: Cursor) -> Changes:
    """What changed, and where one looked from."""
    async with open_reader(url) as reader:
        return await changes(reader, since, WANTED, utc_now())


async def test_what_is_committed_on_the_coordinator_first_is_not_missed() -> None:
    """The coordinator has committed, and a worker has not heard of it yet: the two steps of a commit, held apart."""
    *workers, _ = await all_nodes()
    async with gate_before(workers[0]) as gate, empty_cluster_database(workers=False) as url:
        coordinator = await asyncpg.connect(url)
        for worker, port in zip(workers, (gate.port, *(one["nodeport"] for one in workers[1:])), strict=True):
            await coordinator.fetch("select citus_add_node($1, $2)", worker["nodename"], port)
        await prepare(url)
        writer = await Writer.open(url)
        devices = {f"m-{number}" for number in range(20)}
        gate.hold(b"COMMIT PREPARED")
        writing = asyncio.create_task(writer.write([meter_message(name) for name in devices], RECEIVED))
        await gate.holding.wait()

        written = await coordinator.fetchval("select pg_snapshot_xmin(pg_current_snapshot())")  # past the writer's
        assert await coordinator.fetchval("select count(*) from devices") == len(devices)
        assert not writing.done()
        early = await looked(url)
        assert early.now.cursor.transaction < written
        seen = {change.item.device for change in (await looked(url, early.now.cursor)).meters}
        assert seen < devices

        gate.release()
        await writing
        late = await looked(url, early.now.cursor)
        assert {change.item.device for change in late.meters} == devices
        assert late.now.cursor.transaction >= written
        writer.terminate()
        await coordinator.close()


async def test_what_a_lost_worker_has_only_prepared_comes_to_the_stream_with_the_next_reading(cluster_url: str) -> None:
    """The price that docs/adr/0008 names: the transaction is over for the coordinator, and nobody waits for it."""
    transaction = "citus_0_2147483647_2_1"
    coordinator = await asyncpg.connect(cluster_url)
    writer = await Writer.open(cluster_url)
    await writer.write([meter_message("m-1")], RECEIVED)
    since = (await looked(cluster_url)).now.cursor
    shard = await coordinator.fetchrow(SHARD, "meter_live", "m-1")
    worker = await asyncpg.connect(on(cluster_url, node=shard))
    written = await coordinator.fetchval(
        "insert into pg_dist_transaction (groupid, gid) values ($1, $2) returning pg_current_xact_id()",
        shard["groupid"],
        transaction,
    )
    await worker.execute("begin")
    await worker.execute(f"update meter_live_{shard['shardid']} set kwh = 9, written = $1", written)
    await worker.execute(f"prepare transaction '{transaction}'")

    passed = await looked(cluster_url, since)
    assert passed.meters == []
    assert passed.now.cursor.transaction > written
    writing = asyncio.create_task(writer.write([meter_message("m-1", seconds=60, kwh=2.0)], RECEIVED))
    await asyncio.sleep(1)
    assert not writing.done()  # the row is the prepared transaction's
    await coordinator.execute("select recover_prepared_transactions()")  # as Citus does each minute
    await writing
    assert [change.item.kwh_consumed_ac for change in (await looked(cluster_url, passed.now.cursor)).meters] == [2.0]
    writer.terminate()
    await worker.close()
    await coordinator.close()


async def test_what_a_worker_has_only_prepared_is_settled_before_it_is_rolled(
    cluster_url: str, coordinator: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the worker is lost only after the roller has the lock of declarations, and has settled the rollups."""

    async def nothing(_: asyncpg.Connection) -> None: ...

    monkeypatch.setattr(declarations, "settle_rollups", nothing)
    reading = f"insert into {{shard}} values ('{at(3)}', 1, 230, false, 'm-1', 'cp-1')"
    async with only_prepared(cluster_url, f"meter_history_{at(3):%Y%m%d}", "m-1", reading), plant(cluster_url) as one:
        await one.write(meter(4, 1.0))
        assert await coordinator.fetchval("select count(*) from meter_history") == 1
        await one.roll(30)
    assert await coordinator.fetchval("select readings from meter_rollup_15m") == 2


async def test_rollups_that_a_worker_has_only_prepared_are_settled_before_they_are_attributed(
    cluster_url: str, coordinator: asyncpg.Connection
) -> None:
    attributed = "select dc from charging_15m"
    async with plant(cluster_url) as one:
        await one.write(vehicle(4, 1.0))
        await one.settle(30)
        assert await coordinator.fetchval(attributed) == 1
        change = "update {shard} set kwh = 7"
        async with only_prepared(cluster_url, f"vehicle_rollup_15m_{at(4):%Y%m}", "v-1", change):
            await coordinator.execute("insert into charging_marks values ($1, 'cp-1', '')", at(0))
            await one.charging.attribute()
    assert await coordinator.fetchval(attributed) == 7


async def test_rollups_that_a_worker_has_only_prepared_are_seen_by_who_changes_a_link(
    cluster_url: str, coordinator: asyncpg.Connection
) -> None:
    columns = "(bucket, kwh, readings, late, device, charge_point, linked_vehicle)"
    rollup = f"insert into {{shard}} {columns} values ('{at(0)}', 1, 1, 0, 'm-1', 'cp-1', '')"
    async with only_prepared(cluster_url, f"meter_rollup_15m_{at(0):%Y%m}", "m-1", rollup):
        await put_link(coordinator, LinkPut("v-1", "m-1", at(0), None))
    assert await coordinator.fetchval("select device from rollup_marks") == "m-1"


async def test_a_worker_that_does_not_finish_is_told(cluster_url: str, coordinator: asyncpg.Connection) -> None:
    """What is not known to be committed there is not relied on: the roller tries again later."""
    other = await asyncpg.connect(cluster_url)
    async with other.transaction():
        await other.fetch("select count(*) from meter_history")
        number = await other.fetchval("select transaction_number from get_current_transaction_id()")
        group = await coordinator.fetchval("select max(groupid) from pg_dist_node")
        record = ("insert into pg_dist_transaction (groupid, gid) values ($1, $2)", group, f"citus_0_1_{number}_1")
        await coordinator.execute(*record)
        with pytest.raises(asyncpg.ConnectionFailureError, match="has not finished"):
            await settle_rollups(coordinator)
    await other.close()
    await settle_rollups(coordinator)


async def test_the_shards_of_rollups_have_all_indexes(cluster_url: str, coordinator: asyncpg.Connection) -> None:
    indexes = "select string_agg(indexdef, ';') from pg_indexes where tablename ~ '_rollup_15m_[0-9]{6}_[0-9]+$'"
    for answer in await on_workers(coordinator, indexes):
        for part in ("(linked_vehicle, bucket) WHERE", "(bucket, device) WHERE", "INCLUDE (kwh, readings"):
            assert part in answer


async def on_workers(coordinator: asyncpg.Connection, statement: str) -> list[str]:
    """What each worker says."""
    rows = await coordinator.fetch("select result from run_command_on_workers($1)", statement)
    assert rows
    return [row["result"] for row in rows]


async def test_services_with_fewer_rights_write_roll_and_read(
    cluster_url: str, coordinator: asyncpg.Connection
) -> None:
    async with logins(cluster_url) as make:
        as_writer, as_reader, as_operator = [
            await make(f"joulegate_{role}") for role in ("writer", "reader", "operator")
        ]
        connection = await connect(as_writer, WRITER_SETTINGS)
        assert await ensure_partitions(connection, utc_now() + timedelta(days=3), max_age_days=0) >= 2
        await connection.close()
        async with plant(as_writer) as one:
            await one.write(meter(1, 1.0), vehicle(1, 0.9))
            await one.settle(30)
            operator = await connect(as_operator, DECLARER_SETTINGS)
            await put_link(operator, LinkPut("v-1", "m-1", at(0), None))
            await operator.close()
            await one.settle(30)
            await one.rollups.vacuum()
        async with open_reader(as_reader) as reader:
            answer = await reader.performance("v-1", window(0, 15))
    assert answer is not None
    assert answer.efficiency_ratio == pytest.approx(0.9)
    assert answer.quality.pairing == "link"
    vacuumed = "select coalesce(max(vacuum_count), 0) from pg_stat_all_tables where relname ~ '^vehicle_rollup_15m_[0-9]{6}_[0-9]+$'"

    async def shards_are_vacuumed() -> bool:  # the statistics of a session are told a little later
        return all(int(count) > 0 for count in await on_workers(coordinator, vacuumed))

    await eventually(shards_are_vacuumed)


async def test_the_writer_drops_months_of_rollups(cluster_url: str, coordinator: asyncpg.Connection) -> None:
    month = datetime(2001, 1, 15, tzinfo=UTC)
    await ensure_partitions(coordinator, month, max_age_days=0)
    await coordinator.execute("update roll_state set archived_until = '2001-02-01 00:00:00+00'")
    async with logins(cluster_url) as make:
        connection = await connect(await make("joulegate_writer"), ROLLER_SETTINGS)
        keep = Keep(rollups=timedelta(days=30), quarantine=None, alerts=None)
        removed = [one.table async for one in remove_old(connection, keep, month + timedelta(days=100)) if one.table]
        await connection.close()
    assert {"meter_rollup_15m_200101", "vehicle_rollup_15m_200101"} <= set(removed)
    left = "select count(*) from pg_class where relname ~ 'rollup_15m_200101'"
    assert set(await on_workers(coordinator, left)) == {"0"}


async def test_two_writers_of_the_same_readings_at_the_same_time(cluster_url: str) -> None:
    batch = [make(f"d-{n % 50}", seconds=n) for n in range(2000) for make in (meter_message, vehicle_message)]
    writers = [await Writer.open(cluster_url) for _ in range(2)]
    committed = 0
    for turn in range(0, len(batch), 500):
        part = batch[turn : turn + 500]
        tallies = await asyncio.gather(
            *(write(writer, messages) for writer, messages in zip(writers, (part, part[::-1]), strict=True))
        )
        committed += sum(one.committed for tally in tallies for one in tally.values())
    for writer in writers:
        writer.terminate()
    assert committed == len(batch)


async def write(writer: Writer, messages: list[Message]) -> Tally:
    """As the gateway does it: a batch that failed for no fault of its own is written again."""
    while True:
        try:
            return await writer.write(messages, RECEIVED)
        except asyncpg.DeadlockDetectedError:
            continue


async def test_an_archive_is_refused(cluster_url: str) -> None:
    connection = await asyncpg.connect(cluster_url)
    with pytest.raises(ArchiveError, match="Citus"):
        await require_owner(connection)
    await connection.close()
