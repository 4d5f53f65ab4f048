"""What history holds about one vehicle and a window, summed by place: a charge point in a bucket.

The way (DESIGN section 4, rule 2): the vehicle's own readings, hence where it was; presence, hence who else was there; then one range of
the primary key for each meter, and for each other vehicle where a meter is shared. All statements belong in one snapshot.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from joulegate_core.telemetry import Stream
from joulegate_db.presence import BUCKET
from joulegate_db.sql import query
from joulegate_db.windows import Window


class OwnCell(msgspec.Struct, frozen=True):
    """The vehicle's readings at one place. `bucket_dc` is of the whole bucket; all else of the readings inside the window.

    `dc` in kWh, `temperatures` the sum in degrees Celsius, `gap` the time that readings are missing before those here.
    """

    charge_point: str
    bucket: datetime
    bucket_dc: float
    readings: int
    dc: float
    temperatures: float
    gap: timedelta
    newest: datetime | None


class MeterCell(msgspec.Struct, frozen=True):
    """One meter's readings inside the window at one place; `kwh` is AC."""

    device: str
    charge_point: str
    bucket: datetime
    readings: int
    kwh: float


class Sharers(msgspec.Struct, frozen=True):
    """The other vehicles at one place in the whole bucket: how many, and the DC in kWh that they received together."""

    charge_point: str
    bucket: datetime
    vehicles: int
    dc: float


class Evidence(msgspec.Struct, frozen=True):
    """All that the answer rests on. Places of `sharers` without other vehicles are left out."""

    own: Sequence[OwnCell] = ()
    meters: Sequence[MeterCell] = ()
    sharers: Sequence[Sharers] = ()


class Stay(msgspec.Struct, frozen=True):
    """A run of consecutive buckets that a device reported in at one charge point, [start, end)."""

    device: str
    charge_point: str
    start: datetime
    end: datetime


async def gather(connection: asyncpg.Connection, vehicle: str, window: Window) -> Evidence:
    """Reads the evidence. `connection` must be in a repeatable read transaction.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: the database failed.
    """
    wide = window.in_whole_buckets()
    rows = await connection.fetch(query("performance_own"), vehicle, window.start, window.end, wide.start, wide.end)
    own = [OwnCell(**row) for row in rows]
    meter_stays, vehicle_stays = await _neighbours(connection, vehicle, stays_of(vehicle, own))
    rows = await _during(connection, "performance_meters", meter_stays, window)
    meters = [MeterCell(**row) for row in rows]
    # nothing to share without a meter
    rows = await _during(connection, "performance_sharers", vehicle_stays, wide) if meters else []
    return Evidence(own, meters, [Sharers(**row) for row in rows])


def stays_of(vehicle: str, own: Iterable[OwnCell]) -> list[Stay]:
    """Joins cells, which come in order of charge point and bucket, into stays."""
    stays: list[Stay] = []
    for cell in own:
        end = cell.bucket + BUCKET
        if stays and (stays[-1].charge_point, stays[-1].end) == (cell.charge_point, cell.bucket):
            stays[-1] = msgspec.structs.replace(stays[-1], end=end)
        else:
            stays.append(Stay(vehicle, cell.charge_point, cell.bucket, end))
    return stays


async def _neighbours(connection: asyncpg.Connection, vehicle: str, stays: list[Stay]) -> tuple[list[Stay], list[Stay]]:
    """The stays of meters, and of other vehicles, where and when the vehicle was."""
    if not stays:
        return [], []
    rows = await connection.fetch(
        query("performance_neighbours"),
        vehicle,
        [stay.charge_point for stay in stays],
        [stay.start for stay in stays],
        [stay.end for stay in stays],
    )
    found: dict[str, list[Stay]] = {stream: [] for stream in Stream}
    for kind, *stay in rows:
        found[kind].append(Stay(*stay))
    return found[Stream.METER], found[Stream.VEHICLE]


async def _during(connection: asyncpg.Connection, name: str, stays: list[Stay], within: Window) -> Sequence[Any]:
    """Runs the query over the parts of `stays` that lie in `within`."""
    parts = [(stay, part) for stay in stays if (part := within.cut(stay.start, stay.end))]
    if not parts:
        return []
    return await connection.fetch(  # type: ignore[no-any-return]
        query(name),
        [stay.device for stay, _ in parts],
        [stay.charge_point for stay, _ in parts],
        [part.start for _, part in parts],
        [part.end for _, part in parts],
        min(part.start for _, part in parts),
        max(part.end for _, part in parts),
    )
