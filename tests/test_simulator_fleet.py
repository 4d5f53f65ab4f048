"""Fleets over days: their messages, their balances, that they move, and that they can be repeated in any order."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable

import msgspec
import pytest

from joulegate_core.telemetry import MAX_PAYLOAD_BYTES, MeterMessage, VehicleMessage
from joulegate_simulator.fault_plan import FaultPlan
from joulegate_simulator.fleet import build_fleet, vehicles_to_show
from joulegate_simulator.scenario import load_scenario, shipped
from joulegate_simulator.simulated_site import SimulatedSite
from joulegate_simulator.site import Site
from joulegate_simulator.vehicle import Mode

START_MS = 1_763_942_400_123  # a Monday, 0 h UTC
SCENARIOS = [path.stem for path in shipped()]


def simulated(scenario: str, devices: int, seed: int, *, start_ms: int = START_MS) -> list[SimulatedSite]:
    loaded = load_scenario(scenario)
    plan = FaultPlan(seed, loaded.faults)
    fleet = build_fleet(devices, seed, scenario=loaded, at_ms=start_ms)
    return [SimulatedSite(site, loaded, plan, start_ms) for site in fleet]


def messages(site: SimulatedSite, steps: int, seconds: int = 60) -> list[tuple[str, bytes]]:
    return [
        message
        for step in range(1, steps + 1)
        for _, sent in site.step(START_MS + step * seconds * 1000, seconds)
        for message in sent
    ]


def stored(site: Site) -> float:
    return sum(vehicle.soc / 100 * vehicle.battery.capacity_kwh for vehicle in site.vehicles)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_energy_is_balanced_to_a_millionth(scenario: str) -> None:
    for site in build_fleet(20, 3, scenario=load_scenario(scenario), at_ms=START_MS):
        for step in range(1, 2 * 288):
            before = stored(site)
            site.step(START_MS + step * 300_000, 300)
            vehicles = site.vehicles
            idle = sum(point.charger.standby_kw for point in site.points) * 300 / 3600
            charging = sum(vehicle.kwh_ac for vehicle in vehicles)
            metered = sum(meter.kwh for meter in site.meters)
            assert charging - 1e-6 <= metered <= charging + idle + 1e-6
            assert stored(site) - before == pytest.approx(sum(v.kwh_stored for v in vehicles), abs=1e-6)
            for vehicle in vehicles:
                if vehicle.kwh_dc:
                    assert vehicle.kwh_dc == pytest.approx(vehicle.kwh_stored + vehicle.kwh_heat, abs=1e-6)
                    assert vehicle.kwh_dc < vehicle.kwh_ac


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_message_of_a_healthy_device_is_one_that_the_gateway_accepts(scenario: str) -> None:
    garbled = 0
    for site in simulated(scenario, 20, 3):
        for topic, payload in messages(site, 144, 600):
            prefix, place, kind = topic.split("/")
            assert (prefix, len(payload) <= MAX_PAYLOAD_BYTES) == ("fleet", True)
            try:
                if kind == "meter":
                    assert 207 <= msgspec.json.decode(payload, type=MeterMessage).voltage <= 253  # EN 50160
                else:
                    vehicle = msgspec.json.decode(payload, type=VehicleMessage)
                    assert -25 <= vehicle.battery_temp <= 65
                    assert place.startswith(("cp-", "feeder-")) or place == vehicle.vehicle_id
            except (msgspec.DecodeError, UnicodeDecodeError):
                garbled += 1
    assert (garbled > 0) == ("malformed" in load_scenario(scenario).faults)


def test_a_time_is_written_in_utc_to_the_millisecond() -> None:
    _, payload = messages(simulated("everyday", 1, 1, start_ms=START_MS - 60_000)[0], 1)[0]
    assert b'"timestamp":"2025-11-24T00:01:00.123000Z"' in payload


def test_healthy_and_degraded_chargers_can_be_told_apart_by_a_days_energy() -> None:
    sites = simulated("everyday", 100, 1)
    degraded = []
    for site in sites:
        ac = dc = 0.0
        for step in range(1, 289):
            list(site.step(START_MS + step * 300_000, 300))
            ac += site.site.meters[0].kwh
            dc += site.site.vehicles[0].kwh_dc
        if site.site.points[0].degraded:
            degraded.append(site.site.number)
            assert 0.6 < dc / ac < 0.85
        else:
            assert 0.87 < dc / ac < 0.96
    assert 3 <= len(degraded) <= 5
    assert degraded[0] == 7
    assert vehicles_to_show(100) == ("v-00001", "v-00007")
    assert vehicles_to_show(3) == ("v-00001", None)


def test_vehicles_charge_leave_and_come_back() -> None:
    first: Counter[Mode] = Counter()
    for site in build_fleet(100, 3, at_ms=START_MS):
        vehicle = site.vehicles[0]
        first[vehicle.mode] += 1
        modes = Counter[Mode]()
        for step in range(1, 3 * 288):
            site.step(START_MS + step * 300_000, 300)
            modes[vehicle.mode] += 1
            assert vehicle.place == f"cp-{site.number:05d}"  # it reports there also from the road
            assert vehicle.soc >= 10.0 - 1e-9
        assert min(modes[Mode.CHARGING], modes[Mode.PLUGGED], modes[Mode.DRIVING]) > 10
    assert 60 <= first[Mode.CHARGING] <= 85
    assert build_fleet(1, 99, at_ms=START_MS)[0].vehicles[0].mode is Mode.CHARGING


def test_a_depot_keeps_its_timetable_and_its_vans_move_between_charge_points() -> None:
    (site,) = build_fleet(20, 3, scenario=load_scenario("depot-overnight"), at_ms=START_MS)
    at_noon, at_midnight = [], []
    visited: dict[str, set[str]] = defaultdict(set)
    for step in range(1, 5 * 288):
        site.step(START_MS + step * 300_000, 300)
        for vehicle in site.vehicles:
            visited[vehicle.vehicle_id].add(vehicle.place)
        taken = [vehicle.point for vehicle in site.vehicles if vehicle.point is not None]
        assert len(taken) == len(set(taken)) == sum(point.taken for point in site.points)
        if step % 288 == 144:
            at_noon.append(len(taken))
        if step % 288 == 0:
            at_midnight.append(len(taken))
    assert at_noon == [0] * 5
    assert at_midnight == [20] * 4
    assert all(vehicle_id in places for vehicle_id, places in visited.items())  # its own id, from the road
    assert sum(len(places) > 3 for places in visited.values()) > 10


def test_a_shared_feeder_measures_all_that_is_plugged_in_behind_it() -> None:
    scenario = load_scenario("public-fast")
    (site,) = build_fleet(4, 3, scenario=scenario, at_ms=START_MS)
    assert (len(site.meters), len(site.points), len(site.vehicles)) == (2, 4, 24)
    together = 0
    for step in range(1, 1440):
        site.step(START_MS + step * 60_000, 60)
        for meter in site.meters:
            behind = [vehicle for vehicle in site.vehicles if vehicle.at is not None and vehicle.at.meter is meter]
            assert {vehicle.place for vehicle in behind} <= {meter.place}
            assert meter.kwh >= sum(vehicle.kwh_ac for vehicle in behind) - 1e-9
            together += len(behind) > 1
    assert together > 50


def run(sites: Iterable[SimulatedSite], steps: int = 120) -> dict[int, list[tuple[str, bytes]]]:
    return {site.site.number: messages(site, steps) for site in sites}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_seed_decides_and_neither_order_nor_size_does(scenario: str) -> None:
    expected = run(simulated(scenario, 40, 7))
    shuffled = simulated(scenario, 60, 7)  # a larger fleet, in another order, as if dealt out to other lanes
    random.Random(1).shuffle(shuffled)
    result = run(shuffled)
    assert {number: result[number] for number in expected} == expected
    assert run(simulated(scenario, 40, 8)) != expected


def test_readings_of_a_load_test_share_what_is_true_once_a_second() -> None:
    def shown(readings: int, seconds: float) -> dict[str, float]:
        (site,) = simulated("failing-charger", 1, 1)  # its meters count
        sent = [site.step(START_MS + round(number * seconds * 1000), seconds) for number in range(1, readings + 1)]
        last = {device.name: some[-1][1] for messages in sent for device, some in messages if some}
        return {
            "meter": msgspec.json.decode(last["m-00001"], type=MeterMessage).kwh_consumed_ac,
            "vehicle": readings * msgspec.json.decode(last["v-00001"], type=VehicleMessage).kwh_delivered_dc,
        }

    (before,) = simulated("failing-charger", 1, 1)
    coarse, fine = shown(60, 1.0), shown(60 * 50, 0.02)
    assert before.site.vehicles[0].mode is Mode.CHARGING
    assert fine["meter"] == pytest.approx(coarse["meter"], rel=1e-6)
    assert fine["vehicle"] == pytest.approx(coarse["vehicle"], rel=1e-3)
    assert fine["vehicle"] > 0.05
