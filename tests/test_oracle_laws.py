"""Laws of the oracle that hold for any fleet."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import fsum, isclose
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from oracle import (
    Fleet,
    Outcome,
    Pairing,
    Point,
    attributions,
    bucket_of,
    energies,
    performance,
    unattributed_kwh_ac,
)
from oracle.strategies import BASE, VEHICLES, fleets, tracks, windows

EIGHT_DAYS = timedelta(days=8)

everyone = [*VEHICLES, "v-unseen"]
law = settings(max_examples=60, deadline=None)


def same(one: float | None, other: float | None) -> bool:
    return isclose(one or 0.0, other or 0.0, rel_tol=1e-9, abs_tol=1e-9)


def plus(one: float | None, other: float | None) -> float | None:
    return None if one is None and other is None else (one or 0.0) + (other or 0.0)


def agree(one: float | None, other: float | None) -> bool:
    """Null where the other is null, else the same number."""
    return (one is None) == (other is None) and same(one, other)


@law
@given(fleets(), windows())
def test_adjacent_windows_add_up(fleet: Fleet, window: tuple[datetime, datetime, datetime]) -> None:
    a, b, c = window
    for device in everyone:
        left, right, whole = (performance(fleet, device, *w) for w in ((a, b), (b, c), (a, c)))
        assert agree(plus(left.total_kwh_consumed_ac, right.total_kwh_consumed_ac), whole.total_kwh_consumed_ac)
        assert agree(plus(left.total_kwh_delivered_dc, right.total_kwh_delivered_dc), whole.total_kwh_delivered_dc)
        for count in ("vehicle_readings", "meter_readings", "counter_resets", "glitches", "jumps", "recovered"):
            assert getattr(left.quality, count) + getattr(right.quality, count) == getattr(whole.quality, count)
    assert same(unattributed_kwh_ac(fleet, a, b) + unattributed_kwh_ac(fleet, b, c), unattributed_kwh_ac(fleet, a, c))


@law
@given(fleets(), windows())
def test_no_energy_is_lost_or_doubled(fleet: Fleet, window: tuple[datetime, datetime, datetime]) -> None:
    start, _, end = window
    total = fsum(one.energy for one in attributions(fleet) if start <= one.reading.ts < end)
    answers = [performance(fleet, device, start, end) for device in everyone]
    attributed = fsum(answer.total_kwh_consumed_ac or 0.0 for answer in answers)
    assert same(attributed + unattributed_kwh_ac(fleet, start, end), total)
    for answer in answers:
        assert same(fsum(m.kwh_consumed_ac for m in answer.meters), answer.total_kwh_consumed_ac)
        assert (answer.total_kwh_consumed_ac is None) == (answer.quality.pairing is Pairing.NONE)


@law
@given(fleets(), st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(fleet: Fleet, random: Random) -> None:
    meters, vehicles, links = list(fleet.meters), list(fleet.vehicles), list(fleet.links)
    for arrivals in (meters, vehicles, links):
        random.shuffle(arrivals)
    again = replace(fleet, meters=meters, vehicles=vehicles, links=links)
    end = BASE + timedelta(hours=6)
    for device in everyone:
        assert performance(again, device, BASE, end) == performance(fleet, device, BASE, end)


def registers(most: int) -> st.SearchStrategy[list[Point]]:
    return tracks(most).map(lambda rows: [Point("m", *row) for row in rows])


@law
@given(registers(30))
def test_register_energy_is_never_negative_nor_over_the_cap(points: Sequence[Point]) -> None:
    judged = energies(points, "register", 120, EIGHT_DAYS)
    accepted = None
    for point, energy, outcome in judged:
        limit = 0 if accepted is None else 120 * (point.ts - accepted.ts).total_seconds() / 3600
        assert 0 <= energy <= limit
        if outcome is not Outcome.GLITCH:
            accepted = point
    assert Outcome.PROVISIONAL not in [outcome for _, _, outcome in judged[:-1]]


@law
@given(registers(30), st.data())
def test_a_single_false_value_in_a_sound_register_changes_no_total(points: list[Point], data: st.DataObject) -> None:
    sound = [replace(point, kwh=1000 + 0.01 * n) for n, point in enumerate(points)]
    before = fsum(energy for _, energy, _ in energies(sound, "register", 120, EIGHT_DAYS))
    inner = range(1, len(sound) - 1)
    if inner:
        spot = data.draw(st.sampled_from(inner))
        sound[spot] = replace(sound[spot], kwh=data.draw(st.sampled_from([0.0, 1.0, 1e9])))
        judged = energies(sound, "register", 120, EIGHT_DAYS)
        assert judged[spot].outcome is Outcome.GLITCH
        assert isclose(fsum(energy for _, energy, _ in judged), before, abs_tol=1e-9)


@law
@given(windows())
def test_buckets_are_quarter_hours_of_utc(window: tuple[datetime, datetime, datetime]) -> None:
    for moment in window:
        bucket = bucket_of(moment)
        assert (bucket.minute % 15, bucket.second, bucket.microsecond) == (0, 0, 0)
        assert bucket <= moment < bucket + timedelta(minutes=15)
