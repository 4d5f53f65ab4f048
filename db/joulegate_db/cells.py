"""What devices measured during their stays, summed by charge point and bucket: from rollups where they hold, else from history."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from joulegate_core.telemetry import Stream
from joulegate_db.register_cells import RawRange, register_energies
from joulegate_db.roll_view import DeviceView
from joulegate_db.sql import query
from joulegate_db.windows import Window


class Stay(msgspec.Struct, frozen=True):
    """A device at a charge point (None: wherever it was) for the times in `window`, which need not be whole buckets."""

    device: str
    charge_point: str | None
    window: Window


class Cell(msgspec.Struct, frozen=True, gc=False):
    """A device's readings at one place: a charge point in a bucket. `bucket_...` is of the whole bucket; all else of the stay.

    `linked_vehicle`: a meter's readings under a link stand apart from those without (empty). Energies in kWh;
    `temperatures` the sum in degrees Celsius and `gap` in seconds, vehicles only; `first_ts` and `last_ts`
    are None without a reading in the stay.
    """

    device: str
    charge_point: str
    linked_vehicle: str
    bucket: datetime
    bucket_kwh: float
    bucket_readings: int
    readings: int
    kwh: float
    late: int
    resets: int
    glitches: int
    jumps: int
    recovered: int
    temperatures: float = 0.0
    gap: float = 0.0
    first_ts: datetime | None = None
    last_ts: datetime | None = None


async def read_cells(
    connection: asyncpg.Connection, stream: Stream, stays: Sequence[Stay], views: Mapping[str, DeviceView]
) -> list[list[Cell]]:
    """The cells of each stay, in order of charge point and bucket; a cell may have readings in its bucket and none in the stay.

    Args:
        views: of every device among `stays`, from the same snapshot.
    """
    cells: list[list[Cell]] = [[] for _ in stays]
    rolled = [(number, part) for number, stay in enumerate(stays) for part in views[stay.device].rolled(stay.window)]
    raw = [(number, part) for number, stay in enumerate(stays) for part in _raw(stay.window, views[stay.device])]
    bounds = [part for _, part in rolled] + [part.in_whole_buckets() for _, part in raw]
    if not bounds:
        return cells
    rows = await connection.fetch(
        query(f"cells_{stream}"),
        *_ranges(stays, rolled),
        *_ranges(stays, [(number, part.in_whole_buckets()) for number, part in raw]),
        [part.start for _, part in raw],
        [part.end for _, part in raw],
        min(part.start for part in bounds),
        max(part.end for part in bounds),
    )
    for row in rows:
        stay, *values = row  # in the order of Cell's fields
        cells[stay].append(Cell(*values))
    return await _with_registers(connection, stream, stays, raw, cells, views)


def _raw(window: Window, view: DeviceView) -> Iterable[Window]:
    """What of `window` is left over when the rolled ranges are taken out."""
    start = window.start
    for part in view.rolled(window):
        if start < part.start:
            yield Window(start, part.start)
        start = part.end
    if start < window.end:
        yield Window(start, window.end)


def _ranges(stays: Sequence[Stay], parts: Sequence[tuple[int, Window]]) -> tuple[list[Any], ...]:
    """The query's five arrays: number, device, charge point, start, end."""
    return (
        [number for number, _ in parts],
        [stays[number].device for number, _ in parts],
        [stays[number].charge_point for number, _ in parts],
        [part.start for _, part in parts],
        [part.end for _, part in parts],
    )


async def _with_registers(
    connection: asyncpg.Connection,
    stream: Stream,
    stays: Sequence[Stay],
    raw: Iterable[tuple[int, Window]],
    cells: list[list[Cell]],
    views: Mapping[str, DeviceView],
) -> list[list[Cell]]:
    """Sets the energies of register devices in the cells that were read from history."""
    ranges = [
        RawRange(number, stays[number].device, part, view.register)
        for number, part in raw
        if (view := views[stays[number].device]).register is not None
    ]
    if not ranges:
        return cells
    worths = await register_energies(connection, stream, ranges)
    return [
        [
            msgspec.structs.replace(cell, **worth)
            if (worth := worths.get((number, cell.charge_point, cell.linked_vehicle, cell.bucket)))
            else cell
            for cell in of_stay
        ]
        for number, of_stay in enumerate(cells)
    ]
