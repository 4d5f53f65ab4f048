"""A charge point with its charger, and the meter that measures it, alone or with others of a feeder."""

import math

from joulegate_simulator.physics.charger import (
    DEGRADED_LINEAR_LOSS,
    HEALTHY_LINEAR_LOSS,
    LARGEST_AC_KW,
    STANDBY_KW,
    Charger,
)
from joulegate_simulator.physics.surroundings import NOISE_VOLTS, mains_voltage
from joulegate_simulator.randomness import stream

_TRIANGLE = NOISE_VOLTS * math.sqrt(6.0)
"""The sum of two numbers from [0, 1) has a variance of 1/6."""


class Meter:
    """Measures the AC of one charge point or of a feeder.

    Attributes:
        place: the id under which it publishes, and every vehicle that is plugged in behind it.
        kwh: true energy of the last step; volts: of the last step.
    """

    def __init__(self, number: int, place: str, seed: int) -> None:
        self.number = number
        self.meter_id = f"m-{number:05d}"
        self.place = place
        self.rated_kw = 0.0
        self.kwh = 0.0
        self.volts = 0.0
        rng = stream(seed, "meter", number)
        self._site_volts = rng.gauss(0.0, 2.0)
        self._draw = rng.random

    def begin(self) -> None:
        """A new step: nothing measured yet."""
        self.kwh = 0.0

    def end(self, hour_of_day: float, hours: float) -> None:
        """The step is over: its voltage."""
        load = self.kwh / hours / self.rated_kw
        noise = _TRIANGLE * (self._draw() + self._draw() - 1.0)  # a fifth of the time of a normal distribution
        self.volts = mains_voltage(hour_of_day, load) + self._site_volts + noise


class ChargePoint:
    """A charger behind a meter. `degraded`: whether it wastes energy now, by the extra loss that is its own."""

    def __init__(self, number: int, rated_kw: float, meter: Meter, seed: int) -> None:
        rng = stream(seed, "charge point", number)
        self.number = number
        self.meter = meter
        self.charger = Charger(
            rated_kw=rated_kw,
            standby_kw=rng.uniform(*STANDBY_KW["ac" if rated_kw <= LARGEST_AC_KW else "dc"]),
            linear_loss=rng.uniform(*HEALTHY_LINEAR_LOSS),
        )
        self._loss_when_degraded = rng.uniform(*DEGRADED_LINEAR_LOSS)
        self.degraded = False
        self.taken = False
        meter.rated_kw += rated_kw

    @property
    def extra_loss(self) -> float:
        """Linear loss that its fault adds."""
        return self._loss_when_degraded if self.degraded else 0.0
