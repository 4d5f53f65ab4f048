"""Readings a second of the writer alone, into a database of the coordinator's own and into one with distributed history, in turns.

    JOULEGATE_TEST_CITUS_URL=... PYTHONPATH=tests .venv/bin/python bench/citus_rate.py [BATCH] [BATCHES] [SHARDS]

Both on the same servers with the same settings. Readings are new, of 20,000 devices, half of them vehicles.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta

import citus_harness
from citus_harness import cluster_database, empty, empty_cluster_database
from joulegate_core.telemetry import Message, MeterReading, Stream, VehicleReading
from joulegate_db.connect import MIGRATION_SETTINGS, connect
from joulegate_db.migrate import migrate
from joulegate_db.partitions import ensure_partitions
from joulegate_db.writer import Writer

DEVICES = 20_000
ROUNDS = 4
WARM_UP = 2
"""Batches that are not counted: presence and live rows are there from then on."""


def batches(size: int, number: int, begin: datetime) -> list[list[Message]]:
    """A reading a minute of each device, in the order of time."""
    made = []
    for first in range(0, size * number, size):
        batch = []
        for count in range(first, first + size):
            device, ts = count % DEVICES, begin + timedelta(minutes=count // DEVICES)
            place = (f"cp-{device // 2:05d}", ts, 0.1)
            if device % 2:
                meter = MeterReading(f"m-{device:05d}", *place, 230.0, late=False)
                batch.append(Message(Stream.METER, "", b"", meter))
            else:
                vehicle = VehicleReading(f"v-{device:05d}", *place, 50.0, 20.0, late=False)
                batch.append(Message(Stream.VEHICLE, "", b"", vehicle))
        made.append(batch)
    return made


async def rate(url: str, todo: list[list[Message]]) -> float:
    """Readings committed a second."""
    await empty(url)
    writer = await Writer.open(url)
    for batch in todo[:WARM_UP]:
        await writer.write(batch, datetime.now(UTC))
    began, committed = time.perf_counter(), 0
    for batch in todo[WARM_UP:]:
        tally = await writer.write(batch, datetime.now(UTC))
        committed += sum(one.committed for one in tally.values())
    seconds = time.perf_counter() - began
    writer.terminate()
    return committed / seconds


async def main(size: int = 10_000, number: int = 22, shards: int = 8) -> None:
    """Prints a line for each turn."""
    citus_harness.SHARDS = shards
    todo = batches(size, number, datetime.now(UTC) - timedelta(hours=2))
    async with empty_cluster_database(workers=False) as plain, cluster_database() as distributed:
        connection = await connect(plain, MIGRATION_SETTINGS)
        await migrate(connection)
        await ensure_partitions(connection, datetime.now(UTC), max_age_days=3)
        await connection.close()
        for _ in range(ROUNDS):
            one, many = await rate(plain, todo), await rate(distributed, todo)
            print(
                f"batches of {size:,}: {one:,.0f} readings/s into one server, {many:,.0f} with {shards} shards, {many / one:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    asyncio.run(main(*(int(argument) for argument in sys.argv[1:])))
