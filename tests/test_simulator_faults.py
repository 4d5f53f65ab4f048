"""Faults: who has them, when, what they do to messages, and that they can be switched."""

import asyncio
import json
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from joulegate_core.errors import SettingsError
from joulegate_core.telemetry import MeterMessage
from joulegate_simulator import control
from joulegate_simulator.fault_catalogue import CATALOGUE, FaultSetting, read_control
from joulegate_simulator.fault_plan import FaultPlan, SubjectFaults, prone
from joulegate_simulator.fleet import build_fleet
from joulegate_simulator.scenario import Fleet, Scenario
from joulegate_simulator.simulated_site import SimulatedSite
from simulator_support import until

START_MS = 1_763_942_400_000
ALWAYS = FaultSetting(share=1.0, probability=1.0)

Sent = dict[str, list[list[bytes]]]
"""Payloads by device and step."""


def sent(faults: dict[str, FaultSetting], *, steps: int = 30, register: bool = False) -> Sent:
    fleet = Fleet(starts_charging=1.0, meter_energy="register" if register else "interval")
    scenario = Scenario(title="one", fleet=fleet, faults=faults)
    (site,) = build_fleet(1, 1, scenario=scenario, at_ms=START_MS)
    simulated = SimulatedSite(site, scenario, FaultPlan(1, faults), START_MS)
    out: Sent = {}
    for step in range(1, steps + 1):
        for device, messages in simulated.step(START_MS + step * 60_000, 60):
            out.setdefault(device.name, []).append([payload for _, payload in messages])
    return out


def field(payloads: list[list[bytes]], name: str) -> list[float]:
    return [json.loads(payload)[name] for step in payloads for payload in step]


HEALTHY = sent({})
AC = field(HEALTHY["m-00001"], "kwhConsumedAc")
TIMES = field(HEALTHY["m-00001"], "timestamp")


def test_a_share_is_a_share_of_any_fleet_and_a_larger_one_only_adds() -> None:
    for share in (0.02, 0.1, 0.5):
        setting, more = FaultSetting(share=share), FaultSetting(share=share * 1.5)
        have = [prone(5, "silent", setting, number, "meter") for number in range(1, 1001)]
        assert sum(have) == pytest.approx(1000 * share, abs=3)
        assert all(prone(5, "silent", more, number, "meter") for number in range(1, 1001) if have[number - 1])
    assert not any(prone(5, "silent", FaultSetting(share=0.0), number) for number in range(1, 1001))
    assert prone(5, "silent", FaultSetting(share=0.0, first=9), 9)


def test_a_condition_keeps_to_its_timetable() -> None:
    plan = FaultPlan(1, {"silent": FaultSetting(share=1.0, after_hours=2, lasts_hours=3)})
    faults = SubjectFaults(plan, "vehicle", 1)
    on = [bool(faults.on(hours / 2, 0)) for hours in range(20)]
    assert on == [False] * 4 + [True] * 6 + [False] * 10


def test_a_condition_that_comes_and_goes_is_on_for_its_part_of_the_time() -> None:
    plan = FaultPlan(1, {"offline": FaultSetting(share=1.0, every_hours=9, lasts_hours=1)})
    on = 0
    changes = 0
    for number in range(1, 101):
        faults = SubjectFaults(plan, "meter", number)
        states = [bool(faults.on(minute / 60, 0)) for minute in range(0, 60 * 24 * 10, 5)]
        on += sum(states)
        changes += sum(a != b for a, b in pairwise(states))
    assert on / (100 * 12 * 24 * 10) == pytest.approx(0.1, abs=0.02)
    assert changes / 2 == pytest.approx(100 * 24, rel=0.15)


def test_single_readings_are_struck_with_their_probability() -> None:
    plan = FaultPlan(1, {"duplicate": FaultSetting(probability=0.05)})
    struck = 0
    for number in range(1, 51):
        faults = SubjectFaults(plan, "meter", number)
        struck += sum(bool(faults.on(0.0, reading)) for reading in range(1, 1001))
    assert struck == pytest.approx(2500, rel=0.1)
    # asked late, it does not make up for what was not asked
    assert not SubjectFaults(FaultPlan(1, {"duplicate": FaultSetting(probability=0.0)}), "meter", 1).on(0.0, 10**6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("meter_dead", [0.0] * 30), ("register_zero", [0.0] * 30), ("meter_stuck", [0.0] * 30)],
)
def test_values_of_a_broken_meter(name: str, expected: list[float]) -> None:
    assert field(sent({name: ALWAYS})["m-00001"], "kwhConsumedAc") == expected


def test_a_meter_that_drifts_is_wrong_by_a_constant_factor_between_5_and_15_percent() -> None:
    factors = {
        round(a / b, 4)
        for a, b in zip(field(sent({"meter_drift": ALWAYS})["m-00001"], "kwhConsumedAc"), AC, strict=True)
    }
    assert len(factors) == 1
    assert 0.05 <= abs(factors.pop() - 1) <= 0.15


def test_a_register_counts_up_resets_and_shows_zero_for_a_moment() -> None:
    counter = field(sent({}, register=True)["m-00001"], "kwhConsumedAc")
    assert [b - a for a, b in pairwise(counter)] == pytest.approx(AC[1:], abs=1e-6)
    rare = FaultSetting(share=1.0, probability=0.1)
    zero = field(sent({"register_zero": rare}, register=True)["m-00001"], "kwhConsumedAc")
    assert 0 < zero.count(0.0) < 10
    assert [value for value in zero if value] == [c for c, value in zip(counter, zero, strict=True) if value]
    reset = field(sent({"register_reset": rare}, register=True)["m-00001"], "kwhConsumedAc")
    falls = [b for a, b in pairwise(reset) if b < a]
    assert 0 < len(falls) < 10
    assert all(after == pytest.approx(AC[reset.index(after)], abs=1e-6) for after in falls)


