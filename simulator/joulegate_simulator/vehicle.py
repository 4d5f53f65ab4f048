"""A vehicle: charges, stands, drives away and comes back."""

import random
from enum import StrEnum

from joulegate_simulator.charge_point import ChargePoint
from joulegate_simulator.physics.battery import Battery, heat_share, soc_after, temperature_after
from joulegate_simulator.physics.charging import charge
from joulegate_simulator.timetable import Timetable

RESERVE_SOC = 10.0
"""A driver turns home at this charge; with a timetable he waits there for his time."""


class Mode(StrEnum):
    """What the vehicle does."""

    CHARGING = "charging"
    PLUGGED = "plugged"  # at a charge point, charged
    DRIVING = "driving"
    WAITING = "waiting"  # back, and no charge point is free


class Vehicle:
    """Its random numbers are its own: what it does depends on nothing but its seed, and at a shared site on who else is there.

    Attributes:
        home: its own charge point, None where vehicles take any.
        point: the charge point it is plugged in at, None on the road; at: the same, during the last step.
        kwh_ac, kwh_dc: true energy of the last step, at the charger's grid side and at the plug; zero when it did not charge.
        kwh_stored, kwh_heat: what became of the DC; while driving `kwh_stored` is negative.
    """

    def __init__(
        self,
        number: int,
        *,
        battery: Battery,
        soc: float,
        timetable: Timetable,
        rng: random.Random,
        home: ChargePoint | None,
    ) -> None:
        self.number = number
        self.vehicle_id = f"v-{number:05d}"
        self.battery = battery
        self.soc = soc
        self.home = home
        self.point: ChargePoint | None = None
        self.at: ChargePoint | None = None
        self.mode = Mode.WAITING
        self.temperature = 12.0
        self.kwh_ac = self.kwh_dc = self.kwh_stored = self.kwh_heat = 0.0
        self._timetable = timetable
        self._rng = rng
        self._until_ms = 0
        self._drive_kw = 0.0

    @property
    def place(self) -> str:
        """The id under which it publishes its last step: where it was plugged in or lives; from the road, without a home, its own."""
        point = self.at or self.home
        return self.vehicle_id if point is None else point.meter.place

    def plug_in(self, point: ChargePoint, at_ms: int) -> None:
        """Takes the charge point; it charges from the next step on."""
        self.point = point
        point.taken = True
        self.mode = Mode.CHARGING
        self._until_ms = self._timetable.departure(at_ms, self._rng)

    def rest(self, at_ms: int) -> None:
        """Stands charged at its charge point."""
        self.mode = Mode.PLUGGED
        self._until_ms = self._timetable.departure_charged(at_ms, self._until_ms, self._rng)

    def drive(self, at_ms: int) -> None:
        """Leaves its charge point."""
        if self.point is not None:
            self.point.taken = False
            self.point = None
        self.mode = Mode.DRIVING
        self._until_ms = self._timetable.arrival(at_ms, self._rng)
        self._drive_kw = self._timetable.drive_kw(self._rng)

    def step(self, at_ms: int, hours: float, ambient: float, *, powered: bool) -> None:
        """Advances to the time `at_ms`, and adds what was drawn to the meter of its charge point."""
        self.kwh_ac = self.kwh_dc = self.kwh_stored = self.kwh_heat = 0.0
        self.at = self.point
        if self.mode is Mode.DRIVING:
            self._step_on_the_road(at_ms, hours)
        elif self.point is not None:
            self._step_plugged(self.point, at_ms, hours, ambient, powered=powered)
        self.temperature = temperature_after(self.temperature, ambient, self.kwh_heat / hours, self.battery, hours)

    def _step_plugged(self, point: ChargePoint, at_ms: int, hours: float, ambient: float, *, powered: bool) -> None:
        if powered:
            self.kwh_ac = point.charger.standby_kw * hours
            if self.mode is Mode.CHARGING:
                self._charge(point, at_ms, hours, ambient)
            point.meter.kwh += self.kwh_ac
        if at_ms >= self._until_ms > 0:
            self.drive(at_ms)

    def _charge(self, point: ChargePoint, at_ms: int, hours: float, ambient: float) -> None:
        flow = charge(
            point.charger, self.battery, self.soc, self.temperature, ambient, hours, extra_loss=point.extra_loss
        )
        if flow.ac > 0.0:
            self.kwh_ac, self.kwh_dc, self.kwh_stored, self.kwh_heat = flow.ac, flow.dc, flow.stored, flow.heat
            self.soc = soc_after(self.soc, flow.stored, self.battery)
        if flow.finished:
            self.rest(at_ms)

    def _step_on_the_road(self, at_ms: int, hours: float) -> None:
        spare_kwh = max(0.0, self.soc - RESERVE_SOC) / 100.0 * self.battery.capacity_kwh
        used_kwh = min(self._drive_kw * hours, spare_kwh)
        self.kwh_stored = -used_kwh
        self.kwh_heat = used_kwh * heat_share(self.battery, used_kwh / hours, self.temperature)
        self.soc = soc_after(self.soc, -used_kwh, self.battery)
        turns_home = used_kwh == spare_kwh and not self._timetable.fixed
        if at_ms >= self._until_ms or turns_home:
            self.mode = Mode.WAITING
