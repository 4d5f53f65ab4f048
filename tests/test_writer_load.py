"""Writers side by side, and what many batches do to the server: no deadlocks, heap-only updates, no growth of catalogs."""

import asyncio
import random
from datetime import timedelta

import asyncpg
import pytest

from gateway_harness import eventually
from joulegate_core.telemetry import Message, Rejection
from joulegate_db.partitions import ensure_partitions
from joulegate_db.writer import OPTIMISTIC_FROM, StreamTally, Writer
from writer_harness import NOW, RECEIVED, bad_message, meter_message, vehicle_message

ROUNDS = 50


def overlapping_batch(chance: random.Random, round_number: int, shift: float) -> list[Message]:
    """Readings of few devices, in any order; without a shift most are in the other writer's batch too, some with other content.

    With a shift of its own for each writer no reading is in both: they meet at the devices, presence and quarantine only.
    """
    batch: list[Message] = []
    for _ in range(60):
        device, seconds = chance.randrange(20), round_number * 900 + chance.randrange(10) + shift
        kwh = 1.0 if chance.random() < 0.9 else 2.0
        charge_point = f"cp-{device % 5}"
        batch.append(meter_message(f"m-{device}", seconds=-seconds, kwh=kwh, charge_point=charge_point))
        batch.append(vehicle_message(f"v-{device}", seconds=seconds, kwh=kwh, charge_point=charge_point))
    batch += [bad_message(f"{round_number} {chance.randrange(5)}".encode()) for _ in range(9)]
    chance.shuffle(batch)
    return batch


@pytest.mark.parametrize("shift", [0.0, 0.001], ids=["the same readings", "the same devices"])
@pytest.mark.parametrize("optimistic_from", [1, OPTIMISTIC_FROM], ids=["optimistic", "cautious"])
async def test_two_writers_side_by_side(
    database_url: str, db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, shift: float, optimistic_from: int
) -> None:
    monkeypatch.setattr("joulegate_db.writer.OPTIMISTIC_FROM", optimistic_from)
    monkeypatch.setattr("joulegate_db.writer.CAUTIOUS_BATCHES", 1)
    await ensure_partitions(db, NOW + timedelta(hours=15), max_age_days=7)
    writers = [await Writer.open(database_url) for _ in range(2)]
    chance = random.Random(20260615)
    written: list[Message] = []
    totals = StreamTally()
    for number in range(ROUNDS):
        batches = [overlapping_batch(chance, number, shift * index) for index in range(2)]
        async with asyncio.timeout(20):
            tallies = await asyncio.gather(*(w.write(b, RECEIVED) for w, b in zip(writers, batches, strict=True)))
        written += [*batches[0], *batches[1]]
        for counts in (counts for tally in tallies for counts in tally.values()):
            totals.committed += counts.committed
            totals.duplicate += counts.duplicate
            totals.quarantined += counts.quarantined
    for writer in writers:
        writer.terminate()
    keys = {(m.content.device, m.content.ts) for m in written if not isinstance(m.content, Rejection)}
    rows = await db.fetchval("select (select count(*) from meter_history) + (select count(*) from vehicle_history)")
    assert totals.committed == rows == len(keys)
    assert totals.committed + totals.duplicate + totals.quarantined == len(written)
    assert await db.fetchval("select sum(count) from quarantine") == totals.quarantined
    assert await db.fetchval("select count(*) from devices") == 40
    for table in ("meter", "vehicle"):
        newest = f"select device, max(ts) as ts from {table}_history group by device order by device"
        assert await db.fetch(f"select device, ts from {table}_live order by device") == await db.fetch(newest)


async def test_two_writers_with_the_same_bad_messages(database_url: str, db: asyncpg.Connection) -> None:
    writers = [await Writer.open(database_url) for _ in range(2)]
    chance = random.Random(20260615)
    for number in range(10):
        bad = [bad_message(f"{number} {n}".encode()) for n in range(1000)]
        async with asyncio.timeout(20):
            await asyncio.gather(*(w.write(chance.sample(bad, 1000), RECEIVED) for w in writers))
    for writer in writers:
        writer.terminate()
    assert await db.fetchval("select array_agg(distinct count) from quarantine") == [2]
    assert await db.fetchval("select count(*) from quarantine") == 1000 * 10


async def test_updates_of_live_rows_are_heap_only(database_url: str, db: asyncpg.Connection) -> None:
    writer = await Writer.open(database_url)
    for k in range(60):
        await writer.write([meter_message(f"m-{n}", seconds=k) for n in range(300)], RECEIVED + timedelta(seconds=k))
    writer.terminate()  # the backend reports its statistics when it ends
    statement = "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = 'meter_live'"

    async def are_reported() -> bool:
        return bool(await db.fetchval(statement) == 59 * 300)

    await eventually(are_reported)
    updated, heap_only = await db.fetchrow(statement)
    assert heap_only >= 0.95 * updated


CATALOG_WRITES = """
select sum(n_tup_ins + n_tup_del) from pg_stat_sys_tables
where relname in ('pg_class', 'pg_attribute', 'pg_type', 'pg_index', 'pg_depend')
"""


async def test_staging_leaves_no_trace_in_the_catalogs(database_url: str, db: asyncpg.Connection) -> None:
    writer = await Writer.open(database_url)

    async def catalog_writes() -> int:
        await writer._connection.execute("select pg_stat_force_next_flush()")
        return int(await db.fetchval(CATALOG_WRITES))

    await writer.write([meter_message(), vehicle_message(), bad_message()], RECEIVED)
    before = await catalog_writes()
    for k in range(1, 201):
        await writer.write([meter_message(seconds=k), vehicle_message(seconds=k), bad_message()], RECEIVED)
    assert await catalog_writes() == before
    writer.terminate()
