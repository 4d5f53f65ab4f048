"""The physics of charging: balances, ranges, curves."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulegate_simulator.physics import (
    CUT_OFF_LOAD,
    TAPER_SOC,
    Battery,
    Charger,
    ambient_temperature,
    charge,
    mains_voltage,
    soc_after,
    taper,
    temperature_after,
)

CHARGER = Charger(rated_kw=11.0, standby_kw=0.008, linear_loss=0.05)
BATTERY = Battery(capacity_kwh=58.0, max_kw=87.0, target_soc=100.0)

chargers = st.builds(
    Charger,
    rated_kw=st.sampled_from([7.4, 11.0, 22.0, 50.0, 150.0]),
    standby_kw=st.floats(0.004, 0.012),
    linear_loss=st.floats(0.035, 0.265),
)
batteries = st.builds(
    Battery, capacity_kwh=st.floats(20, 120), max_kw=st.floats(20, 200), target_soc=st.floats(50, 100)
)


@given(charger=chargers, battery=batteries, soc=st.floats(0, 100), hours=st.floats(1e-6, 2))
def test_energy_is_conserved(charger: Charger, battery: Battery, soc: float, hours: float) -> None:
    step = charge(charger, battery, soc, hours)
    gained = (soc_after(soc, step.kwh_dc, battery) - soc) / 100 * battery.capacity_kwh
    assert step.kwh_dc == pytest.approx(step.kwh_ac * step.efficiency, abs=1e-9)
    assert gained == pytest.approx(step.kwh_dc, abs=1e-9)
    assert step.kwh_dc <= step.kwh_ac <= charger.rated_kw * hours * (1 + 1e-12)
    assert soc_after(soc, step.kwh_dc, battery) <= max(soc, battery.target_soc) + 1e-9


@given(load=st.floats(CUT_OFF_LOAD, 1), linear_loss=st.floats(0.035, 0.065))
def test_a_healthy_charger_has_the_efficiency_of_one(load: float, linear_loss: float) -> None:
    charger = Charger(rated_kw=22.0, standby_kw=0.01, linear_loss=linear_loss)
    assert 0.88 <= charger.efficiency(load * charger.rated_kw) <= 0.95


def test_a_charger_is_best_at_half_load() -> None:
    efficiencies = [CHARGER.efficiency(load * CHARGER.rated_kw) for load in (0.1, 0.25, 0.5, 1.0)]
    assert efficiencies[0] < efficiencies[1] < efficiencies[2] > efficiencies[3]


def test_power_is_constant_and_then_falls() -> None:
    assert {taper(soc) for soc in range(int(TAPER_SOC) + 1)} == {1.0}
    falling = [taper(TAPER_SOC + tenth / 10) for tenth in range(201)]
    assert all(later < earlier for earlier, later in pairwise(falling))
    assert 0.1 < falling[-1] < 0.12


def test_a_charge_from_empty_follows_the_curve_and_ends_full() -> None:
    soc, powers = 10.0, []
    for _ in range(24 * 60):
        step = charge(CHARGER, BATTERY, soc, 1 / 60)
        soc = soc_after(soc, step.kwh_dc, BATTERY)
        powers.append(step.kwh_ac * 60)
        if step.finished:
            break
    # 58 kWh * 70 % at 11 kW * 0.93 take 4.0 hours; the taper as long again
    assert 60 * 4 - 15 < sum(power == pytest.approx(11.0) for power in powers) < 60 * 4 + 15
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(powers))
    assert powers[-1] < 0.2 * 11.0
    assert soc == pytest.approx(100.0, abs=0.5)


def test_a_step_does_not_pass_the_target() -> None:
    battery = Battery(capacity_kwh=58.0, max_kw=87.0, target_soc=80.0)
    step = charge(CHARGER, battery, 79.0, 2.0)
    assert step.finished
    assert soc_after(79.0, step.kwh_dc, battery) == pytest.approx(80.0, abs=1e-9)


def test_nothing_flows_into_a_full_battery() -> None:
    step = charge(CHARGER, BATTERY, 100.0, 1.0)
    assert (step.kwh_ac, step.kwh_dc, step.finished) == (0.0, 0.0, True)


def test_a_battery_warms_under_load_and_cools_to_its_surroundings() -> None:
    warm = temperature_after(15.0, 15.0, 50.0, BATTERY, 0.5)
    assert 18.0 < warm < 35.0
    assert temperature_after(warm, 15.0, 0.0, BATTERY, 12.0) == pytest.approx(15.0, abs=0.01)


@given(kw=st.floats(0, 87), hours=st.floats(0.001, 24), parts=st.integers(2, 20))
def test_the_temperature_does_not_depend_on_the_length_of_the_steps(kw: float, hours: float, parts: int) -> None:
    stepwise = 10.0
    for _ in range(parts):
        stepwise = temperature_after(stepwise, 20.0, kw, BATTERY, hours / parts)
    assert stepwise == pytest.approx(temperature_after(10.0, 20.0, kw, BATTERY, hours), abs=1e-9)


def test_the_day_has_its_swing() -> None:
    assert ambient_temperature(15.0) == pytest.approx(18.0)
    assert ambient_temperature(3.0) == pytest.approx(6.0)
    assert mains_voltage(4.0, 0.0) == pytest.approx(233.0)
    assert mains_voltage(16.0, 1.0) == pytest.approx(223.0)


def test_the_state_of_charge_stays_within_its_bounds() -> None:
    rng = random.Random(1)
    for _ in range(100):
        assert 0.0 <= soc_after(rng.uniform(0, 100), rng.uniform(-200, 200), BATTERY) <= 100.0
