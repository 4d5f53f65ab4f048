"""Hypothesis strategies: small fleets that make every mess the rules speak of, within an hour or two.

Ids are few, so that devices meet, move between charge points, and bear each other's names.
"""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import strategies as st

from oracle.model import EnergyKind, Fleet, Link, MeterPoint, Stream, VehiclePoint

BASE = datetime(2026, 5, 1, 10, 0, tzinfo=UTC)
SPAN_SECONDS = 90 * 60
CHARGE_POINTS = ("cp-1", "cp-2")
METERS = ("m-1", "m-2", "both")
VEHICLES = ("v-1", "v-2", "both")
MAX_KW = 120.0  # 2 kWh a minute: registers of small numbers grow, glitch, reset and jump alike

gaps = st.sampled_from([60, 60, 60, 60, 30, 90, 91, 120, 600, 1800])
"""Seconds to a device's next reading: mostly a minute, else early, at and just over the limit of a gap, or long."""

moments = st.one_of(
    st.integers(0, SPAN_SECONDS // 300).map(lambda five_minutes: 300 * five_minutes),
    st.integers(-60, SPAN_SECONDS + 60),
).map(lambda seconds: BASE + timedelta(seconds=seconds))
"""Edges of windows and links: on the edges of buckets often, else anywhere in the span and a minute around it."""

growths = st.integers(0, 1_500).map(lambda thousandths: thousandths / 1000)
kinds: st.SearchStrategy[EnergyKind] = st.sampled_from(["interval", "register"])


@st.composite
def kwh_values(draw: st.DrawFn, count: int) -> list[float]:
    """What a register publishes that grows, stands still, glitches (both ways), resets and jumps.

    Published by an interval device the same numbers are energies, large and small.
    """
    level = draw(st.sampled_from([0.0, 3.0, 1000.0]))
    values = []
    for _ in range(count):
        event = draw(st.sampled_from(["grow", "grow", "grow", "stand", "drop", "spike", "reset", "jump"]))
        if event == "grow":
            level += draw(growths)
        elif event == "reset":
            level = draw(growths)
        elif event == "jump":
            level += 500.0
        values.append({"drop": 0.0, "spike": level + 1000.0}.get(event, level))
    return values


@st.composite
def calm_tracks(draw: st.DrawFn, most: int) -> list[tuple[str, datetime, float]]:
    """One device's readings as it should be: one place, one a minute, and a register that grows evenly.

    Such devices keep pace with each other, so that buckets are covered by both streams and a ratio can be sound.
    """
    place = draw(st.sampled_from(CHARGE_POINTS))
    first = draw(st.sampled_from([0, 0, 12]))
    growth = draw(st.sampled_from([0.7, 0.9, 0.9, 1.0, 1.0]))
    count = draw(st.sampled_from([most, most, most - 2]))
    return [(place, BASE + timedelta(minutes=first + n), 5.0 + growth * n) for n in range(count)]


@st.composite
def tracks(draw: st.DrawFn, most: int) -> list[tuple[str, datetime, float]]:
    """One device's readings as (charge point, ts, kwh), at most `most` of them; it may move, also in mid-bucket."""
    steps = draw(st.lists(st.tuples(gaps, st.sampled_from([False, False, False, True])), max_size=most))
    values = draw(kwh_values(len(steps)))
    ts = BASE + timedelta(seconds=draw(st.sampled_from([-900, -60, 0, 30, 840, 1500])))
    place = draw(st.integers(0, 1))
    track = []
    for (gap, moves), kwh in zip(steps, values, strict=True):
        ts += timedelta(seconds=gap)
        place ^= moves
        track.append((CHARGE_POINTS[place], ts, kwh))
    return track


@st.composite
def links_of(draw: st.DrawFn, meter: str) -> list[Link]:
    """Links of one meter that follow each other, with or without time between them, the last perhaps without end."""
    edges = sorted(draw(st.sets(moments, max_size=4)))
    endless = draw(st.booleans())
    spans: list[tuple[datetime, datetime | None]] = [*pairwise(edges)]
    if edges and endless:
        spans.append((edges[-1], None))
    takers = [draw(st.sampled_from([None, *VEHICLES, "v-unseen"])) for _ in spans]
    return [
        Link(vehicle, meter, since, until)
        for vehicle, (since, until) in zip(takers, spans, strict=True)
        if vehicle is not None
    ]


@st.composite
def fleets(draw: st.DrawFn, most: int = 10) -> Fleet:
    """A fleet of at most 3 meters and 3 vehicles with at most `most` readings each, in shuffled order of arrival."""
    any_track = st.one_of(tracks(most), calm_tracks(most))
    meters = [MeterPoint(device, *row) for device in METERS for row in draw(any_track)]
    vehicles = [
        VehiclePoint(device, *row, draw(st.integers(-20, 60).map(float)))
        for device in VEHICLES
        for row in draw(any_track)
    ]
    declared: list[tuple[Stream, str]] = [*(("meter", d) for d in METERS), *(("vehicle", d) for d in VEHICLES)]
    return Fleet(
        meters=draw(st.permutations(meters)),
        vehicles=draw(st.permutations(vehicles)),
        links=[link for meter in METERS for link in draw(st.one_of(st.just([]), links_of(meter)))],
        energy_kinds=draw(st.dictionaries(st.sampled_from(declared), kinds)),
        meter_energy=draw(kinds),
        vehicle_energy=draw(kinds),
        max_kw=MAX_KW,
        max_kw_overrides=draw(st.dictionaries(st.sampled_from(declared), st.sampled_from([6.0, 22.0, 2000.0]))),
    )


@st.composite
def plain_fleets(draw: st.DrawFn, most: int = 12) -> Fleet:
    """A fleet of pairs that mostly keep to themselves: interval energies, no links, each pair at a charge point of its own, from
    which a device strays now and then. Readings come nearly in order, some late."""
    own = {"m-1": 0, "v-1": 0, "m-2": 1, "v-2": 1}
    points: dict[str, list[tuple[str, datetime, float]]] = {}
    for device, place in own.items():
        track = draw(calm_tracks(most) if draw(st.booleans()) else tracks(most))
        strays = (
            draw(st.sets(st.integers(0, most), max_size=2)) if draw(st.sampled_from([False] * 4 + [True])) else set()
        )
        points[device] = [
            (CHARGE_POINTS[place ^ (number in strays)], ts, kwh) for number, (_, ts, kwh) in enumerate(track)
        ]
    late = draw(st.sets(st.integers(0, 4 * most), max_size=4))
    meters = [MeterPoint(device, *row) for device in METERS for row in points.get(device, [])]
    vehicles = [
        VehiclePoint(device, *row, draw(st.integers(-20, 60).map(float)))
        for device in VEHICLES
        for row in points.get(device, [])
    ]
    return Fleet(
        meters=[point for _, point in sorted(enumerate(meters), key=lambda one: (one[0] in late, one[1].ts))],
        vehicles=[point for _, point in sorted(enumerate(vehicles), key=lambda one: (one[0] in late, one[1].ts))],
        max_kw=MAX_KW,
    )


@st.composite
def wide_windows(draw: st.DrawFn) -> tuple[datetime, datetime]:
    """A window with whole buckets in it: from the span's first half hour into its second half."""
    first, last = draw(st.integers(-60, 30 * 60)), draw(st.integers(50 * 60, SPAN_SECONDS))
    grid = draw(st.sampled_from([1, 1, 900]))
    return BASE + timedelta(seconds=first // grid * grid), BASE + timedelta(seconds=last // grid * grid)


@st.composite
def windows(draw: st.DrawFn) -> tuple[datetime, datetime, datetime]:
    """Three moments a <= b <= c: the windows [a, b), [b, c) and [a, c)."""
    a, b, c = sorted(draw(st.tuples(moments, moments, moments)))
    return a, b, c
