"""Section 8: the answer for one vehicle and a window [start, end). Names are those of the JSON, in snake case."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import fsum
from typing import Literal

from oracle.attribution import Attribution, Pairing, attributions, bucket_of, vehicle_energies
from oracle.energy import GAP, Judged, Outcome
from oracle.model import Fleet, VehiclePoint

INTERVAL = timedelta(seconds=60)
DEGRADED_UNDER = 0.85
COVERED_FROM = 0.8

Status = Literal["ok", "degraded", "implausible", "unknown"]


@dataclass(frozen=True)
class Quality:
    """How far the answer can be trusted. `reason_due`: a null above wants a reason in words."""

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
    paired_efficiency_ratio: float | None
    reason_due: bool


@dataclass(frozen=True)
class MeterTotal:
    """The AC of one meter that was attributed to the vehicle, in kWh."""

    meter_id: str
    kwh_consumed_ac: float


@dataclass(frozen=True)
class Answer:
    """The answer; None is JSON's null. `meters` are in order of id."""

    total_kwh_consumed_ac: float | None
    total_kwh_delivered_dc: float | None
    efficiency_ratio: float | None
    avg_battery_temp: float | None
    status: Status
    quality: Quality
    meters: tuple[MeterTotal, ...]


@dataclass(frozen=True)
class Measured:
    """What was measured of one vehicle in the window: its own readings, and the meter readings attributed to it."""

    vehicle: str
    own: Sequence[Judged[VehiclePoint]]
    attributed: Sequence[Attribution]

    @property
    def dc(self) -> float | None:
        """Sum of DC in kWh, None without vehicle readings."""
        return fsum(judged.energy for judged in self.own) if self.own else None

    @property
    def ac(self) -> float | None:
        """Sum of the vehicle's parts of AC in kWh, None without attributed meter readings."""
        return fsum(one.parts[self.vehicle] for one in self.attributed) if self.attributed else None

    @property
    def ratio(self) -> float | None:
        """DC/AC of the sums, None when either is unknown or AC is 0."""
        return self.dc / self.ac if self.dc is not None and self.ac else None

    def count(self, outcome: Outcome) -> int:
        """How many of the readings behind the answer, of both streams, had this outcome (interpretation 15)."""
        outcomes = [judged.outcome for judged in self.own] + [one.outcome for one in self.attributed]
        return outcomes.count(outcome)


def performance(fleet: Fleet, vehicle: str, start: datetime, end: datetime) -> Answer:
    """The answer to: how much AC did `vehicle` draw in [start, end), how much DC reached it, how efficiently?"""
    all_of_it = measured(fleet, vehicle, start, end)
    paired = covered_buckets_only(all_of_it)
    temperatures = [judged.point.battery_temp for judged in all_of_it.own]
    return Answer(
        total_kwh_consumed_ac=all_of_it.ac,
        total_kwh_delivered_dc=all_of_it.dc,
        efficiency_ratio=all_of_it.ratio,
        avg_battery_temp=fsum(temperatures) / len(temperatures) if temperatures else None,
        status=status(all_of_it if paired.ratio is None else paired),
        quality=quality(all_of_it, paired, start, end),
        meters=meter_totals(all_of_it),
    )


def unattributed_kwh_ac(fleet: Fleet, start: datetime, end: datetime) -> float:
    """AC in kWh of the meter readings in [start, end) that belong to no vehicle; 0 when there are none."""
    _check(start, end)
    return fsum(one.energy for one in attributions(fleet) if not one.parts and start <= one.reading.ts < end)


def measured(fleet: Fleet, vehicle: str, start: datetime, end: datetime) -> Measured:
    """Energies, presence and shares come from the whole history; the window only selects readings, one by one."""
    _check(start, end)
    own = [one for one in vehicle_energies(fleet) if one.point.device == vehicle and start <= one.point.ts < end]
    attributed = [one for one in attributions(fleet) if vehicle in one.parts and start <= one.reading.ts < end]
    return Measured(vehicle, own, attributed)


def covered_buckets_only(what: Measured) -> Measured:
    """The part in buckets where min/max of the two counts of readings (in the window) is at least 0.8."""
    counts: dict[datetime, list[int]] = defaultdict(lambda: [0, 0])
    for judged in what.own:
        counts[bucket_of(judged.point.ts)][0] += 1
    for one in what.attributed:
        counts[bucket_of(one.reading.ts)][1] += 1
    covered = {bucket for bucket, two in counts.items() if min(two) / max(two) >= COVERED_FROM}
    return Measured(
        what.vehicle,
        [judged for judged in what.own if bucket_of(judged.point.ts) in covered],
        [one for one in what.attributed if bucket_of(one.reading.ts) in covered],
    )


def status(judged_on: Measured) -> Status:
    """`implausible` when DC > AC, also when AC is 0 and there is no ratio (interpretation 18)."""
    dc, ac, ratio = judged_on.dc, judged_on.ac, judged_on.ratio
    if dc is not None and ac is not None and dc > ac:
        return "implausible"
    if ratio is None:
        return "unknown"
    return "degraded" if ratio < DEGRADED_UNDER else "ok"


def quality(what: Measured, paired: Measured, start: datetime, end: datetime) -> Quality:
    """Counts, coverage and gaps of the window."""
    expected = (end - start) // INTERVAL
    pairings = {one.pairing for one in what.attributed}
    return Quality(
        pairing=next((pairing for pairing in Pairing if pairing in pairings), Pairing.NONE),  # the weakest
        vehicle_readings=len(what.own),
        meter_readings=len(what.attributed),
        expected_readings=expected,
        coverage=min(1.0, len(what.own) / expected) if expected else None,
        gap_minutes=gap_minutes([judged.point.ts for judged in what.own], start, end),
        counter_resets=what.count(Outcome.RESET),
        glitches=what.count(Outcome.GLITCH),
        jumps=what.count(Outcome.JUMP),
        recovered=what.count(Outcome.RECOVERED),
        paired_efficiency_ratio=paired.ratio,
        reason_due=what.ac is None or what.dc is None or what.ratio is None,
    )


def gap_minutes(timestamps: Sequence[datetime], start: datetime, end: datetime) -> float:
    """Sum of (d - 60 s) over distances d > 90 s between readings, the window's edges counting as readings."""
    distances = [later - earlier for earlier, later in pairwise([start, *sorted(timestamps), end])]
    missing = sum((d - INTERVAL for d in distances if d > GAP), timedelta())
    return missing / timedelta(minutes=1)


def meter_totals(what: Measured) -> tuple[MeterTotal, ...]:
    """Each meter with an attributed reading, and the vehicle's part of its AC."""
    parts: dict[str, list[float]] = defaultdict(list)
    for one in what.attributed:
        parts[one.reading.device].append(one.parts[what.vehicle])
    return tuple(MeterTotal(meter, fsum(kwh)) for meter, kwh in sorted(parts.items()))


def _check(start: datetime, end: datetime) -> None:
    if end < start:
        raise ValueError("the window [start, end) is reversed")
