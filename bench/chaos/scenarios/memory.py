"""Memory stays bounded, whatever waits."""

import asyncio

from chaos.scenario import scenario
from chaos.stand import Stand

WAITING = 1_000_000
LIMIT_MB = 250
RECONNECTS = 150
GROWTH_MB = 10


@scenario("database stalled and 1,000,000 readings waiting", rate=1, devices=20_000, window=20_000)
async def million_waiting(stand: Stand) -> None:
    """The gateway holds what it took and leaves the rest to the broker."""
    gateway = await stand.subscribed()
    async with stand.database() as db, db.transaction():
        await db.execute("lock table meter_history, vehicle_history in access exclusive mode")
        stand.faults["stalled database"] += 1
        await stand.fleet.publish(WAITING)
        await stand.fleet.drain()
        stand.notes.append("stalled: {} MB, peak {} MB".format(*gateway.memory()))
    await gateway.until(WAITING, 300)
    await asyncio.sleep(1)
    now, peak = gateway.memory()
    stand.notes.append(f"drained: {now} MB, peak {peak} MB")
    stand.expect(peak <= LIMIT_MB, f"peak memory {peak} MB is more than {LIMIT_MB} MB")


@scenario(f"{RECONNECTS} reconnects in a row, to broker and database")
async def reconnects(stand: Stand) -> None:
    """As many as a bad line makes in hours; what a connection leaves behind would add up."""
    gateway = await stand.subscribed(linger_ms=1)
    start = 0
    for number in range(RECONNECTS):
        await stand.load(0.1)
        stand.broker_proxy.reset()
        if number % 3 == 0:
            stand.database_proxy.reset()
        stand.faults["RST"] += 1
        await stand.recovered(gateway)
        if number == RECONNECTS // 3:  # caches and allocator have settled
            start = gateway.memory()[0]
    end = gateway.memory()[0]
    stand.notes.append(f"{start} MB after {RECONNECTS // 3} reconnects, {end} MB after {RECONNECTS}")
    stand.expect(end - start <= GROWTH_MB, f"memory grew from {start} to {end} MB")


@scenario("database so slow that every transaction looks like an outage", rate=4000, devices=20_000)
async def database_crawls(stand: Stand) -> None:
    """Six seconds a transaction: the gateway leaves the queue to the broker and comes back, again and again."""
    gateway = await stand.subscribed()
    await stand.load(2)
    async with stand.database() as db:
        await db.execute(CRAWL)
        stand.faults["60 s of slow transactions"] += 1
        await stand.load(60)
        await db.execute("drop trigger chaos_crawl on meter_history")
    await stand.recovered(gateway)
    now, peak = gateway.memory()
    stand.notes.append(f"{now} MB, peak {peak} MB")
    stand.expect(peak <= LIMIT_MB, f"peak memory {peak} MB is more than {LIMIT_MB} MB")


CRAWL = """
create function chaos_crawl() returns trigger language plpgsql as $$ begin perform pg_sleep(6); return null; end $$;
create trigger chaos_crawl after insert on meter_history for each statement execute function chaos_crawl()
"""
