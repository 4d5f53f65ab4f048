"""A scenario: which fleet, in which weather, with which faults. Read from TOML, refused with file, key and limit."""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from joulegate_core.errors import SettingsError
from joulegate_simulator.fault_catalogue import CATALOGUE, REGISTER_FAULTS, FaultSetting
from joulegate_simulator.physics.charger import RATINGS_KW

DEFAULT = "everyday"
"""What `joulegate simulate` runs without `--scenario`."""

LEAST_CAPACITY_KWH = 5

_HERE = Path(__file__).parent
DIRECTORIES = (_HERE / "scenarios", _HERE.parent / "scenarios")
"""Where the shipped scenarios are: in a wheel inside the package, in the repository beside it."""

Share = Annotated[float, Meta(ge=0, le=1)]
Hours = Annotated[float, Meta(ge=0, le=1000)]
HourOfDay = Annotated[float, Meta(ge=0, lt=24)]
EnergyKind = Literal["interval", "register"]


class Fleet(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Charge points and vehicles. A site is a place whose vehicles share its charge points.

    `charge_points_per_meter` over 1 is a shared feeder: one meter measures them all, and all publish under the feeder's id.
    `roaming`: a vehicle takes any free charge point of its site; otherwise each has its own, and reports there also from the road.
    """

    site_size: Annotated[int, Meta(ge=1, le=1000)] = 1
    vehicles_per_charge_point: Annotated[int, Meta(ge=1, le=50)] = 1
    charge_points_per_meter: Annotated[int, Meta(ge=1, le=100)] = 1
    roaming: bool = False
    chargers_kw: dict[str, Annotated[float, Meta(gt=0)]] = msgspec.field(default_factory=lambda: {"11": 1.0})
    batteries_kwh: dict[str, Annotated[float, Meta(gt=0)]] = msgspec.field(default_factory=lambda: {"58": 1.0})
    max_c_rate: tuple[Annotated[float, Meta(gt=0, le=6)], Annotated[float, Meta(gt=0, le=6)]] = (1.5, 1.5)
    target_soc: Annotated[list[Annotated[float, Meta(ge=50, le=100)]], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: [80.0, 90.0, 100.0]
    )
    starts_charging: Share = 0.7
    meter_energy: EnergyKind = "interval"
    vehicle_energy: EnergyKind = "interval"


class Weather(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The day's mean temperature and half its range, in degrees Celsius."""

    mean_c: Annotated[float, Meta(ge=-50, le=50)] = 12.0
    swing_c: Annotated[float, Meta(ge=0, le=20)] = 6.0


class Driving(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When vehicles are away and what they use.

    With `depart_hour` and `arrive_hour` (UTC) they keep a timetable, on working days, and with `weekend` as probability on the
    others. Without, a trip takes `away_hours`, and a charged vehicle stays `stay_hours` on average; none arrives in `quiet_hours`.
    """

    depart_hour: HourOfDay | None = None
    arrive_hour: HourOfDay | None = None
    spread_hours: Annotated[float, Meta(ge=0, le=3)] = 0.75
    weekend: Share = 0.0
    away_hours: tuple[Hours, Hours] = (0.3, 2.5)
    stay_hours: Hours = 2.5
    quiet_hours: tuple[HourOfDay, HourOfDay] | None = None
    drive_kw: tuple[Annotated[float, Meta(ge=0, le=500)], Annotated[float, Meta(ge=0, le=500)]] = (6.0, 16.0)


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that a simulation is made of but its size, its time and its seed."""

    title: str
    fleet: Fleet = Fleet()
    weather: Weather = Weather()
    driving: Driving = Driving()
    faults: dict[str, FaultSetting] = {}


def load_scenario(name: str) -> Scenario:
    """The shipped scenario of this name, or that in the TOML file at this path.

    Raises:
        SettingsError: there is none, or something in it is not valid; it names the file, the key and the limit.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = next((path for path in shipped() if path.stem == name), path)
        if path.suffix != ".toml":
            known = ", ".join(path.stem for path in shipped())
            raise SettingsError(
                f"there is no scenario {name!r}: choose one of {known}, or give the path of a .toml file"
            )
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"the scenario {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"the scenario {path} is not TOML: {error}") from None
    try:
        scenario = msgspec.convert(content, Scenario)
        _check(scenario)
    except (msgspec.ValidationError, ValueError) as error:
        raise SettingsError(f"the scenario {path} is not valid: {_explain(str(error))}") from None
    return scenario


def shipped() -> list[Path]:
    """The files of the shipped scenarios, by name."""
    directory = next((directory for directory in DIRECTORIES if directory.is_dir()), DIRECTORIES[0])
    return sorted(directory.glob("*.toml"))


def _check(scenario: Scenario) -> None:
    """What single fields cannot say.

    Raises:
        ValueError: with the key and the limit.
    """
    _check_fleet(scenario.fleet)
    _check_driving(scenario.driving)
    _known("faults", scenario.faults, set(CATALOGUE))
    for name in sorted(REGISTER_FAULTS & set(scenario.faults)):
        _require(scenario.fleet.meter_energy == "register", f'`faults.{name}` needs `fleet.meter_energy = "register"`')


def _check_fleet(fleet: Fleet) -> None:
    for key, weights in (("chargers_kw", fleet.chargers_kw), ("batteries_kwh", fleet.batteries_kwh)):
        _require(bool(weights), f"`fleet.{key}` is empty: give at least one, with its weight")
    _known("fleet.chargers_kw", fleet.chargers_kw, {f"{rating:g}" for rating in RATINGS_KW})
    for capacity in fleet.batteries_kwh:
        valid = re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", capacity) and float(capacity) >= LEAST_CAPACITY_KWH
        _require(bool(valid), f"`fleet.batteries_kwh` has {capacity!r}: a capacity is {LEAST_CAPACITY_KWH} to 999 kWh")
    _ordered("fleet.max_c_rate", fleet.max_c_rate)
    _require(
        fleet.site_size % fleet.charge_points_per_meter == 0,
        "`fleet.site_size` must be a multiple of `fleet.charge_points_per_meter`: a feeder lies in one site",
    )
    _require(
        fleet.roaming or fleet.vehicles_per_charge_point == 1,
        "`fleet.vehicles_per_charge_point` over 1 needs `fleet.roaming = true`: they share charge points",
    )


def _check_driving(driving: Driving) -> None:
    _require(
        (driving.depart_hour is None) == (driving.arrive_hour is None),
        "`driving.depart_hour` and `driving.arrive_hour` go together",
    )
    _ordered("driving.away_hours", driving.away_hours)
    _ordered("driving.drive_kw", driving.drive_kw)


def _ordered(key: str, between: tuple[float, float]) -> None:
    _require(between[0] <= between[1], f"`{key}` must be [least, most], not [{between[0]:g}, {between[1]:g}]")


def _require(condition: bool, message: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not condition:
        raise ValueError(message)


def _known(key: str, names: Iterable[str], known: set[str]) -> None:
    for name in names:
        _require(name in known, f"`{key}` has no {name!r}: choose from {', '.join(sorted(known))}")


def _explain(message: str) -> str:
    """msgspec's sentence with the key in TOML's way: `$.fleet.site_size` becomes `fleet.site_size`."""
    return message.replace("`$.", "`")
