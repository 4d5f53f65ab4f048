"""The modern form of the same: aiomqtt 2 and asyncpg, a prepared INSERT a message."""

import asyncio

import asyncpg
import uvloop
from rows import DATABASE_URL, METER, VEHICLE, row
from subscriber import client, subscribe


async def main() -> None:
    """Runs until it is killed."""
    database = await asyncpg.connect(DATABASE_URL)
    meter, vehicle = await database.prepare(METER), await database.prepare(VEHICLE)
    async with client() as connected, asyncio.TaskGroup() as tasks:
        tasks.create_task(subscribe(connected))
        async for message in connected.messages:
            is_meter, values = row(message.topic.value, message.payload)
            await (meter if is_meter else vehicle).fetch(*values)


uvloop.run(main())
