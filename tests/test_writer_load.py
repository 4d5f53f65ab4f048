"""Writers side by side, and what many batches do to the server: no deadlocks, heap-only updates, no growth of catalogs."""

import asyncio
import random
from datetime import timedelta

import asyncpg

from gateway_harness import eventually
from joulegate_core.telemetry import Message, Rejection
from joulegate_db.writer import Writer
from writer_harness import RECEIVED, bad_message, meter_message, vehicle_message

ROUNDS = 50


def overlapping_batch(chance: random.Random, round_number: int) -> list[Message]:
    """Readings of few devices and times, so that most are in the other writer's batch too; some differ, some are bad."""
    batch: list[Message] = []
    for _ in range(60):
        device, seconds = chance.randrange(20), round_number * 10 + chance.randrange(10)
        kwh = 1.0 if chance.random() < 0.9 else 2.0
        cp = f"cp-{device % 5}"
        batch.append(meter_message(f"m-{device}", seconds=seconds, kwh=kwh, charge_point=cp))
        batch.append(vehicle_message(f"v-{device}", seconds=seconds, kwh=kwh, charge_point=cp))
    batch += [bad_message(str(chance.randrange(5)).encode()) for _ in range(5)]
    chance.shuffle(batch)
    return batch


async def test_two_writers_with_overlapping_keys(database_url: str, db: asyncpg.Connection) -> None:
    writers = [await Writer.open(database_url) for _ in range(2)]
    chance = random.Random(20260615)
    committed = written = settled = 0
    keys: set[tuple[str, object]] = set()
    for round_number in range(ROUNDS):
        batches = [overlapping_batch(chance, round_number) for _ in writers]
        async with asyncio.timeout(20):
            tallies = await asyncio.gather(*(w.write(b, RECEIVED) for w, b in zip(writers, batches, strict=True)))
        for tally in tallies:
            for counts in tally.values():
                committed += counts.committed
                settled += counts.committed + counts.duplicate + counts.quarantined
        for batch in batches:
            written += len(batch)
            keys |= {(m.content.device, m.content.ts) for m in batch if not isinstance(m.content, Rejection)}
    for writer in writers:
        writer.terminate()
    rows = await db.fetchval("select (select count(*) from meter_history) + (select count(*) from vehicle_history)")
    assert committed == rows == len(keys)
    assert settled == written
    assert await db.fetchval("select count(*) from devices") == 40
    newest = "select device, max(ts) from meter_history group by device order by device"
    assert await db.fetch("select device, ts from meter_live order by device") == await db.fetch(newest)


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
