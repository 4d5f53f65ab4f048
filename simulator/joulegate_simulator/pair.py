"""One charge point with its meter, and the vehicle that lives there: charges, stands, drives away and comes back."""

import random
from enum import StrEnum

import msgspec

from joulegate_simulator.physics import (
    Battery,
    Charger,
    ambient_temperature,
    charge,
    mains_voltage,
    soc_after,
    temperature_after,
)

RESERVE_SOC = 10.0
"""A driver turns home at this charge."""

_MS_PER_HOUR = 3_600_000


class Mode(StrEnum):
    """What the vehicle does."""

    CHARGING = "charging"
    PLUGGED = "plugged"  # at the charge point, full
    DRIVING = "driving"


class PairReading(msgspec.Struct, frozen=True, gc=False):
    """What meter and vehicle measured over one step that ended at `at_ms` (milliseconds since 1970, UTC)."""

    at_ms: int
    mode: Mode
    kwh_ac: float
    voltage: float
    soc: float
    kwh_dc: float
    battery_temp: float


class Pair:
    """A meter-vehicle pair. Its random numbers are its own: it behaves the same whatever the size of the fleet."""

    def __init__(
        self, number: int, *, charger: Charger, battery: Battery, soc: float, mode: Mode, rng: random.Random
    ) -> None:
        self.charge_point = f"cp-{number:05d}"
        self.meter_id = f"m-{number:05d}"
        self.vehicle_id = f"v-{number:05d}"
        self.charger = charger
        self.battery = battery
        self.soc = soc
        self.mode = mode
        self._rng = rng
        self._site_volts = rng.gauss(0.0, 2.0)
        self._site_degrees = rng.gauss(0.0, 2.0)
        self._temperature = 12.0 + self._site_degrees + rng.uniform(0.0, 6.0)
        self._driving_kw = 0.0
        self._hours_left = 0.0
        self._enter(mode)

    def step(self, at_ms: int, seconds: float) -> PairReading:
        """Advances by `seconds` up to the time `at_ms` and returns what was measured in between."""
        hours = seconds / 3600.0
        mode = self.mode
        kwh_ac, kwh_dc, battery_kwh = self._flow(hours)
        self.soc = soc_after(self.soc, battery_kwh, self.battery)
        hour_of_day = at_ms % (24 * _MS_PER_HOUR) / _MS_PER_HOUR
        self._temperature = temperature_after(
            self._temperature,
            ambient_temperature(hour_of_day) + self._site_degrees,
            abs(battery_kwh) / hours,
            self.battery,
            hours,
        )
        load = kwh_ac / hours / self.charger.rated_kw
        voltage = mains_voltage(hour_of_day, load) + self._site_volts + self._rng.gauss(0.0, 0.5)
        return PairReading(
            at_ms=at_ms,
            mode=mode,
            kwh_ac=kwh_ac,
            voltage=voltage,
            soc=self.soc,
            kwh_dc=kwh_dc,
            battery_temp=self._temperature,
        )

    def _flow(self, hours: float) -> tuple[float, float, float]:
        """Energy of a step: AC at the meter, DC at the plug, and what the battery gained (negative while driving)."""
        if self.mode is Mode.CHARGING:
            step = charge(self.charger, self.battery, self.soc, hours)
            if step.finished:
                self._enter(Mode.PLUGGED)
            return step.kwh_ac or self.charger.standby_kw * hours, step.kwh_dc, step.kwh_dc
        standby_kwh = self.charger.standby_kw * hours
        self._hours_left -= hours
        if self.mode is Mode.PLUGGED:
            if self._hours_left <= 0.0:
                self._enter(Mode.DRIVING)
            return standby_kwh, 0.0, 0.0
        spare_kwh = max(0.0, self.soc - RESERVE_SOC) / 100.0 * self.battery.capacity_kwh
        used_kwh = min(self._driving_kw * hours, spare_kwh)
        if self._hours_left <= 0.0 or used_kwh == spare_kwh:
            self._enter(Mode.CHARGING)
        return standby_kwh, 0.0, -used_kwh

    def _enter(self, mode: Mode) -> None:
        self.mode = mode
        if mode is Mode.PLUGGED:
            self._hours_left = 0.2 + self._rng.expovariate(1 / 2.5)
        elif mode is Mode.DRIVING:
            self._hours_left = self._rng.uniform(0.3, 2.5)
            self._driving_kw = self._rng.uniform(6.0, 16.0)
