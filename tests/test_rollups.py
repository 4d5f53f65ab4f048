"""Rollups equal history: whoever writes while buckets are closed, whatever comes late, wherever the roller is killed."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import asyncpg
import pytest

from http_support import Reading, ask, at, meter, vehicle, write
from joulegate_core.clock import utc_now
from joulegate_core.telemetry import Message, MeterReading, Stream
from joulegate_db.connect import ROLLER_SETTINGS, connect
from joulegate_db.performance import Performance
from joulegate_db.rollups import CLOSE_AFTER, EnergyDefaults, Rollups
from joulegate_db.sql import query
from joulegate_db.writer import Writer

INTERVAL = EnergyDefaults("interval", "interval", 2000, timedelta(days=8))

DIFFERENCES = """
with kept as (
    select date_bin('15 minutes', ts, timestamptz 'epoch') as bucket, device, charge_point, count(*) as readings, sum(kwh) as kwh
    from meter_history
    where ts < (select rolled_until from roll_state)
    group by 1, 2, 3
)
select count(*)
from kept
full join meter_rollup_15m as rolled using (bucket, device, charge_point)
where kept.readings is distinct from rolled.readings or abs(kept.kwh - rolled.kwh) > 1e-9 or kept.kwh is null
"""


@pytest.fixture
async def rollups(database_url: str) -> AsyncIterator[Rollups]:
    """The roller's hands, on a connection of their own, with the lock held."""
    connection = await connect(database_url, ROLLER_SETTINGS)
    rollups = Rollups(connection, INTERVAL)
    assert await rollups.lock()
    yield rollups
    connection.terminate()


async def roll(rollups: Rollups, minute: float) -> int:
    """Rolls when it is `minute` after ten, with the delay of closing over; returns the steps."""
    return len([step async for step in rollups.roll(at(minute) + CLOSE_AFTER)])


async def test_buckets_are_closed_two_minutes_after_their_end(rollups: Rollups, db: asyncpg.Connection) -> None:
    for offset, closed in ((timedelta(seconds=119), 0), (timedelta(seconds=120), 15)):
        async for _ in rollups.roll(at(15) + offset):
            pass
        assert await db.fetchval("select rolled_until from roll_state") == at(closed)


async def test_a_late_reading_counts_at_once_and_after_the_recomputation(
    rollups: Rollups, database_url: str, db: asyncpg.Connection
) -> None:
    await write(database_url, [r for m in range(30) for r in (meter(m, 1.0), vehicle(m, 0.9))])
    await roll(rollups, 60)
    await write(database_url, [meter(7.5, 2.0), vehicle(20.5, 0.5)])
    assert await db.fetchval("select count(*) from rollup_marks") == 2
    for _ in ("from history", "from rollups"):
        answer = await ask(database_url)
        assert answer.total_kwh_consumed_ac == pytest.approx(32)
        assert answer.total_kwh_delivered_dc == pytest.approx(27.5)
        await rollups.roll_marked()
    assert await db.fetchval("select count(*) from rollup_marks") == 0
    assert await db.fetchval(DIFFERENCES) == 0


