"""The performance answer: how much AC a vehicle's charging drew, how much DC reached it, and how far that can be trusted.

Pure functions over the evidence. The rules are those of docs/energy.md, with worked examples.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from math import fsum
from typing import Literal, get_args

import msgspec

from joulegate_core.telemetry import READING_INTERVAL_SECONDS
from joulegate_db.attribution import Pairing, Part, Sums, attribute, sums, sums_of_paired_buckets
from joulegate_db.cells import Cell
from joulegate_db.evidence import Evidence
from joulegate_db.missing import missing
from joulegate_db.windows import Window

INTERVAL = timedelta(seconds=READING_INTERVAL_SECONDS)
LONGEST_DISTANCE = timedelta(seconds=90)
"""Readings further apart have a gap between them. the roll and cell queries know the same two numbers."""

DEGRADED_UNDER = 0.85

Status = Literal["ok", "degraded", "implausible", "unknown"]
PAIRINGS: tuple[Pairing, ...] = get_args(Pairing)


class Quality(msgspec.Struct, frozen=True):
    """How far the answer can be trusted. Ratios are without unit; `reason` says why something is null, and what to do."""

    pairing: Pairing
    vehicle_readings: int
    meter_readings: int
    expected_readings: int
    coverage: float | None
    gap_minutes: float
    counter_resets: int
    glitches: int
    jumps: int
    recovered: int
    late_share: float | None
    reason: str | None
    paired_efficiency_ratio: float | None


class MeterEnergy(msgspec.Struct, frozen=True):
    """The vehicle's part of one meter's AC, in kWh."""

    meter_id: str
    kwh_consumed_ac: float


class Performance(msgspec.Struct, frozen=True):
    """The answer for one vehicle and a window. Energies in kWh, temperature in degrees Celsius; None is not known, never zero."""

    vehicle_id: str
    window: Window
    total_kwh_consumed_ac: float | None
    total_kwh_delivered_dc: float | None
    efficiency_ratio: float | None
    avg_battery_temp: float | None
    status: Status
    quality: Quality
    meters: tuple[MeterEnergy, ...]


def performance(vehicle: str, window: Window, evidence: Evidence) -> Performance:
    """Computes the answer from the evidence about `vehicle` in `window`."""
    parts = attribute(evidence)
    total = sums(evidence.own, parts)
    paired = sums_of_paired_buckets(evidence.own, parts)
    places = {cell.charge_point for cell in evidence.own}
    return Performance(
        vehicle_id=vehicle,
        window=window,
        total_kwh_consumed_ac=total.ac,
        total_kwh_delivered_dc=total.dc,
        efficiency_ratio=total.ratio,
        avg_battery_temp=_mean_temperature(evidence.own),
        status=judge(total if paired.ratio is None else paired),
        quality=Quality(
            pairing=_pairing(parts),
            vehicle_readings=total.vehicle_readings,
            meter_readings=total.meter_readings,
            expected_readings=window.length // INTERVAL,
            coverage=_coverage(total.vehicle_readings, window),
            gap_minutes=_gap(window, evidence.own) / timedelta(minutes=1),
            counter_resets=_count("resets", evidence.own, parts),
            glitches=_count("glitches", evidence.own, parts),
            jumps=_count("jumps", evidence.own, parts),
            recovered=_count("recovered", evidence.own, parts),
            late_share=_late_share(evidence.own, parts),
            reason=missing(vehicle, places, dc=total.dc, ac=total.ac, ratio=total.ratio),
            paired_efficiency_ratio=paired.ratio,
        ),
        meters=_by_meter(parts),
    )


def judge(sums: Sums) -> Status:
    """`implausible` when DC > AC, also when AC is 0; without a ratio `unknown`; `degraded` under 0.85."""
    if sums.dc is not None and sums.ac is not None and sums.dc > sums.ac:
        return "implausible"
    if sums.ratio is None:
        return "unknown"
    return "degraded" if sums.ratio < DEGRADED_UNDER else "ok"


def _coverage(readings: int, window: Window) -> float | None:
    expected = window.length // INTERVAL
    return min(1.0, readings / expected) if expected else None


def _count(event: str, own: Iterable[Cell], parts: Iterable[Part]) -> int:
    """How many of the readings behind the answer, of both streams, were this."""
    return sum(getattr(cell, event) for cell in (*own, *(part.cell for part in parts)))


def _late_share(own: Iterable[Cell], parts: Iterable[Part]) -> float | None:
    """How many of the readings behind the answer arrived more than five intervals after they were measured."""
    cells = (*own, *(part.cell for part in parts))
    readings = sum(cell.readings for cell in cells)
    return sum(cell.late for cell in cells) / readings if readings else None


def _pairing(parts: list[Part]) -> Pairing:
    """The weakest among the buckets with attributed AC."""
    return min((part.pairing for part in parts), key=PAIRINGS.index, default="none")


def _gap(window: Window, own: Iterable[Cell]) -> timedelta:
    """The time without readings: inside each bucket, between buckets, and to the window's edges, which count as readings."""
    spans: dict[datetime, tuple[datetime, datetime]] = {}
    inside = 0.0
    for cell in own:
        if cell.first_ts is not None and cell.last_ts is not None:
            first, last = spans.get(cell.bucket, (cell.first_ts, cell.last_ts))
            spans[cell.bucket] = (min(first, cell.first_ts), max(last, cell.last_ts))
            inside += cell.gap
    edges = [window.start, *(ts for _, span in sorted(spans.items()) for ts in span), window.end]
    distances = [later - earlier for earlier, later in zip(edges[::2], edges[1::2], strict=True)]
    return timedelta(seconds=inside) + sum((d - INTERVAL for d in distances if d > LONGEST_DISTANCE), timedelta())


def _mean_temperature(own: Iterable[Cell]) -> float | None:
    measured = [cell for cell in own if cell.readings]
    return fsum(cell.temperatures for cell in measured) / sum(cell.readings for cell in measured) if measured else None


def _by_meter(parts: Iterable[Part]) -> tuple[MeterEnergy, ...]:
    energies: dict[str, list[float]] = {}
    for part in parts:
        energies.setdefault(part.cell.device, []).append(part.kwh)
    return tuple(MeterEnergy(meter, fsum(kwh)) for meter, kwh in sorted(energies.items()))
