"""What differs between the two streams in the database: the staging table and the statements."""

import msgspec

from joulegate_core.telemetry import MeterReading, Stream, VehicleReading
from joulegate_db.sql import query


class StreamTables(msgspec.Struct, frozen=True):
    """One stream's staging table and statements. `columns` are the fields of its reading, in their order."""

    stream: Stream
    stage: str
    columns: tuple[str, ...]
    append: str
    conflicts: str


METER_TABLES = StreamTables(
    stream=Stream.METER,
    stage="stage_meter",
    columns=MeterReading.__struct_fields__,
    append=query("append_meter"),
    conflicts=query("conflicts_meter"),
)

VEHICLE_TABLES = StreamTables(
    stream=Stream.VEHICLE,
    stage="stage_vehicle",
    columns=VehicleReading.__struct_fields__,
    append=query("append_vehicle"),
    conflicts=query("conflicts_vehicle"),
)
