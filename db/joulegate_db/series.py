"""A performance answer in equal steps, for plots: each step is the answer for its own window, from one reading of the evidence."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from joulegate_db.cells import Cell
from joulegate_db.evidence import Evidence
from joulegate_db.performance import Performance, performance
from joulegate_db.presence import EPOCH
from joulegate_db.windows import Window

CELL_FIELDS = ("own", "linked", "pooled", "sharers")


def series(vehicle: str, window: Window, evidence: Evidence, step: timedelta) -> list[Performance]:
    """The answers for the steps of `window`, cut at UTC multiples of `step`, which is a multiple of 15 minutes.

    Energies add up to those of the whole window. Gaps do not: the edges of every step count as readings.
    """
    parts = list(steps(window, step))
    slices: dict[datetime, dict[str, list[Cell]]] = {floor(part.start, step): {} for part in parts}
    for name in CELL_FIELDS:
        for cell in getattr(evidence, name):
            slices[floor(cell.bucket, step)].setdefault(name, []).append(cell)
    empty: dict[str, list[Cell]] = {name: [] for name in CELL_FIELDS}
    return [
        performance(vehicle, part, msgspec.structs.replace(evidence, **empty | slices[floor(part.start, step)]))
        for part in parts
    ]


def steps(window: Window, step: timedelta) -> Iterator[Window]:
    """`window` in pieces, cut at UTC multiples of `step`."""
    start = window.start
    while start < window.end:
        end = min(floor(start, step) + step, window.end)
        yield Window(start, end)
        start = end


def floor(ts: datetime, step: timedelta) -> datetime:
    """The UTC multiple of `step` at or before `ts`."""
    return EPOCH + (ts - EPOCH) // step * step
