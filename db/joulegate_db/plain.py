"""Performance answers in the plain case, which is nearly every one, from a single statement (docs/adr/0007-plain-answers.md)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from math import fsum
from operator import sub
from struct import unpack

import asyncpg
import msgspec

from joulegate_db.attribution import Sums
from joulegate_db.missing import missing
from joulegate_db.performance import INTERVAL, LONGEST_DISTANCE, MeterEnergy, Performance, Quality, judge
from joulegate_db.presence import BUCKET, EPOCH
from joulegate_db.sql import query
from joulegate_db.windows import Window, bucket_of

ZERO = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
"""PostgreSQL's binary timestamptz: microseconds since 2000-01-01 UTC, big-endian (src/backend/utils/adt/timestamp.c, timestamptz_send)."""
ARRAY_HEAD, ELEMENT = 20, 12
"""A binary array: dimensions, flags, type, length and lower bound, then each element after its length (arrayfuncs.c, array_send)."""
MINUTE, LONGEST = (one // MICROSECOND for one in (INTERVAL, LONGEST_DISTANCE))
LONGEST_TAIL = timedelta(hours=1)
"""What is not attributed yet is read from history: no more than this, in one statement. Beyond it the roller is behind."""


class Question(msgspec.Struct, frozen=True):
    """About the performance of a vehicle in a window."""

    vehicle: str
    window: Window

    @property
    def buckets(self) -> "Buckets | None":
        """The buckets of the window; None when it has no edge between two of them, and there is no plain answer."""
        wide = self.window.in_whole_buckets()
        first, last = -((EPOCH - self.window.start) // BUCKET) * BUCKET + EPOCH, bucket_of(self.window.end)
        return Buckets(wide.start, first, last, wide.end) if first < last else None


class Buckets(msgspec.Struct, frozen=True):
    """The buckets of windows: those in [start, end) are touched, those in [first, last) whole."""

    start: datetime
    first: datetime
    last: datetime
    end: datetime


async def plain_performances(
    connection: asyncpg.Connection, buckets: Buckets, questions: Sequence[Question]
) -> list[Performance | None]:
    """The answers to questions whose windows have the same `buckets`, in their order, when the vehicle was alone, with one meter at most
    at a time, without links, all by interval energies; None in any other case, and without a reading of the vehicle in the window: then
    `evidence.gather` knows. The statement is its own snapshot.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: the database failed.
    """
    cells: list[list[asyncpg.Record]] = [[] for _ in questions]
    for cell in await connection.fetch(
        query("performance_plain"),
        [one.vehicle for one in questions],
        [one.window.start for one in questions],
        [one.window.end for one in questions],
        buckets.first, buckets.last, buckets.start, buckets.end, buckets.last - LONGEST_TAIL,
    ):  # fmt: skip
        cells[cell["position"] - 1].append(cell)
    return [_answer(one.vehicle, one.window, its) for one, its in zip(questions, cells, strict=True)]


def _answer(vehicle: str, window: Window, cells: list[asyncpg.Record]) -> Performance | None:
    total = _sums(cells)
    if not total.vehicle_readings:
        return None
    paired = _sums(_paired(cells))
    readings, expected = total.vehicle_readings, window.length // INTERVAL
    places = {one["charge_point"] for one in cells if one["charge_point"] is not None}
    return Performance(
        vehicle_id=vehicle,
        window=window,
        total_kwh_consumed_ac=total.ac,
        total_kwh_delivered_dc=total.dc,
        efficiency_ratio=total.ratio,
        avg_battery_temp=fsum(one["temperatures"] for one in cells) / readings,
        status=judge(total if paired.ratio is None else paired),
        quality=Quality(
            pairing="exclusive" if total.meter_readings else "none",
            vehicle_readings=readings,
            meter_readings=total.meter_readings,
            expected_readings=expected,
            coverage=min(1.0, readings / expected),
            gap_minutes=sum(one["gap"] for one in cells) / 60 + _gap(window, cells) / MINUTE,
            counter_resets=0,
            glitches=0,
            jumps=0,
            recovered=0,
            late_share=sum(one["late"] for one in cells) / (readings + total.meter_readings),
            reason=missing(vehicle, places, dc=total.dc, ac=total.ac, ratio=total.ratio),
            paired_efficiency_ratio=paired.ratio,
        ),
        meters=_by_meter(cells),
    )


def _sums(cells: Iterable[asyncpg.Record]) -> Sums:
    vehicle_readings, meter_readings, dc, ac = 0, 0, [], []
    for one in cells:
        vehicle_readings += one["vehicle_readings"]
        meter_readings += one["meter_readings"]
        if one["dc"] is not None:
            dc.append(one["dc"])
        if one["ac"] is not None:
            ac.append(one["ac"])
    return Sums(vehicle_readings, meter_readings, fsum(dc) if dc else None, fsum(ac) if ac else None)


def _paired(cells: Iterable[asyncpg.Record]) -> list[asyncpg.Record]:
    """The cells of the paired buckets; of one that is not whole, or not attributed yet, that shows when its cells are put together."""
    paired, cut = [], defaultdict(list)
    for one in cells:
        if one["bucket"] is not None:
            cut[one["bucket"]].append(one)
        elif one["paired"]:
            paired.append(one)
    return paired + [one for ones in cut.values() if _sums(ones).is_paired for one in ones]


def _gap(window: Window, cells: Iterable[asyncpg.Record]) -> int:
    """The microseconds without readings between buckets and between single readings, and to the window's edges, which count as readings."""
    firsts, lasts = [(window.end - ZERO) // MICROSECOND], [(window.start - ZERO) // MICROSECOND]
    for one in cells:
        if one["firsts"] is not None:
            times = _times(one["firsts"])
            firsts += times
            lasts += times if one["lasts"] is None else _times(one["lasts"])
    # no two of these spans overlap: in order of time each begins after the one before it ends
    distances = list(map(sub, sorted(firsts), sorted(lasts)))
    return 0 if max(distances) <= LONGEST else sum(one - MINUTE for one in distances if one > LONGEST)


def _times(binary: bytes) -> tuple[int, ...]:
    return unpack(f">{ARRAY_HEAD}x{'4xq' * ((len(binary) - ARRAY_HEAD) // ELEMENT)}", binary)


def _by_meter(cells: Iterable[asyncpg.Record]) -> tuple[MeterEnergy, ...]:
    energies: defaultdict[str, list[float]] = defaultdict(list)
    for one in cells:
        if one["meter"] is not None:
            energies[one["meter"]].append(one["ac"])
    return tuple(MeterEnergy(meter, fsum(kwh)) for meter, kwh in sorted(energies.items()))