def test_a_degraded_charger_wastes_energy() -> None:
    out = sent({"charger_degraded": ALWAYS})
    ac, dc = field(out["m-00001"], "kwhConsumedAc"), field(out["v-00001"], "kwhDeliveredDc")
    assert all(b / a < 0.85 for a, b in zip(ac, dc, strict=True))
    healthy = field(HEALTHY["v-00001"], "kwhDeliveredDc")
    assert all(b / a > 0.88 for a, b in zip(AC, healthy, strict=True))


def test_sensors_that_stick() -> None:
    out = sent({"sensor_stuck": ALWAYS})["v-00001"]
    assert len(set(field(out, "soc"))) == len(set(field(out, "batteryTemp"))) == 1
    assert len(set(field(out, "kwhDeliveredDc"))) > 1 or len(set(field(HEALTHY["v-00001"], "kwhDeliveredDc"))) == 1


def test_a_wrong_clock_is_wrong_by_20_to_90_seconds_for_ever() -> None:
    times = field(sent({"clock_skew": ALWAYS})["m-00001"], "timestamp")
    shifts = {seconds(a) - seconds(b) for a, b in zip(times, TIMES, strict=True)}
    assert len(shifts) == 1
    assert 20 <= abs(shifts.pop()) <= 90


def seconds(time: object) -> float:
    return datetime.fromisoformat(str(time)).timestamp()


def test_what_is_lost_and_what_comes_twice() -> None:
    assert sent({"silent": ALWAYS})["v-00001"] == [[]] * 30
    assert sent({"missing": ALWAYS})["v-00001"] == [[]] * 30
    assert sent({"duplicate": ALWAYS})["m-00001"] == [[one, one] for (one,) in HEALTHY["m-00001"]]


def test_an_offline_device_sends_everything_in_one_burst() -> None:
    offline = FaultSetting(share=1.0, after_hours=0.125, lasts_hours=0.25)
    out = sent({"offline": offline})["m-00001"]
    assert [len(step) for step in out] == [1] * 7 + [0] * 15 + [16] + [1] * 7
    assert [p for step in out for p in step] == [p for step in HEALTHY["m-00001"] for p in step]


def test_out_of_order_is_the_next_one_first() -> None:
    out = sent({"out_of_order": FaultSetting(share=1.0, probability=0.2)})["m-00001"]
    plain = [payload for step in HEALTHY["m-00001"] for payload in step]
    got = [payload for step in out for payload in step]
    assert got != plain
    assert sorted(got) == sorted(plain[: len(got)])


def test_malformed_payloads_are_no_messages() -> None:
    for (payload,) in sent({"malformed": ALWAYS})["m-00001"]:
        with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
            msgspec.json.decode(payload, type=MeterMessage)


def test_in_a_grid_outage_nothing_charges_meters_are_off_and_vehicles_report_later() -> None:
    out = sent({"grid_outage": FaultSetting(after_hours=0.125, lasts_hours=0.25)})
    assert [len(step) for step in out["m-00001"]] == [1] * 7 + [0] * 15 + [1] * 8
    assert [len(step) for step in out["v-00001"]] == [1] * 7 + [0] * 15 + [16] + [1] * 7
    assert field(out["v-00001"], "kwhDeliveredDc")[7:22] == [0.0] * 15
    assert min(field(out["v-00001"], "kwhDeliveredDc")[22:]) > 0.0


def test_a_control_file_turns_on_what_it_names_and_the_rest_off() -> None:
    scenario = {"silent": FaultSetting(share=0.3, after_hours=5), "missing": FaultSetting(probability=0.5)}
    on = read_control("silent  # from now on\n\ncharger_degraded 0.5\n", scenario)
    assert on == {"silent": FaultSetting(share=0.3), "charger_degraded": FaultSetting(share=0.5)}
    assert read_control("", scenario) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("silent\nloud", "line 2: there is no fault 'loud'"),
        ("silent 2", "0 to 1, not '2'"),
        ("silent a lot", "'a lot'"),
    ],
)
def test_a_bad_control_file_is_named_with_its_line(text: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        read_control(text, {})


async def test_the_control_file_is_watched_and_a_bad_one_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "LOOK_SECONDS", 0.01)
    plan, file = FaultPlan(1, {"missing": ALWAYS}), tmp_path / "faults"
    faults = SubjectFaults(plan, "vehicle", 1)
    watching = asyncio.create_task(control.watch_control(file, plan))
    try:
        file.write_text("silent 1\n")
        await until(lambda: set(plan.settings) == {"silent"})
        assert faults.on(1.0, 1) == {"silent"}
        version = plan.version
        file.write_text("nonsense")
        await asyncio.sleep(0.1)
        assert plan.version == version
        assert faults.on(1.0, 2) == {"silent"}
        file.unlink()
        await until(lambda: set(plan.settings) == {"missing"})
        assert faults.on(1.0, 3) == {"missing"}
    finally:
        watching.cancel()


def test_every_fault_of_the_catalogue_changes_something() -> None:
    for name in CATALOGUE:
        if name != "flapping":  # that is the connection's
            assert sent({name: ALWAYS}, register=True) != sent({}, register=True), name
