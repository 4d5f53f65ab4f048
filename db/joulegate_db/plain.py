"""The performance answer in the plain case, which is nearly every one, from a single statement (docs/adr/0007-plain-answers.md)."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import fsum
from struct import unpack

import asyncpg

from joulegate_db.attribution import Sums
from joulegate_db.missing import missing
from joulegate_db.performance import INTERVAL, LONGEST_DISTANCE, MeterEnergy, Performance, Quality, judge
from joulegate_db.presence import BUCKET, EPOCH
from joulegate_db.sql import query
from joulegate_db.windows import Window, bucket_of

ZERO = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
"""PostgreSQL's binary timestamptz: microseconds since 2000-01-01 UTC, big-endian (src/backend/utils/adt/timestamp.c, timestamptz_send)."""
MINUTE, LENGTH, LONGEST = (one // MICROSECOND for one in (INTERVAL, BUCKET, LONGEST_DISTANCE))
LONGEST_TAIL = timedelta(hours=1)
"""What is not attributed yet is read from history: no more than this, in one statement. Beyond it the roller is behind."""


async def plain_performance(connection: asyncpg.Connection, vehicle: str, window: Window) -> Performance | None:
    """The answer when the vehicle was alone, with one meter at most at a time, without links, all by interval energies; None in any
    other case, and without a reading of the vehicle in the window: then `evidence.gather` knows. The statement is its own snapshot.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: the database failed.
    """
    wide = window.in_whole_buckets()
    first, last = -((EPOCH - window.start) // BUCKET) * BUCKET + EPOCH, bucket_of(window.end)
    if last <= first:
        return None
    row = await connection.fetchrow(
        query("performance_plain"),
        vehicle, window.start, window.end, first, last, wide.start, wide.end, last - LONGEST_TAIL,
    )  # fmt: skip
    return None if row is None else _answer(vehicle, window, row)


def _answer(vehicle: str, window: Window, row: asyncpg.Record) -> Performance | None:
    cut = _cut_buckets(row)
    total = _total(row, cut)
    if not total.vehicle_readings:
        return None
    paired = _paired(row, cut)
    readings, expected = total.vehicle_readings, window.length // INTERVAL
    return Performance(
        vehicle_id=vehicle,
        window=window,
        total_kwh_consumed_ac=total.ac,
        total_kwh_delivered_dc=total.dc,
        efficiency_ratio=total.ratio,
        avg_battery_temp=row["temperatures"] / readings,
        status=judge(total if paired.ratio is None else paired),
        quality=Quality(
            pairing="exclusive" if total.meter_readings else "none",
            vehicle_readings=readings,
            meter_readings=total.meter_readings,
            expected_readings=expected,
            coverage=min(1.0, readings / expected),
            gap_minutes=(row["kept_gap"] or 0) / 60 + _gap(window, row) / MINUTE,
            counter_resets=0,
            glitches=0,
            jumps=0,
            recovered=0,
            late_share=row["late"] / (readings + total.meter_readings),
            reason=missing(vehicle, set(row["charge_points"] or ()), dc=total.dc, ac=total.ac, ratio=total.ratio),
            paired_efficiency_ratio=paired.ratio,
        ),
        meters=_by_meter(row),
    )


def _cut_buckets(row: asyncpg.Record) -> list[Sums]:
    """The sums of each bucket that is not whole or not attributed yet."""
    own, drawn = _by_bucket(row["own_times"], row["own_kwh"]), _by_bucket(row["drawn_times"], row["drawn_kwh"])
    return [
        Sums(len(dc := own[bucket]), len(ac := drawn[bucket]), fsum(dc) if dc else None, fsum(ac) if ac else None)
        for bucket in own.keys() | drawn.keys()
    ]


def _by_bucket(times: bytes | None, energies: Sequence[float] | None) -> defaultdict[int, list[float]]:
    buckets: defaultdict[int, list[float]] = defaultdict(list)
    for ts, kwh in zip(_times(times), energies or (), strict=True):
        buckets[ts // LENGTH].append(kwh)
    return buckets


def _times(binary: bytes | None) -> tuple[int, ...]:
    return unpack(f">{len(binary) // 8}q", binary) if binary else ()


def _total(row: asyncpg.Record, cut: Sequence[Sums]) -> Sums:
    return Sums(
        vehicle_readings=row["kept_readings"] + sum(one.vehicle_readings for one in cut),
        meter_readings=row["kept_meter_readings"] + sum(one.meter_readings for one in cut),
        dc=_sum(row["kept_dc"], *(one.dc for one in cut)),
        ac=_sum(row["kept_ac"], *(one.ac for one in cut)),
    )


def _paired(row: asyncpg.Record, cut: Sequence[Sums]) -> Sums:
    """The energies of the paired buckets; counts are not known."""
    paired = [one for one in cut if one.is_paired]
    return Sums(
        vehicle_readings=0,
        meter_readings=0,
        dc=_sum(row["kept_paired_dc"], *(one.dc for one in paired)),
        ac=_sum(row["kept_paired_ac"], *(one.ac for one in paired)),
    )


def _sum(*energies: float | None) -> float | None:
    known = [kwh for kwh in energies if kwh is not None]
    return fsum(known) if known else None


def _gap(window: Window, row: asyncpg.Record) -> int:
    """The microseconds without readings between buckets and between single readings, and to the window's edges, which count as readings."""
    kept, single = _times(row["kept_spans"]), _times(row["own_times"])
    spans = sorted([*zip(kept[::2], kept[1::2], strict=True), *zip(single, single, strict=True)])
    gap, last = 0, (window.start - ZERO) // MICROSECOND
    for first, until in (*spans, ((window.end - ZERO) // MICROSECOND,) * 2):
        if first - last > LONGEST:
            gap += first - last - MINUTE
        last = until
    return gap


def _by_meter(row: asyncpg.Record) -> tuple[MeterEnergy, ...]:
    energies: defaultdict[str, list[float]] = defaultdict(list)
    if row["kept_meters"]:
        for meter, kwh in zip(row["kept_meters"], row["kept_meters_ac"], strict=True):
            energies[meter].append(kwh)
    elif row["kept_meter"]:
        energies[row["kept_meter"]].append(row["kept_ac"])
    if row["drawn_meters"]:
        for meter, kwh in zip(row["drawn_meters"], row["drawn_kwh"], strict=True):
            energies[meter].append(kwh)
    elif row["drawn_meter"]:
        energies[row["drawn_meter"]] += row["drawn_kwh"]
    return tuple(MeterEnergy(meter, fsum(kwh)) for meter, kwh in sorted(energies.items()))
