"""What the oracle is given: accepted readings, links and energy settings. Nothing is computed here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import combinations
from typing import Literal

EnergyKind = Literal["interval", "register"]
Stream = Literal["meter", "vehicle"]


@dataclass(frozen=True)
class Point:
    """An accepted reading. `kwh` as published (an interval's energy or a register), `ts` aware, in UTC."""

    device: str
    charge_point: str
    ts: datetime
    kwh: float


@dataclass(frozen=True)
class MeterPoint(Point):
    """A meter's reading: `kwh` is AC."""


@dataclass(frozen=True)
class VehiclePoint(Point):
    """A vehicle's reading: `kwh` is DC, `battery_temp` in degrees Celsius."""

    battery_temp: float


@dataclass(frozen=True)
class Link:
    """`meter` measures `vehicle` for valid_from <= ts < valid_to (interpretation 9); None means without end."""

    vehicle: str
    meter: str
    valid_from: datetime
    valid_to: datetime | None

    def __post_init__(self) -> None:
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            raise ValueError("a link must end after it begins")

    def covers(self, reading: MeterPoint) -> bool:
        """Whether this link decides whose `reading` is."""
        started = self.valid_from <= reading.ts
        ended = self.valid_to is not None and self.valid_to <= reading.ts
        return self.meter == reading.device and started and not ended

    def overlaps(self, other: "Link") -> bool:
        """Whether both are valid for the same meter at some moment."""
        self_first = self.valid_to is None or other.valid_from < self.valid_to
        other_first = other.valid_to is None or self.valid_from < other.valid_to
        return self.meter == other.meter and self_first and other_first


@dataclass(frozen=True)
class Fleet:
    """The whole history of accepted readings, in any order, and what is declared about the devices.

    `energy_kinds` and `max_kw_overrides` are by (stream, device): a meter and a vehicle may bear the same id.
    A fleet that the database would not hold (a reading twice, a meter with two vehicles at a time) is a ValueError.
    """

    meters: Sequence[MeterPoint]
    vehicles: Sequence[VehiclePoint]
    links: Sequence[Link] = ()
    energy_kinds: Mapping[tuple[Stream, str], EnergyKind] = field(default_factory=dict)
    meter_energy: EnergyKind = "interval"
    vehicle_energy: EnergyKind = "interval"
    max_kw: float = 2000.0
    max_kw_overrides: Mapping[tuple[Stream, str], float] = field(default_factory=dict)
    clock_window_days: int = 7

    def __post_init__(self) -> None:
        for readings in (self.meters, self.vehicles):
            if len({(reading.device, reading.ts) for reading in readings}) < len(readings):
                raise ValueError("accepted readings are unique on (device, ts)")
        if any(one.overlaps(other) for one, other in combinations(self.links, 2)):
            raise ValueError("a meter has one vehicle at a time")

    @property
    def lookback(self) -> timedelta:
        """How far back a register's last accepted reading is looked for: the clock window + 1 day."""
        return timedelta(days=self.clock_window_days + 1)

    def energy_kind(self, stream: Stream, device: str) -> EnergyKind:
        """The device's own kind, or its stream's."""
        default = self.meter_energy if stream == "meter" else self.vehicle_energy
        return self.energy_kinds.get((stream, device), default)

    def device_max_kw(self, stream: Stream, device: str) -> float:
        """The most that the device's hardware can deliver, in kW."""
        return self.max_kw_overrides.get((stream, device), self.max_kw)
