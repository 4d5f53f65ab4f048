"""Simulated days of fleets, with phases, wrong clocks and losses: right pairs are never questioned, swapped ones are found."""

import random
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest

from http_support import window
from joulegate_db.pairing import Pairings, _conclude
from joulegate_db.pairing_plan import plan
from joulegate_db.shapes import Minutes, Shape, ShapeSums
from joulegate_simulator.fleet import build_fleet

PAIRS = 60
HOURS = 12
WINDOW = window(0, HOURS * 60)
SWAPPED = ((3, 17), (20, 41))

Readings = list[tuple[float, float]]
"""The minute in which a reading was taken, and its kWh."""


def day(seed: int, rng: random.Random) -> tuple[dict[int, Readings], dict[int, Readings]]:
    """Meters' and vehicles' readings by number. Every device has a phase; some have a clock that is up to 90 s off."""
    meters: dict[int, Readings] = {}
    vehicles: dict[int, Readings] = {}
    for number, site in enumerate(build_fleet(PAIRS, seed)):
        ac, dc = [], []
        for minute in range(HOURS * 60):
            site.step(60_000 * minute, 60)
            ac.append(site.meters[0].kwh)
            dc.append(site.vehicles[0].kwh_dc)
        meters[number] = _measured(ac, rng)
        vehicles[number] = _measured(dc, rng)
    return meters, vehicles


def _measured(kwh: Sequence[float], rng: random.Random) -> Readings:
    offset = rng.random() + (rng.uniform(-1.5, 1.5) if rng.random() < 0.2 else 0.0)
    readings = [(minute + offset, one) for minute, one in enumerate(kwh) if rng.random() >= 0.02]
    return [(minute, one) for minute, one in readings if 0 <= minute < HOURS * 60]


def ask(meters: dict[int, Readings], vehicles: dict[int, Readings], places: Sequence[int]) -> Pairings:
    """The answer; meter N publishes at the charge point of that place's number."""
    ac = {f"m-{n}": _shape(f"m-{n}", f"cp-{places[n]}", readings) for n, readings in meters.items()}
    dc = {f"v-{n}": _shape(f"v-{n}", f"cp-{n}", readings) for n, readings in vehicles.items()}
    planned = plan(dc, ac, list(dc))
    return _conclude(
        planned,
        {f"v-{n}": _minutes(readings) for n, readings in vehicles.items()},
        {f"m-{n}": _minutes(readings) for n, readings in meters.items()},
        WINDOW,
        PAIRS,
    )


def _shape(device: str, charge_point: str, readings: Iterable[tuple[float, float]]) -> Shape:
    sums = ShapeSums(device, HOURS * 4)
    for minute, kwh in readings:
        sums.add((charge_point, ""), int(minute // 15), kwh, 1)
    return sums.shape()


def _minutes(readings: Iterable[tuple[float, float]]) -> Minutes:
    by_minute: dict[int, list[float]] = {}
    for minute, kwh in readings:
        by_minute.setdefault(int(minute), []).append(kwh)
    return Minutes.of(by_minute, HOURS * 60)


@pytest.mark.parametrize("seed", range(4))
def test_noise_makes_no_findings_and_hides_no_swap(seed: int) -> None:
    rng = random.Random(seed)
    meters, vehicles = day(seed, rng)
    right = list(range(PAIRS))
    assert ask(meters, vehicles, right).findings == []
    swapped = list(right)
    for one, other in SWAPPED:
        swapped[one], swapped[other] = other, one
    answer = ask(meters, vehicles, swapped)
    found = {int(one.vehicle_id[2:]): int(one.suggested_meter_id[2:]) for one in answer.findings}
    assert all(vehicle == meter for vehicle, meter in found.items())
    judged = {n for pair in SWAPPED for n in pair if _is_clear(vehicles[n])}
    assert judged <= found.keys() <= {n for pair in SWAPPED for n in pair}
    assert len(judged) >= 2


def test_more_doubtful_vehicles_than_can_be_examined_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    meters, vehicles = day(1, random.Random(1))
    nowhere = [number + PAIRS for number in range(PAIRS)]
    everything = ask(meters, vehicles, nowhere)
    monkeypatch.setattr("joulegate_db.pairing_plan.MOST_EXAMINED", 5)
    some = ask(meters, vehicles, nowhere)
    assert some.not_judged["too_many_to_examine"] >= everything.judged - some.judged > PAIRS / 2
    assert some.judged + sum(some.not_judged.values()) == PAIRS
    assert 0 < len(some.findings) < len(everything.findings)
    assert all(finding in everything.findings for finding in some.findings)


def _is_clear(readings: Readings) -> bool:
    """Whether a vehicle charged for an hour and neither began nor ended the window with it: enough to be sure about."""
    charging = [kwh > 0 for _, kwh in readings]
    return sum(charging) >= 60 and sum(one != other for one, other in pairwise(charging)) >= 2
