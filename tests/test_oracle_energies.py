"""The oracle's energies of interval and register readings (section 5): each rule by a hand-worked example, as in test_oracle."""

from dataclasses import replace
from datetime import timedelta

import pytest

from oracle import Fleet, MeterTotal, Outcome, Point, attributions, energies
from oracle_points import ac, answer, at, meter, vehicle

EIGHT_DAYS = timedelta(days=8)


def register(*readings: tuple[float, float], max_kw: float = 120) -> list[tuple[float, str]]:
    """Energy and outcome of the (minute, kWh) readings of a register that can deliver 2 kWh a minute."""
    points = [Point("m", "cp", at(minute), kwh) for minute, kwh in readings]
    return [(energy, outcome.value) for _, energy, outcome in energies(points, "register", max_kw, EIGHT_DAYS)]


def test_interval_readings_are_energy_as_published() -> None:
    points = [Point("m", "cp", at(1), 5.0), Point("m", "cp", at(0), 7.0)]
    assert energies(points, "interval", 1, EIGHT_DAYS) == [
        (points[1], 7.0, Outcome.INTERVAL),
        (points[0], 5.0, Outcome.INTERVAL),
    ]


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([(0, 1000)], [(0, "first")], id="the first gives 0"),
        pytest.param([(0, 10), (1, 11), (2, 11)], [(0, "first"), (1, "difference"), (0, "difference")], id="growth"),
        pytest.param([(0, 10), (1, 12)], [(0, "first"), (2, "difference")], id="exactly the cap fits"),
        pytest.param(
            [(0, 1000), (1, 0), (2, 1001)],
            [(0, "first"), (0, "glitch"), (1, "recovered")],
            id="glitch down",
        ),
        pytest.param(
            [(0, 10), (1, 900), (2, 11)],
            [(0, "first"), (0, "glitch"), (1, "recovered")],
            id="glitch up",
        ),
        pytest.param(
            [(0, 10), (0.5, 0), (1, 11)], [(0, "first"), (0, "glitch"), (1, "difference")], id="glitch without a gap"
        ),
        pytest.param([(0, 1000), (1, 0)], [(0, "first"), (0, "provisional")], id="newest too low"),
        pytest.param([(0, 10), (1, 13)], [(0, "first"), (0, "provisional")], id="newest too high"),
        pytest.param(
            [(0, 1000), (1, 1.5), (2, 2)], [(0, "first"), (1.5, "reset"), (0.5, "difference")], id="reset counts r"
        ),
        pytest.param(
            [(0, 1000), (1, 2), (2, 3)], [(0, "first"), (2, "reset"), (1, "difference")], id="reset to exactly the cap"
        ),
        pytest.param(
            [(0, 1000), (1, 3), (2, 4)], [(0, "first"), (0, "reset"), (1, "difference")], id="reset over the cap is 0"
        ),
        pytest.param(
            [(0, 1000), (3, 3), (4, 4)], [(0, "first"), (3, "reset"), (1, "difference")], id="3 minutes deliver 6 kWh"
        ),
        pytest.param(
            [(0, 10), (1, 500), (2, 501)], [(0, "first"), (0, "jump"), (1, "difference")], id="jump is a new baseline"
        ),
        pytest.param(
            [(0, 10), (1, 500), (2, 14.5)],
            [(0, "first"), (0, "jump"), (0, "provisional")],
            id="next is too high for p: 4.5 kWh in 2 minutes",
        ),
        pytest.param(
            [(0, 1000), (1, 0), (2, 0), (3, 1001)],
            [(0, "first"), (0, "reset"), (0, "difference"), (0, "provisional")],
            id="two zeros in a row are a reset",
        ),
        pytest.param([(0, 10), (1.5, 11)], [(0, "first"), (1, "difference")], id="90 s are no gap"),
        pytest.param([(0, 10), (1.52, 11)], [(0, "first"), (1, "recovered")], id="91.2 s are a gap"),
        pytest.param([(0, 10), (10, 30)], [(0, "first"), (20, "recovered")], id="the cap grows with the gap"),
    ],
)
def test_register(readings: list[tuple[float, float]], expected: list[tuple[float, str]]) -> None:
    assert register(*readings) == expected


def test_1000_0_1001_is_1() -> None:
    assert sum(energy for energy, _ in register((0, 1000), (1, 0), (2, 1001))) == 1


def test_two_devices_under_one_id_a_late_reading_changes_every_later_energy() -> None:
    """Why "touches the next two accepted readings" is not the whole truth (README, consequences)."""
    interleaved = [(2, 1001), (3, 0.25), (4, 1002), (5, 0.5), (6, 1003), (7, 0.75)]
    assert [energy for energy, _ in register(*interleaved)] == [0, 0, 1, 0, 1, 0]
    assert [energy for energy, _ in register((1, 0), *interleaved)] == [0, 0, 0.25, 0, 0.25, 0, 0.25]


def test_a_late_reading_changes_the_reading_before_it() -> None:
    """It becomes that reading's next: 2 was a reset, and is a glitch once 1001 stands after it."""
    assert register((0, 1000), (1, 2), (3, 3)) == [(0, "first"), (2, "reset"), (1, "recovered")]
    with_late = register((0, 1000), (1, 2), (3, 3), (2, 1001))
    assert with_late == [(0, "first"), (0, "glitch"), (1, "recovered"), (0, "provisional")]


def test_register_ignores_the_order_of_arrival() -> None:
    assert register((2, 11), (0, 10), (1, 500)) == register((0, 10), (1, 500), (2, 11))


def test_last_accepted_reading_is_looked_for_at_most_the_clock_window_and_a_day_back() -> None:
    eight_days = 8 * 24 * 60.0
    assert register((0, 10), (eight_days, 17))[1] == (7, "recovered")
    assert register((0, 10), (eight_days + 1, 17))[1] == (0, "first")
    fleet = Fleet([meter(0, 10), meter(3 * 1440, 17)], [], meter_energy="register", clock_window_days=1)
    assert [one.energy for one in attributions(fleet)] == [0, 0]
    assert [one.energy for one in attributions(replace(fleet, clock_window_days=2))] == [0, 7]


def test_after_a_glitch_the_look_back_reaches_for_the_reading_before_it() -> None:
    eight_days = 8 * 24 * 60.0
    readings = register((0, 10), (1, 0), (eight_days + 1, 11), max_kw=120)
    assert readings == [(0, "first"), (0, "glitch"), (0, "first")]


def test_a_register_goes_on_at_another_charge_point() -> None:
    fleet = Fleet(
        [meter(0, 10), meter(1, 11, cp="elsewhere")], [vehicle(1, 1, cp="elsewhere")], meter_energy="register"
    )
    assert ac(fleet) == 1


def test_kind_and_cap_by_stream_and_by_device() -> None:
    fleet = Fleet(
        meters=[meter(0, 10, "x"), meter(1, 11, "x"), meter(0, 10, "m"), meter(1, 11, "m")],
        vehicles=[vehicle(0, 0.5, "x"), vehicle(1, 0.5, "x")],
        meter_energy="register",
        energy_kinds={("meter", "m"): "interval"},
        max_kw_overrides={("meter", "x"): 30},
    )
    shown = answer(fleet, "x")
    assert shown.meters == (MeterTotal("m", 21), MeterTotal("x", 0))  # x: 1 kWh in a minute is over 30 kW
    assert shown.total_kwh_delivered_dc == 1  # the meter's kind is not the vehicle's of the same id