async def test_a_bucket_that_many_batches_touched_is_computed_once(
    rollups: Rollups, database_url: str, db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("joulegate_db.rollups.MARKS_A_STEP", 1)
    await write(database_url, [meter(m, 1.0) for m in range(30)])
    await roll(rollups, 60)
    for late in (1.5, 2.5, 20.5, 3.5, 21.5):
        await write(database_url, [meter(late, 1.0)])
    assert await db.fetchval("select count(*) from rollup_marks") == 5
    assert [await rollups.roll_marked() for _ in range(3)] == [1, 1, 0]
    assert await db.fetchval(DIFFERENCES) == 0


async def test_closing_waits_for_a_writer_in_the_middle_of_its_transaction(
    rollups: Rollups, database_url: str, db: asyncpg.Connection
) -> None:
    writing = await asyncpg.connect(database_url)
    transaction = writing.transaction()
    await transaction.start()
    await writing.execute(query("roll_lock_shared"))
    await writing.execute("insert into meter_history values ($1, 3, 230, false, 'm-1', 'cp-1')", at(1))
    rolling = asyncio.create_task(roll(rollups, 15))
    await asyncio.sleep(0.3)
    assert not rolling.done()
    await transaction.commit()
    await rolling
    await writing.close()
    assert await db.fetchval("select kwh from meter_rollup_15m") == 3


async def test_a_roller_that_is_killed_between_closing_and_rolling_is_carried_on(
    rollups: Rollups, database_url: str, db: asyncpg.Connection
) -> None:
    await write(database_url, [meter(m, 1.0) for m in range(60)])
    await roll(rollups, 15)
    await db.fetch(query("roll_close"), at(60))  # and then it died
    await write(database_url, [meter(20.5, 5.0)])  # late for what is closed
    assert (await ask_meter(database_url)).total_kwh_consumed_ac is None
    await write(database_url, [vehicle(m, 0.5) for m in range(60)])
    assert (await ask(database_url)).total_kwh_consumed_ac == pytest.approx(65)
    await roll(rollups, 30)
    assert await db.fetchval("select rolled_until from roll_state") == at(60)
    assert (await ask(database_url)).total_kwh_consumed_ac == pytest.approx(65)
    await rollups.roll_marked()
    assert await db.fetchval(DIFFERENCES) == 0


async def ask_meter(url: str) -> Performance:
    """The answer for a vehicle that was only declared: no AC can be its."""
    connection = await asyncpg.connect(url)
    await connection.execute("insert into devices (device, kind) values ('v-1', 'vehicle') on conflict do nothing")
    await connection.close()
    return await ask(url)


async def test_one_rolls_at_a_time_and_the_next_takes_over(rollups: Rollups, database_url: str) -> None:
    other = await connect(database_url, ROLLER_SETTINGS)
    second = Rollups(other, INTERVAL)
    assert not await second.lock()
    rollups._connection.terminate()
    async with asyncio.timeout(10):
        while not await second.lock():
            await asyncio.sleep(0.05)
    await other.close()


async def test_other_settings_begin_anew(rollups: Rollups, database_url: str, db: asyncpg.Connection) -> None:
    counters: list[Reading] = [meter(m, 100.0 + m) for m in range(30)]
    await write(database_url, [*counters, *(vehicle(m, 0.9) for m in range(30))])
    assert not await rollups.declare_defaults()
    await roll(rollups, 60)
    assert (await ask(database_url)).total_kwh_consumed_ac == pytest.approx(sum(100 + m for m in range(30)))
    registers = Rollups(rollups._connection, EnergyDefaults("register", "interval", 2000, timedelta(days=8)))
    assert await registers.declare_defaults()
    assert not await registers.declare_defaults()
    assert (await ask(database_url)).total_kwh_consumed_ac == pytest.approx(29)
    await roll(registers, 60)
    assert (await ask(database_url)).total_kwh_consumed_ac == pytest.approx(29)
    assert await db.fetchval("select sum(kwh) from meter_rollup_15m") == pytest.approx(29)


def reading_before(clock: datetime, rnd: random.Random) -> Message:
    """A reading of now, or up to an hour late."""
    ts = clock - timedelta(seconds=rnd.choice([0, 0, 0, 1, 2, 30]) * 120 + rnd.random())
    reading = MeterReading(f"m-{rnd.randrange(5)}", "cp-1", ts, 1.0, 230.0, late=False)
    return Message(Stream.METER, "t", b"", reading)


async def test_writers_and_roller_at_the_same_time(rollups: Rollups, database_url: str, db: asyncpg.Connection) -> None:
    """Two writers with readings of now and of the past, and a clock that runs: nothing is left out, nothing twice."""
    clock = at(0)

    async def write_on(seed: int) -> None:
        nonlocal clock
        rnd = random.Random(seed)
        writer = await Writer.open(database_url)
        for _ in range(60):
            await writer.write([reading_before(clock, rnd) for _ in range(20)], utc_now())
            clock += timedelta(minutes=2)
        writer.terminate()

    async def roll_on(writing: list[asyncio.Task[None]]) -> None:
        while not all(task.done() for task in writing):
            async for _ in rollups.roll(clock):
                pass
            await rollups.roll_marked()

    writing = [asyncio.create_task(write_on(seed)) for seed in (1, 2)]
    await roll_on(writing)
    await asyncio.gather(*writing)
    async for _ in rollups.roll(clock + timedelta(hours=1)):
        pass
    while await rollups.roll_marked():
        pass
    assert await db.fetchval("select count(*) from meter_history") == 2 * 60 * 20
    assert await db.fetchval("select sum(readings) from meter_rollup_15m") == 2 * 60 * 20
    assert await db.fetchval(DIFFERENCES) == 0


async def test_the_cap_matters_to_registers_only(rollups: Rollups, database_url: str, db: asyncpg.Connection) -> None:
    await write(database_url, [meter(m, 1.0) for m in range(15)])
    await roll(rollups, 15)
    other_cap = EnergyDefaults("interval", "interval", 50, timedelta(days=8))
    assert not await Rollups(rollups._connection, other_cap).declare_defaults()
    assert await db.fetchval("select rolled_until from roll_state") == at(15)
    await db.execute("insert into devices (device, kind, energy) values ('m-2', 'meter', 'register')")
    assert await rollups.declare_defaults()
    assert await db.fetchval("select max_kw from roll_state") == 2000
