"""What is known about one vehicle and a window, summed by place: a charge point in a bucket.

The way (docs/energy.md): the vehicle's own readings, hence where it was; presence, hence who else was there; links, which take meters
and vehicles out of a charge point's pool; then what those measured. All statements belong in one snapshot.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import asyncpg
import msgspec

from joulegate_core.telemetry import Stream
from joulegate_db.cells import Cell, Stay, read_cells
from joulegate_db.presence import BUCKET
from joulegate_db.roll_view import view_devices
from joulegate_db.sql import query
from joulegate_db.windows import Window


class Evidence(msgspec.Struct, frozen=True):
    """All that the answer rests on, as cells.

    `own`: the vehicle's; `linked`: of meters under a link to it; `pooled`: of meters without a link where it was;
    `sharers`: of other vehicles there, of which `bucket_kwh` counts. `own_meter` and `others_meter`: in which buckets the
    vehicle's, and each other's, own linked meter reported, anywhere in the bucket.
    """

    own: Sequence[Cell] = ()
    linked: Sequence[Cell] = ()
    pooled: Sequence[Cell] = ()
    sharers: Sequence[Cell] = ()
    own_meter: frozenset[datetime] = frozenset()
    others_meter: frozenset[tuple[str, datetime]] = frozenset()


async def gather(connection: asyncpg.Connection, vehicle: str, window: Window) -> Evidence | None:
    """Reads the evidence; None for a vehicle that was never seen nor linked. `connection` must be in one snapshot.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: the database failed.
    """
    views = await view_devices(connection, Stream.VEHICLE, [vehicle])
    if not views[vehicle].seen and not await connection.fetchval(query("vehicle_linked"), vehicle):
        return None
    own = (await read_cells(connection, Stream.VEHICLE, [Stay(vehicle, None, window)], views))[0]
    meters, others = await _neighbours(connection, vehicle, own)
    vehicles = {vehicle, *(stay.device for stay in others)}
    pooled = [
        Stay(stay.device, stay.charge_point, part)
        for stay in meters
        if (part := window.cut(stay.window.start, stay.window.end)) is not None
    ]
    linked = [Stay(meter, None, window) for meter in await _linked_meters(connection, vehicles, window)]
    cells = await _meter_cells(connection, [*pooled, *linked])
    of_pools, of_links = cells[: len(pooled)], cells[len(pooled) :]
    reported = {(cell.linked_vehicle, cell.bucket) for of_stay in of_links for cell in of_stay if cell.bucket_readings}
    return Evidence(
        own=own,
        linked=[cell for of_stay in of_links for cell in of_stay if cell.linked_vehicle == vehicle and cell.readings],
        pooled=[cell for of_stay in of_pools for cell in of_stay if not cell.linked_vehicle and cell.readings],
        sharers=await _sharers(connection, others) if pooled else [],
        own_meter=frozenset(bucket for linked_vehicle, bucket in reported if linked_vehicle == vehicle),
        others_meter=frozenset(reported),
    )


async def _linked_meters(connection: asyncpg.Connection, vehicles: Iterable[str], window: Window) -> list[str]:
    """The meters that are linked to one of `vehicles` at some moment of the window's buckets."""
    wide = window.in_whole_buckets()
    return [row[0] for row in await connection.fetch(query("linked_meters"), list(vehicles), wide.start, wide.end)]


async def _meter_cells(connection: asyncpg.Connection, stays: Sequence[Stay]) -> list[list[Cell]]:
    views = await view_devices(connection, Stream.METER, {stay.device for stay in stays})
    return await read_cells(connection, Stream.METER, stays, views)


async def _neighbours(
    connection: asyncpg.Connection, vehicle: str, own: Sequence[Cell]
) -> tuple[list[Stay], list[Stay]]:
    """The stays, in whole buckets, of meters and of other vehicles, where and when the vehicle was."""
    stays = stays_of(own)
    if not stays:
        return [], []
    rows = await connection.fetch(
        query("performance_neighbours"),
        vehicle,
        [stay.charge_point for stay in stays],
        [stay.window.start for stay in stays],
        [stay.window.end for stay in stays],
    )
    found: dict[str, list[Stay]] = {stream: [] for stream in Stream}
    for kind, device, charge_point, start, end in rows:
        found[kind].append(Stay(device, charge_point, Window(start, end)))
    return found[Stream.METER], found[Stream.VEHICLE]


def stays_of(own: Iterable[Cell]) -> list[Stay]:
    """Joins one device's cells, which come in order of charge point and bucket, into runs of consecutive buckets."""
    stays: list[Stay] = []
    for cell in own:
        run = Window(cell.bucket, cell.bucket + BUCKET)
        if stays and (stays[-1].charge_point, stays[-1].window.end) == (cell.charge_point, cell.bucket):
            run = Window(stays.pop().window.start, run.end)
        stays.append(Stay(cell.device, cell.charge_point, run))
    return stays


async def _sharers(connection: asyncpg.Connection, others: Sequence[Stay]) -> list[Cell]:
    views = await view_devices(connection, Stream.VEHICLE, {stay.device for stay in others})
    cells = await read_cells(connection, Stream.VEHICLE, others, views)
    return [cell for of_stay in cells for cell in of_stay]
