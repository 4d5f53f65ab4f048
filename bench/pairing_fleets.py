"""Simulated days of fleets for bench/pairing.py: the simulator's physics in simulated time, and what then goes wrong on the way."""

import random
from array import array
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec

from joulegate_core.clock import utc_now
from joulegate_simulator.fleet import build_fleet
from joulegate_simulator.randomness import spread
from joulegate_simulator.scenario import Driving, Fleet
from joulegate_simulator.scenario import Scenario as FleetScenario
from joulegate_simulator.site import Site
from joulegate_simulator.vehicle import Mode

STEP_SECONDS = 20
"""Three steps a minute: meters and vehicles end their minutes at different steps."""

STEPS_A_MINUTE = 60 // STEP_SECONDS
MINUTES = 24 * 60
WRONG = 0.05
DEGRADED = 0.2
END = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
START = END - timedelta(minutes=MINUTES)
START_MS = int(START.timestamp() * 1000)

Signal = tuple["array[float]", "array[float]"]
"""AC and DC of a pair, kWh in each step."""


class Scenario(msgspec.Struct, frozen=True):
    """A fleet and what is wrong with it.

    `depot`: "" is the simulator's fleet; "mixed" and "same" are `depot_fleet`. `missing`: share of lost readings; `skewed`: share of
    devices whose clocks are up to 90 s off. `fault`: what 5 % of the pairs suffer ("swapped", "unmetered", "none"), or all of them.
    """

    name: str
    depot: str = ""
    missing: float = 0.0
    skewed: float = 0.0
    fault: str = "swapped"


class Devices(msgspec.Struct, frozen=True):
    """One stream of a fleet, by number: where each device publishes, the step in which its minutes end, its clock's error in s."""

    names: list[str]
    charge_points: list[str]
    phases: list[int]
    skews: list[float]


def simulate(count: int, seed: int, depot: str) -> list[Signal]:
    """The day of every pair. A depot's vehicles come home within the hour from 17 h UTC on."""
    if not depot:
        return [drive(site, 0, once=False) for site in build_fleet(count, seed, at_ms=START_MS)]
    rng = random.Random(f"arrivals/{seed}")
    hour = 60 * STEPS_A_MINUTE
    fleet = depot_fleet(count, seed, same=depot == "same")
    return [drive(site, 17 * hour + rng.randrange(hour), once=True) for site in fleet]


def depot_fleet(count: int, seed: int, *, same: bool) -> list[Site]:
    """Vehicles at 22 kW chargers, a fifth of which are degraded. `same`: all of one model, come home with 20 to 40 %."""
    batteries = {"77": 1.0} if same else {"58": 1.0, "77": 1.0, "100": 1.0}
    depot = Fleet(chargers_kw={"22": 1.0}, batteries_kwh=batteries, target_soc=[90.0], starts_charging=1.0)
    sites = build_fleet(
        count, seed, scenario=FleetScenario(title="a depot", fleet=depot, driving=Driving()), at_ms=START_MS
    )
    for site in sites:
        if same:
            vehicle = site.vehicles[0]
            vehicle.soc = 20.0 + (vehicle.soc - 15.0) * 0.4
        site.points[0].degraded = spread(site.number, 0.0) < DEGRADED
    return sites


def drive(site: Site, first: int, *, once: bool) -> Signal:
    """The day of a site with one vehicle. It stands idle before the step `first`, and, with `once`, after it has charged."""
    vehicle, meter = site.vehicles[0], site.meters[0]
    standby = site.points[0].charger.standby_kw * STEP_SECONDS / 3600
    steps = (MINUTES + 1) * STEPS_A_MINUTE
    ac, dc = array("d", [standby]) * steps, array("d", [0.0]) * steps
    for step in range(first, steps):
        if once and vehicle.mode is not Mode.CHARGING:
            break
        site.step(START_MS + step * STEP_SECONDS * 1000, STEP_SECONDS)
        ac[step], dc[step] = meter.kwh, vehicle.kwh_dc
    return ac, dc


def places(count: int, scenario: Scenario, rng: random.Random) -> tuple[list[str], set[int]]:
    """Where the meters publish, and the numbers of the pairs for which that is wrong."""
    where = [f"cp-{number}" for number in range(count)]
    if scenario.fault == "none":
        return where, set()
    share = 1.0 if scenario.fault == "all unmetered" else WRONG
    chosen = rng.sample(range(count), int(count * share) // 2 * 2)
    if scenario.fault != "swapped":
        for number in chosen:
            where[number] = f"m-{number}"  # under its own id, where no vehicle is
    else:
        for one, other in zip(chosen[::2], chosen[1::2], strict=True):
            where[one], where[other] = where[other], where[one]
    return where, set(chosen)


def devices(prefix: str, charge_points: list[str], scenario: Scenario, rng: random.Random) -> Devices:
    """Gives every device a phase of its own, and some a wrong clock."""
    count = range(len(charge_points))
    return Devices(
        names=[f"{prefix}-{number}" for number in count],
        charge_points=charge_points,
        phases=[rng.randrange(STEPS_A_MINUTE) for _ in count],
        skews=[rng.uniform(-90, 90) if rng.random() < scenario.skewed else 0.0 for _ in count],
    )


def readings(
    fleet: Devices, signals: list["array[float]"], missing: float, rng: random.Random
) -> Iterator[tuple[Any, ...]]:
    """(time, kWh, device, charge point) of every reading that is not lost, in the order of time."""
    for minute in range(MINUTES):
        for number, signal in enumerate(signals):
            if missing and rng.random() < missing:
                continue
            first = minute * STEPS_A_MINUTE + fleet.phases[number]
            ends = (first + STEPS_A_MINUTE) * STEP_SECONDS + fleet.skews[number]
            kwh = sum(signal[first : first + STEPS_A_MINUTE])
            yield START + timedelta(seconds=ends), kwh, fleet.names[number], fleet.charge_points[number]
