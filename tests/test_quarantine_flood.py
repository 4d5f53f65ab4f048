"""Floods do not fill the disk, cost their neighbours nothing, and can be seen."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import asyncpg
import pytest
from structlog.testing import capture_logs

from databases import new_database
from gateway_harness import Gateway, eventually, meter, now_ms, publisher, vehicle
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.telemetry import Stream
from joulegate_db import migrate as migrate_module
from joulegate_db.migrate import migrate
from joulegate_db.writer import StreamTally, Tally, Writer
from joulegate_gateway.overflow import SILENCE, OverflowLog
from quarantine_support import DETAIL, ROW, TOPIC, disk, kept, noise, overflowed, refused, totals
from writer_harness import NOW, RECEIVED, meter_message, vehicle_message

MEGABYTE = 1_000_000
BATCH = 1000


@pytest.fixture
async def writer(database_url: str) -> AsyncIterator[Writer]:
    """A writer with a cap of 1 MB for each reason."""
    writer = await Writer.open(database_url, quarantine_max_bytes=MEGABYTE)
    yield writer
    writer.terminate()


@pytest.mark.parametrize("size", [150, 1000, 4000, 30_000])
async def test_a_flood_of_bad_messages_keeps_to_the_cap(writer: Writer, db: asyncpg.Connection, size: int) -> None:
    count = 20_000 if size == 150 else 4_000
    sizes, tallies = [], []
    for start in range(0, count, BATCH):
        batch = [refused(noise(start + n, size)) for n in range(BATCH)]
        tallies.append(await writer.write([meter_message(seconds=-start), *batch], RECEIVED))
        sizes.append(await disk(db))
    rows, octets, messages, lost = (await totals(db))["bad_json"]
    assert rows == MEGABYTE // (ROW + size)
    assert overflowed(tallies) == {"bad_json": lost}
    assert messages + lost == count
    assert octets == rows * (len(TOPIC) + len(DETAIL) + size)
    assert sizes[-1] < 2 * MEGABYTE
    assert sizes[-1] == sizes[len(sizes) // 2]
    assert await db.fetchval("select count(*) from meter_history") == count // BATCH


@pytest.mark.parametrize("size", [150, 600])
async def test_a_flood_of_the_same_bad_messages_keeps_to_the_cap(
    writer: Writer, db: asyncpg.Connection, size: int
) -> None:
    await db.execute("alter table quarantine set (autovacuum_enabled = off)")  # vacuum is not what keeps it small
    batch = [refused(noise(n, size)) for n in range(BATCH)]
    sizes = []
    for n in range(60):
        await writer.write(batch, RECEIVED + timedelta(seconds=n))
        sizes.append(await disk(db))
    assert sizes[-1] < 3 * MEGABYTE
    assert sizes[-1] < 1.1 * sizes[20]
    counts = [count for _, _, count in await kept(db)]
    assert set(counts) == {60}
    writer.terminate()  # the backend reports its statistics when it ends

    async def are_reported() -> bool:
        return bool((await db.fetchrow(UPDATES))["n_tup_upd"] == 59 * len(counts))

    await eventually(are_reported)
    assert (await db.fetchrow(UPDATES))["n_tup_hot_upd"] > 0.8 * 59 * len(counts)


UPDATES = "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = 'quarantine'"

SIZE_OF_ALL_ELSE = """
select sum(pg_relation_size(oid)) from pg_class
where relnamespace = 'public'::regnamespace and relkind in ('r', 'i') and relname not like 'quarantine%'
"""


async def test_floods_of_duplicates_and_conflicts_write_nothing_to_history(
    writer: Writer, db: asyncpg.Connection
) -> None:
    accepted = [reading(f"d-{n}") for n in range(BATCH // 2) for reading in (meter_message, vehicle_message)]
    await writer.write(accepted, RECEIVED)
    before = await db.fetchval(SIZE_OF_ALL_ELSE)
    for kwh in range(2, 32):
        conflicts = [
            reading(f"d-{n}", kwh=kwh) for n in range(BATCH // 2) for reading in (meter_message, vehicle_message)
        ]
        result = await writer.write(accepted + conflicts, RECEIVED)
        assert [(c.committed, c.duplicate, c.quarantined) for c in result.values()] == [(0, BATCH // 2, BATCH // 2)] * 2
    assert await db.fetchval(SIZE_OF_ALL_ELSE) < before + 100_000  # 60,000 rows of history would be 7 MB
    assert await disk(db) < 2 * MEGABYTE
    _, _, messages, lost = (await totals(db))["conflict"]
    assert messages + lost == 30 * BATCH
    assert lost > 25 * BATCH


FORMER_INSERT = """
insert into quarantine as kept (digest, topic, payload, reason, detail, count, first_seen, last_seen)
values (sha256($1), 't', $1, $2, 'd', 1, now(), now())
on conflict (digest) do update
set count = kept.count + excluded.count, last_seen = excluded.last_seen, reason = excluded.reason, detail = excluded.detail
"""
"""As a gateway did it before quarantine had a cap. It still runs while the schema is brought up to date."""


async def test_rows_of_the_former_version_are_counted(
    postgres_server: LocalPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with new_database(postgres_server) as (_, db):
        former = [migration for migration in migrate_module.shipped_migrations() if migration.version < 4]
        with monkeypatch.context() as before:
            before.setattr(migrate_module, "shipped_migrations", lambda: former)
            await migrate(db)
        for payload, reason in [(b"1", "bad_json"), (b"1", "bad_json"), (b"22", "too_old"), (b"333", "too_old")]:
            await db.execute(FORMER_INSERT, payload, reason)
        await migrate(db)
        assert await totals(db) == {"bad_json": (1, 3, 2, 0), "too_old": (2, 9, 2, 0)}
        for payload, reason in [(b"1", "too_old"), (b"4444", "bad_json")]:
            await db.execute(FORMER_INSERT, payload, reason)
        assert await totals(db) == {"bad_json": (1, 6, 1, 0), "too_old": (3, 12, 5, 0)}


async def test_a_gateway_counts_what_it_does_not_keep_and_says_so_once(
    gateway: Gateway, db: asyncpg.Connection
) -> None:
    with capture_logs() as logs:
        await gateway.start(quarantine_max_mb=0.002, batch_max=10)
        async with publisher(gateway.broker) as publish:
            for n in range(60):
                await publish("fleet/cp-1/meter", b"bad %02d" % n)
                await publish(f"fleet/cp-{n}/vehicle", vehicle(f"v-{n}"))
            await publish("fleet/cp-1/meter", meter(ts=now_ms() - timedelta(days=9)))  # another reason
            await publish("fleet/cp-1/meter", b"bad 00")
        assert await gateway.settle(122) == {"committed": 60, "duplicate": 0, "quarantined": 62}
        samples = await gateway.metrics()
        await gateway.stop()
    rows = await kept(db)
    assert [row for row in rows if row[0] == "bad_json"] == [
        ("bad_json", b"bad %02d" % n, 2 - min(n, 1)) for n in range(4)
    ]
    assert [reason for reason, _, _ in rows if reason != "bad_json"] == ["too_old"]
    assert samples['joulegate_quarantine_overflow_total{reason="bad_json"}'] == 56
    assert samples['joulegate_quarantine_overflow_total{reason="too_old"}'] == 0
    assert (await totals(db))["bad_json"][2:] == (5, 56)
    assert await db.fetchval("select count(*) from vehicle_history") == 60
    full = [event for event in logs if event["event"] == "quarantine_full"]
    assert [(event["reason"], event["log_level"]) for event in full] == [("bad_json", "warning")]
    assert 1 <= full[0]["not_kept"] <= 10


async def test_conflicts_and_what_the_database_refuses_are_under_the_same_cap(
    gateway: Gateway, db: asyncpg.Connection
) -> None:
    await db.execute("alter table meter_history add constraint not_thirteen check (voltage <> 13)")
    await gateway.start(quarantine_max_mb=0.001, linger_ms=300)
    ts = now_ms()
    async with publisher(gateway.broker) as publish:
        await publish("fleet/cp-1/vehicle", vehicle(ts=ts))
        await gateway.settle(1)
        for n in range(6):
            await publish("fleet/cp-1/meter", meter(f"m-{n}", voltage=13))
            await publish("fleet/cp-1/vehicle", vehicle(ts=ts, batteryTemp=40 + n))
            await publish("fleet/cp-1/meter", meter(f"m-ok-{n}"))
    assert await gateway.settle(19) == {"committed": 7, "duplicate": 0, "quarantined": 12}
    samples = await gateway.metrics()
    for reason, field, first in (("conflict", "batteryTemp", 40), ("database_refused", "voltage", 13)):
        payloads = [json.loads(payload) for kind, payload, _ in await kept(db) if kind == reason]
        assert len(payloads) == 1
        assert payloads[0][field] == first
        assert (await totals(db))[reason][2:] == (1, 5)
        assert samples[f'joulegate_quarantine_overflow_total{{reason="{reason}"}}'] == 5
    assert await db.fetchval("select count(*) from meter_history") == 6


def test_the_log_speaks_of_a_reason_at_most_now_and_again() -> None:
    now = NOW

    def clock() -> datetime:
        return now

    def tally(**overflow: int) -> Tally:
        return {Stream.METER: StreamTally(overflowed=Counter(overflow)), Stream.VEHICLE: StreamTally()}

    log = OverflowLog(clock)
    with capture_logs() as events:
        for overflow in ({}, {"bad_json": 3}, {"bad_json": 4, "too_old": 1}, {"bad_json": 5}):
            log.note(tally(**overflow))
        now += SILENCE - timedelta(seconds=1)
        log.note(tally(bad_json=6))
        now += timedelta(seconds=1)
        log.note(tally())  # what was not told yet is told with the next batch, whatever is in it
        log.note(tally(bad_json=1))
        now += 2 * SILENCE
        log.note(tally())
        log.note(tally())
    told = [(event["reason"], event["not_kept"]) for event in events]
    assert told == [("bad_json", 3), ("too_old", 1), ("bad_json", 15), ("bad_json", 1)]
