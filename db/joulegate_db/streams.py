"""What differs between the two streams in the database: columns and statements."""

from collections.abc import Callable
from typing import Any

import msgspec

from joulegate_core.telemetry import MeterReading, Stream, VehicleReading
from joulegate_db.sql import query


class StreamTables(msgspec.Struct, frozen=True):
    """One stream's staging table and statements. `record` gives a reading's values in the order of `columns`."""

    stream: Stream
    stage: str
    columns: tuple[str, ...]
    record: Callable[[Any], tuple[Any, ...]]
    append: str
    conflicts: str


def _meter_record(r: MeterReading) -> tuple[Any, ...]:
    return (r.ts, r.kwh, r.voltage, r.late, r.device, r.charge_point)


def _vehicle_record(r: VehicleReading) -> tuple[Any, ...]:
    return (r.ts, r.kwh, r.battery_temp, r.soc, r.late, r.device, r.charge_point)


METER_TABLES = StreamTables(
    stream=Stream.METER,
    stage="stage_meter",
    columns=("ts", "kwh", "voltage", "late", "device", "charge_point"),
    record=_meter_record,
    append=query("append_meter"),
    conflicts=query("conflicts_meter"),
)

VEHICLE_TABLES = StreamTables(
    stream=Stream.VEHICLE,
    stage="stage_vehicle",
    columns=("ts", "kwh", "battery_temp", "soc", "late", "device", "charge_point"),
    record=_vehicle_record,
    append=query("append_vehicle"),
    conflicts=query("conflicts_vehicle"),
)
