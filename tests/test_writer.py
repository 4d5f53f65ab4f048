"""The writer: idempotent, first content wins, newest measured lives, presence of what was accepted."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.errors import DatabaseUnavailableError, SchemaMismatchError
from joulegate_core.telemetry import Message
from joulegate_db.streams import METER_TABLES, VEHICLE_TABLES, StreamTables
from joulegate_db.writer import OPTIMISTIC_FROM, Writer
from writer_harness import NOW, RECEIVED, bad_message, meter_message, snapshot, tally, vehicle_message


@pytest.fixture(params=[1, OPTIMISTIC_FROM], ids=["optimistic", "cautious"])
async def writer(
    database_url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Writer]:
    monkeypatch.setattr("joulegate_db.writer.OPTIMISTIC_FROM", request.param)
    monkeypatch.setattr("joulegate_db.writer.CAUTIOUS_BATCHES", 1)
    writer = await Writer.open(database_url)
    yield writer
    writer.terminate()


BATCH = [
    *(meter_message(f"m-{n}", seconds=60 * k) for n in range(5) for k in range(3)),
    *(vehicle_message(f"v-{n}", seconds=60 * k) for n in range(5) for k in range(3)),
]


async def test_the_same_batch_again_changes_nothing(writer: Writer, db: asyncpg.Connection) -> None:
    assert await writer.write([*BATCH, bad_message()], RECEIVED) == tally((15, 0, 1), (15, 0, 0))
    before = await snapshot(db)
    for batch in (BATCH, BATCH[::-1], BATCH[:7]):
        result = await writer.write([*batch, bad_message()], RECEIVED + timedelta(hours=1))
        assert sum(t.duplicate for t in result.values()) == len(batch)
        assert sum(t.committed for t in result.values()) == 0
    assert await snapshot(db) == before
    row = await db.fetchrow("select count, first_seen, last_seen from quarantine")
    assert tuple(row) == (4, RECEIVED, RECEIVED + timedelta(hours=1))


async def test_quarantine_counts_across_batches_and_within_one(writer: Writer, db: asyncpg.Connection) -> None:
    for _ in range(2):
        await writer.write([bad_message(), bad_message(), bad_message(b"other")], RECEIVED)
    counts = {r["payload"]: r["count"] for r in await db.fetch("select payload, count from quarantine")}
    assert counts == {b"bad": 4, b"other": 2}


async def test_an_empty_batch(writer: Writer) -> None:
    assert await writer.write([], RECEIVED) == tally()


async def test_a_device_twice_in_a_batch_and_out_of_order(writer: Writer, db: asyncpg.Connection) -> None:
    batch = [meter_message(seconds=s, kwh=float(s)) for s in (60, 180, 0, 120)]
    assert await writer.write(batch, RECEIVED) == tally((4, 0, 0))
    row = await db.fetchrow("select ts, received_at, kwh, charging from meter_live")
    assert tuple(row) == (NOW + timedelta(seconds=180), RECEIVED, 180.0, True)
    assert await db.fetchval("select count(*) from meter_history") == 4
    assert [tuple(r) for r in await db.fetch("select device, kind, first_seen from devices")] == [
        ("m-1", "meter", RECEIVED)
    ]


async def test_live_keeps_the_newest_measured_across_batches(writer: Writer, db: asyncpg.Connection) -> None:
    later = RECEIVED + timedelta(hours=1)
    await writer.write([vehicle_message(seconds=60, kwh=0.0, soc=60.0)], RECEIVED)
    await writer.write([vehicle_message(seconds=0, soc=40.0, charge_point="cp-2")], later)
    row = await db.fetchrow("select ts, received_at, soc, charging, charge_point from vehicle_live")
    assert tuple(row) == (NOW + timedelta(seconds=60), RECEIVED, 60.0, False, "cp-1")
    await writer.write([vehicle_message(seconds=61, soc=61.0, charge_point="cp-2")], later)
    row = await db.fetchrow("select ts, received_at, soc, charging, charge_point from vehicle_live")
    assert tuple(row) == (NOW + timedelta(seconds=61), later, 61.0, True, "cp-2")


async def test_the_first_content_wins_within_a_batch(writer: Writer, db: asyncpg.Connection) -> None:
    batch = [meter_message(kwh=k) for k in (2.0, 1.0, 2.0, 3.0, 1.0)]
    assert await writer.write(batch, RECEIVED) == tally((1, 1, 3))
    assert await db.fetchval("select kwh from meter_history") == 2.0
    assert await db.fetchval("select kwh from meter_live") == 2.0
    kept = {(r["payload"], r["count"]) for r in await db.fetch("select payload, count from quarantine")}
    assert kept == {(batch[1].payload, 2), (batch[3].payload, 1)}


@pytest.mark.parametrize(
    "other",
    [
        meter_message(kwh=1.5),
        meter_message(voltage=231.0),
        meter_message(charge_point="cp-2"),
        vehicle_message(kwh=1.5),
        vehicle_message(soc=51.0),
        vehicle_message(charge_point="cp-2"),
    ],
    ids=["meter-kwh", "voltage", "meter-place", "vehicle-kwh", "soc", "vehicle-place"],
)
async def test_other_content_in_a_later_batch_is_a_conflict(
    writer: Writer, db: asyncpg.Connection, other: Message
) -> None:
    await writer.write([meter_message(), vehicle_message()], RECEIVED)
    before = await snapshot(db)
    result = await writer.write([other], RECEIVED)
    assert result[other.stream].quarantined == 1
    assert await snapshot(db) == before  # presence too: a conflict was not there
    row = await db.fetchrow("select topic, payload, reason from quarantine")
    assert tuple(row) == (other.topic, other.payload, "conflict")


async def test_the_same_id_in_both_streams_is_two_devices(writer: Writer, db: asyncpg.Connection) -> None:
    assert await writer.write([meter_message("x"), vehicle_message("x")], RECEIVED) == tally((1, 0, 0), (1, 0, 0))
    assert {tuple(r) for r in await db.fetch("select device, kind from devices")} == {("x", "meter"), ("x", "vehicle")}


async def test_presence_by_quarter_of_an_hour(writer: Writer, db: asyncpg.Connection) -> None:
    start = datetime.fromtimestamp(NOW.timestamp() // 900 * 900, UTC)
    to_edge = (start + timedelta(seconds=900) - NOW).total_seconds()
    batch = [meter_message(seconds=to_edge - 0.001), meter_message(seconds=to_edge), vehicle_message(seconds=to_edge)]
    for message in batch:  # a batch each: the second comes from the cache
        await writer.write([message], RECEIVED)
        await writer.write([message], RECEIVED)
    expected = [
        (start, "meter"),
        (start + timedelta(seconds=900), "meter"),
        (start + timedelta(seconds=900), "vehicle"),
    ]
    assert [tuple(r) for r in await db.fetch("select bucket, kind from presence order by bucket, kind")] == expected


@pytest.mark.parametrize(
    "constraint",
    [
        "alter table vehicle_history add constraint refusal check (soc <> 14)",  # an early statement of the transaction
        "alter table quarantine add constraint refusal check (reason <> 'bad_json')",  # the last one
    ],
)
async def test_a_refused_batch_leaves_nothing_behind(writer: Writer, db: asyncpg.Connection, constraint: str) -> None:
    await db.execute(constraint)
    before = await snapshot(db)
    for _ in range(3):
        with pytest.raises(asyncpg.CheckViolationError):
            await writer.write([*BATCH, bad_message(), vehicle_message("v-x", soc=14.0)], RECEIVED)
    assert await snapshot(db) == before
    assert await db.fetchval("select count(*) from quarantine") == 0
    # neither the staging tables nor the memory of presence have kept any of it
    batch = [meter_message(kwh=k) for k in (2.0, 1.0, 2.0)]
    assert await writer.write([*batch, vehicle_message()], RECEIVED) == tally((1, 1, 1), (1, 0, 0))
    assert await db.fetchval("select kwh from meter_history") == 2.0
    assert await db.fetchval("select count(*) from presence") == 2


async def test_a_missing_schema_is_told(postgres_server: LocalPostgres) -> None:
    with pytest.raises(SchemaMismatchError, match="run `joulegate migrate`"):
        await Writer.open(postgres_server.url())


async def test_a_role_without_rights_is_told(database_url: str, db: asyncpg.Connection) -> None:
    await db.execute("create role nobody_at_all login")
    try:
        with pytest.raises(DatabaseUnavailableError, match="permission denied"):
            await Writer.open(database_url.replace("//joulegate@", "//nobody_at_all@"))
    finally:
        await db.execute("drop role nobody_at_all")


async def test_an_error_does_not_hold_the_password() -> None:
    with pytest.raises(DatabaseUnavailableError) as caught:
        await Writer.open("postgresql://u:s3cr3t@127.0.0.1:1/d")
    assert "s3cr3t" not in str(caught.value)


async def test_a_writer_whose_connection_is_gone_says_so(writer: Writer, db: asyncpg.Connection) -> None:
    states = [writer.is_closed]
    writer.terminate()
    states.append(writer.is_closed)
    assert states == [False, True]
    with pytest.raises(asyncpg.InterfaceError):
        await writer.write([meter_message()], RECEIVED)
    assert await db.fetchval("select count(*) from meter_history") == 0


@pytest.mark.parametrize("tables", [METER_TABLES, VEHICLE_TABLES], ids=["meter", "vehicle"])
def test_readings_that_are_all_new_are_not_looked_for(tables: StreamTables) -> None:
    assert "on conflict (device, ts)" in tables.append
    assert "on conflict (device, ts)" not in tables.append_new
