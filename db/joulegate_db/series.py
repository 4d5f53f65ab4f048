"""A performance answer in equal steps, for plots: each step is the answer for its own window, from one reading of the evidence, and the
state of charge at its end."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import asyncpg
import msgspec

from joulegate_db.cells import Cell
from joulegate_db.evidence import Evidence
from joulegate_db.performance import Performance, performance
from joulegate_db.presence import EPOCH
from joulegate_db.sql import query
from joulegate_db.windows import Window

CELL_FIELDS = ("own", "linked", "pooled", "sharers")


class SeriesPoint(Performance, frozen=True):
    """The answer for a step. `soc`: the last state of charge that was measured in it, in %; None without a reading that is kept."""

    soc: float | None


async def series(
    connection: asyncpg.Connection, vehicle: str, window: Window, evidence: Evidence, step: timedelta
) -> list[SeriesPoint]:
    """The answers for the steps of `window`, cut at UTC multiples of `step`, which is a multiple of 15 minutes.

    Energies add up to those of the whole window. Gaps do not: the edges of every step count as readings.

    Args:
        connection: in the snapshot that the evidence is from.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: the database failed.
    """
    parts = list(steps(window, step))
    slices: dict[datetime, dict[str, list[Cell]]] = {floor(part.start, step): {} for part in parts}
    for name in CELL_FIELDS:
        for cell in getattr(evidence, name):
            slices[floor(cell.bucket, step)].setdefault(name, []).append(cell)
    empty: dict[str, list[Cell]] = {name: [] for name in CELL_FIELDS}
    socs = await _socs(connection, vehicle, window, parts)
    answers = (
        performance(vehicle, part, msgspec.structs.replace(evidence, **empty | slices[floor(part.start, step)]))
        for part in parts
    )
    return [
        SeriesPoint(**msgspec.structs.asdict(answer), soc=socs.get(number)) for number, answer in enumerate(answers, 1)
    ]


async def _socs(
    connection: asyncpg.Connection, vehicle: str, window: Window, parts: Sequence[Window]
) -> dict[int, float]:
    """By number of the step, from 1."""
    starts, ends = [part.start for part in parts], [part.end for part in parts]
    rows = await connection.fetch(query("series_soc"), vehicle, starts, ends, window.start, window.end)
    return {row["number"]: row["soc"] for row in rows}


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
