"""A fleet: builds the sites of a scenario, each from random numbers of its own."""

from joulegate_simulator.charge_point import ChargePoint, Meter
from joulegate_simulator.fault_plan import prone
from joulegate_simulator.physics.battery import Battery
from joulegate_simulator.randomness import pick, stream, uniform
from joulegate_simulator.scenario import DEFAULT, Fleet, Scenario, load_scenario
from joulegate_simulator.site import Site
from joulegate_simulator.timetable import Timetable
from joulegate_simulator.vehicle import Vehicle


def build_fleet(devices: int, seed: int, *, scenario: Scenario | None = None, at_ms: int = 0) -> list[Site]:
    """The sites of `devices` charge points, numbered from 1, in their state at the time `at_ms`.

    A site is the same in every fleet of its seed that holds all of it, whatever the fleet's size.
    """
    scenario = scenario or load_scenario(DEFAULT)
    size = scenario.fleet.site_size
    return [
        _build_site(number, range(first, min(first + size, devices + 1)), seed, scenario, at_ms)
        for number, first in enumerate(range(1, devices + 1, size), 1)
    ]


def vehicles_to_show(devices: int, seed: int = 1) -> tuple[str, str | None]:
    """Of the everyday fleet: a vehicle that charges from the start, and one at a charger that wastes energy, if there is one."""
    scenario = load_scenario(DEFAULT)
    setting = scenario.faults["charger_degraded"]
    wasteful = (number for number in range(1, devices + 1) if prone(seed, "charger_degraded", setting, number))
    return "v-00001", next((f"v-{number:05d}" for number in wasteful), None)


def _build_site(number: int, numbers: range, seed: int, scenario: Scenario, at_ms: int) -> Site:
    fleet = scenario.fleet
    rng = stream(seed, "site", number)
    meters: list[Meter] = []
    points: list[ChargePoint] = []
    for point in numbers:
        if (point - 1) % fleet.charge_points_per_meter == 0:
            meters.append(_build_meter(point, fleet, seed))
        rated = float(pick(fleet.chargers_kw, uniform(seed, "rating", point)))
        points.append(ChargePoint(point, rated, meters[-1], seed))
    timetable = Timetable(scenario.driving)
    each = fleet.vehicles_per_charge_point
    vehicles = [
        _build_vehicle((point.number - 1) * each + place, seed, fleet, timetable, None if fleet.roaming else point)
        for point in points
        for place in range(1, each + 1)
    ]
    site = Site(number, points=points, meters=meters, vehicles=vehicles, weather=scenario.weather, rng=rng)
    for vehicle in vehicles:
        _begin(vehicle, site, seed, scenario, timetable, at_ms)
    return site


def _build_meter(point: int, fleet: Fleet, seed: int) -> Meter:
    number = (point - 1) // fleet.charge_points_per_meter + 1
    place = f"cp-{point:05d}" if fleet.charge_points_per_meter == 1 else f"feeder-{number:05d}"
    return Meter(number, place, seed)


def _build_vehicle(number: int, seed: int, fleet: Fleet, timetable: Timetable, home: ChargePoint | None) -> Vehicle:
    rng = stream(seed, "vehicle", number)
    battery = Battery(
        capacity_kwh=float(pick(fleet.batteries_kwh, rng.random())),
        max_c_rate=rng.uniform(*fleet.max_c_rate),
        target_soc=rng.choice(fleet.target_soc),
    )
    return Vehicle(number, battery=battery, soc=50.0, timetable=timetable, rng=rng, home=home)


def _begin(vehicle: Vehicle, site: Site, seed: int, scenario: Scenario, timetable: Timetable, at_ms: int) -> None:
    """Puts a vehicle into its first state. `starts_charging` of them charge, so that efficiencies can be seen at once."""
    rng = stream(seed, "start", vehicle.number)
    if timetable.is_away(at_ms):
        vehicle.soc = rng.uniform(40.0, 90.0)
        vehicle.drive(at_ms)
        return
    charging = rng.random() < scenario.fleet.starts_charging or _is_shown_first(vehicle, seed, scenario)
    vehicle.soc = rng.uniform(15.0, 65.0)
    if charging or rng.random() < 0.5:  # noqa: PLR2004 - the rest is at home or away, half and half
        site.place(vehicle, at_ms)
        if not charging and vehicle.point is not None:
            vehicle.soc = vehicle.battery.target_soc
            vehicle.rest(at_ms)
    else:
        vehicle.soc = rng.uniform(40.0, 90.0)
        vehicle.drive(at_ms)


def _is_shown_first(vehicle: Vehicle, seed: int, scenario: Scenario) -> bool:
    """Whether it is one that a reader of the README asks for first: number 1, and those at chargers that waste energy."""
    setting = scenario.faults.get("charger_degraded")
    at_fault = (
        setting is not None
        and vehicle.home is not None
        and prone(seed, "charger_degraded", setting, vehicle.home.number)
    )
    return vehicle.number == 1 or at_fault
