"""`joulegate bench storage`: the bytes that a reading takes, after a day of readings through the real writer."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated

import asyncpg
import msgspec

from joulegate_cli.bench.plain_copy import TABLES
from joulegate_cli.bench.report import Figure, Progress, Results
from joulegate_cli.bench.seed import DAY, roller
from joulegate_cli.bench.servers import bench_servers
from joulegate_cli.bench.statements import statement
from joulegate_core.clock import utc_now
from joulegate_core.errors import JoulegateError
from joulegate_core.telemetry import READING_INTERVAL_SECONDS, Message, MeterReading, Stream, VehicleReading
from joulegate_db.charging import Charging
from joulegate_db.connect import ROLLER_SETTINGS, connect
from joulegate_db.rollups import CLOSE_AFTER
from joulegate_db.writer import Writer

BATCH = 5000
READINGS_A_DAY = 86_400 // READING_INTERVAL_SECONDS


class StorageResult(msgspec.Struct, frozen=True, rename="camel"):
    """One run. Bytes a reading in history, heap and indexes apart; bytes a device and day in what is derived.

    `dense` is the same rows in a plain table, sorted, with the index built afterwards: as small as this layout gets.
    """

    devices: int
    readings: int
    id_characters: int
    meter_heap: Annotated[float, Figure("meter history: heap, bytes a reading")]
    meter_index: Annotated[float, Figure("  indexes")]
    meter_total: Annotated[float, Figure("  together", most=90)]
    vehicle_heap: Annotated[float, Figure("vehicle history: heap, bytes a reading")]
    vehicle_index: Annotated[float, Figure("  indexes")]
    vehicle_total: Annotated[float, Figure("  together", most=90)]
    dense_ratio: Annotated[float, Figure("both / the same rows stored as densely as can be")]
    rollups: Annotated[float, Figure("rollups, bytes a device and day")]
    charging: Annotated[float, Figure("attribution, bytes a vehicle and day")]
    presence: Annotated[float, Figure("presence, bytes a device and day")]
    live: Annotated[float, Figure("live state, bytes a device")]
    writer_per_second: Annotated[float, Figure("the writer alone, readings/s")]


def bench_storage(devices: int, progress: Progress) -> Results:
    """One run on servers of its own: yesterday's readings of `devices` devices, half meters, half vehicles.

    Raises:
        JoulegateError: history does not hold every reading exactly once.
    """
    day = utc_now().replace(hour=0, minute=0, second=0, microsecond=0) - DAY
    with bench_servers() as servers:
        url = servers.postgres.url()
        seconds = asyncio.run(_write_day(url, devices // 2, day, progress))
        asyncio.run(_roll_day(url, day))
        yield f"a day of {devices:,} devices", asyncio.run(_measure(url, devices // 2, seconds))


async def _write_day(url: str, pairs: int, day: datetime, progress: Progress) -> float:
    """Writes the day in the order of time, in batches as under load; returns the seconds that writing took."""
    writer = await Writer.open(url)
    total, seconds, batch = pairs * 2 * READINGS_A_DAY, 0.0, list[Message]()
    for number, message in enumerate(_readings(pairs, day), start=1):
        batch.append(message)
        if len(batch) == BATCH or number == total:
            began = asyncio.get_running_loop().time()
            await writer.write(batch, day + DAY)
            seconds += asyncio.get_running_loop().time() - began
            batch = []
            progress("write a day", number, total)
    writer.terminate()
    return seconds


def _readings(pairs: int, day: datetime) -> Iterator[Message]:
    """A reading a minute of each device, each with a second of its own in the minute; ids as an operator gives them."""
    for minute in range(READINGS_A_DAY):
        for pair in range(pairs):
            ts = day + timedelta(minutes=minute, seconds=60 * pair / pairs)
            site = f"site-{pair // 20:04d}.cp-{pair % 20:02d}"
            kwh = 0.1 + (pair * 7 + minute) % 100 / 1000
            meter = MeterReading(f"meter-{pair:08x}", site, ts, kwh, 229.5 + pair % 5, late=False)
            vehicle = VehicleReading(f"vin-{pair:012x}", site, ts, kwh * 0.92, 20.5 + minute % 70, 24.25, late=False)
            yield Message(Stream.METER, "", b"", meter)
            yield Message(Stream.VEHICLE, "", b"", vehicle)


async def _roll_day(url: str, day: datetime) -> None:
    async with roller(url) as rollups:
        async for _ in rollups.roll(day + DAY + CLOSE_AFTER):
            pass
        await rollups.vacuum()
    connection = await connect(url, ROLLER_SETTINGS)
    charging = Charging(connection)
    while await charging.attribute():
        pass
    await connection.execute("vacuum")
    await connection.close()


async def _measure(url: str, pairs: int, seconds: float) -> StorageResult:
    connection = await connect(url, ROLLER_SETTINGS)
    await _store_densely(connection)
    readings = pairs * 2 * READINGS_A_DAY
    stored = await connection.fetchval("select (select count(*) from meter_history) + count(*) from vehicle_history")
    sizes = {name: (heap, indexes) for name, heap, indexes in await connection.fetch(statement("sizes"))}
    await connection.close()
    if stored != readings:
        raise JoulegateError(f"history holds {stored} readings of {readings}: this is a bug")
    each = readings / 2
    meter, vehicle = sizes["meter_history"], sizes["vehicle_history"]
    return StorageResult(
        devices=pairs * 2,
        readings=readings,
        id_characters=len("meter-00000000"),
        meter_heap=meter[0] / each,
        meter_index=meter[1] / each,
        meter_total=sum(meter) / each,
        vehicle_heap=vehicle[0] / each,
        vehicle_index=vehicle[1] / each,
        vehicle_total=sum(vehicle) / each,
        dense_ratio=sum(meter + vehicle) / sum(sizes["plain_meter"] + sizes["plain_vehicle"]),
        rollups=sum(sizes["meter_rollup_15m"] + sizes["vehicle_rollup_15m"]) / pairs / 2,
        charging=sum(sizes["charging_15m"]) / pairs,
        presence=sum(sizes["presence"]) / pairs / 2,
        live=sum(sizes["meter_live"] + sizes["vehicle_live"]) / pairs / 2,
        writer_per_second=readings / seconds,
    )


async def _store_densely(connection: asyncpg.Connection) -> None:
    await connection.execute(statement("plain_tables"))
    for history, plain in TABLES.items():
        await connection.execute(f"insert into {plain} select * from {history} order by ts")
        await connection.execute(f"reindex table {plain}")
    await connection.execute("vacuum")
