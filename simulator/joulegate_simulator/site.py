"""A site: charge points whose meters and vehicles belong together, and the unit of simulation. Sites do not touch each other."""

import random
from collections.abc import Sequence

from joulegate_simulator.charge_point import ChargePoint, Meter
from joulegate_simulator.physics.surroundings import ambient_temperature
from joulegate_simulator.scenario import Weather
from joulegate_simulator.vehicle import Mode, Vehicle

_MS_PER_HOUR = 3_600_000


class Site:
    """After each `step` meters and vehicles hold what was true in it. `powered` is False in an outage of the grid."""

    def __init__(
        self,
        number: int,
        *,
        points: Sequence[ChargePoint],
        meters: Sequence[Meter],
        vehicles: Sequence[Vehicle],
        weather: Weather,
        rng: random.Random,
    ) -> None:
        self.number = number
        self.points = points
        self.meters = meters
        self.vehicles = vehicles
        self.powered = True
        self._weather = weather
        self._rng = rng
        self._degrees = rng.gauss(0.0, 2.0)
        for vehicle in vehicles:
            vehicle.temperature = weather.mean_c + self._degrees

    def step(self, at_ms: int, seconds: float) -> None:
        """Advances by `seconds` up to the time `at_ms` (milliseconds since 1970, UTC)."""
        hours = seconds / 3600.0
        hour_of_day = at_ms % (24 * _MS_PER_HOUR) / _MS_PER_HOUR
        ambient = ambient_temperature(hour_of_day, self._weather.mean_c, self._weather.swing_c) + self._degrees
        for meter in self.meters:
            meter.begin()
        if self.powered:
            self._stand_by(hours)
        for vehicle in self.vehicles:
            vehicle.step(at_ms, hours, ambient, powered=self.powered)
            if vehicle.mode is Mode.WAITING:
                self.place(vehicle, at_ms)
        for meter in self.meters:
            meter.end(hour_of_day, hours)

    def _stand_by(self, hours: float) -> None:
        for point in self.points:
            if not point.taken:
                point.meter.kwh += point.charger.standby_kw * hours

    def place(self, vehicle: Vehicle, at_ms: int) -> None:
        """Plugs a vehicle in that has arrived: at its own charge point, or at any free one; else it waits."""
        if vehicle.home is not None:
            vehicle.plug_in(vehicle.home, at_ms)
            return
        free = [point for point in self.points if not point.taken]
        if free:
            vehicle.plug_in(self._rng.choice(free), at_ms)
