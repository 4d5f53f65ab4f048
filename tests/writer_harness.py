"""Batches for the writer, and a picture of what they leave in the database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from joulegate_core.telemetry import Message, MeterReading, Rejection, Stream, VehicleReading
from joulegate_db.writer import StreamTally, Tally

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=30)
RECEIVED = NOW + timedelta(seconds=1)

SNAPSHOTS = {
    "meter_history": "device, ts",
    "vehicle_history": "device, ts",
    "meter_live": "device",
    "vehicle_live": "device",
    "devices": "device, kind",
    "presence": "charge_point, bucket, kind, device",
}


def meter_message(
    device: str = "m-1", *, seconds: float = 0, charge_point: str = "cp-1", kwh: float = 1.0, voltage: float = 230.0
) -> Message:
    """An accepted meter reading, measured `seconds` after NOW."""
    ts = NOW + timedelta(seconds=seconds)
    reading = MeterReading(device, charge_point, ts, kwh, voltage, late=False)
    return Message(Stream.METER, f"fleet/{charge_point}/meter", f"{device} {ts} {kwh} {voltage}".encode(), reading)


def vehicle_message(
    device: str = "v-1", *, seconds: float = 0, charge_point: str = "cp-1", kwh: float = 1.0, soc: float = 50.0
) -> Message:
    """An accepted vehicle reading, measured `seconds` after NOW."""
    ts = NOW + timedelta(seconds=seconds)
    reading = VehicleReading(device, charge_point, ts, kwh, soc, 20.0, late=False)
    return Message(Stream.VEHICLE, f"fleet/{charge_point}/vehicle", f"{device} {ts} {kwh} {soc}".encode(), reading)


def bad_message(payload: bytes = b"bad") -> Message:
    """A message that the decoder refused."""
    return Message(Stream.METER, "fleet/cp-1/meter", payload, Rejection("bad_json", "no JSON"))


def tally(meters: tuple[int, int, int] = (0, 0, 0), vehicles: tuple[int, int, int] = (0, 0, 0)) -> Tally:
    """Committed, duplicate and quarantined of both streams."""
    return {Stream.METER: StreamTally(*meters), Stream.VEHICLE: StreamTally(*vehicles)}


async def snapshot(db: asyncpg.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that the writer keeps, except quarantine."""
    return {
        table: [tuple(row) for row in await db.fetch(f"select * from {table} order by {order}")]
        for table, order in SNAPSHOTS.items()
    }
