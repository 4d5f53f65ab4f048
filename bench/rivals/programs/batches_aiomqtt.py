"""The same with batches: what came within 100 ms is stored with executemany, in one transaction."""

import asyncio

import aiomqtt
import asyncpg
import uvloop
from rows import DATABASE_URL, METER, VEHICLE, row
from subscriber import client, subscribe

EVERY_SECONDS = 0.1

Batch = tuple[list[tuple[object, ...]], list[tuple[object, ...]]]


async def main() -> None:
    """Runs until it is killed."""
    database = await asyncpg.connect(DATABASE_URL)
    batch: Batch = ([], [])
    async with client() as connected, asyncio.TaskGroup() as tasks:
        tasks.create_task(subscribe(connected))
        tasks.create_task(flush(database, batch))
        await collect(connected, batch)


async def collect(connected: aiomqtt.Client, batch: Batch) -> None:
    """Puts every message into the batch."""
    meters, vehicles = batch
    async for message in connected.messages:
        is_meter, values = row(message.topic.value, message.payload)
        (meters if is_meter else vehicles).append(values)


async def flush(database: asyncpg.Connection, batch: Batch) -> None:
    """Stores the batch ten times a second."""
    meters, vehicles = batch
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        if meters or vehicles:
            now = meters[:], vehicles[:]
            meters.clear()
            vehicles.clear()
            async with database.transaction():
                await database.executemany(METER, now[0])
                await database.executemany(VEHICLE, now[1])


uvloop.run(main())
