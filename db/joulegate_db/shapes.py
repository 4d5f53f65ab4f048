"""The shape of a device's energy over time: a coarse one in 15-minute buckets, a fine one in minutes. Slots count from the window's start.

Both hold energy *per reading*, which is the energy of one minute: a missing reading then changes nothing, and two readings whose times
happen to fall into one minute are not taken for a double one. Arrays and bit masks, because there are twenty thousand of them.
"""

from array import array
from itertools import pairwise

import msgspec

from joulegate_core.telemetry import READING_INTERVAL_SECONDS

IDLE_KW = 0.2
"""Less than any vehicle charges with, and more than a charger draws in standby: below it nothing charges."""

IDLE_KWH = IDLE_KW * READING_INTERVAL_SECONDS / 3600

UNKNOWN = -1.0
"""A slot without a reading. No energy is negative."""

LONGEST_PAUSE = 10
"""Minutes: a longer pause ends a session."""

Place = tuple[str, str]
"""A charge point, and for a meter the vehicle that it is linked to there (empty: none)."""


class Shape(msgspec.Struct, frozen=True):
    """A device's coarse shape.

    `means`: kWh per reading of every bucket, 0 when idle; `charging`: the buckets in which it is above 0; `places`: where the
    device reported, in which buckets, bit by bit.
    """

    device: str
    means: "array[float]"
    charging: tuple[int, ...]
    places: dict[Place, int]

    @property
    def charging_mask(self) -> int:
        """The charging buckets bit by bit."""
        return sum(1 << bucket for bucket in self.charging)

    def starts(self) -> list[int]:
        """The first buckets of charging, where an idle one is known to lie before."""
        return [bucket for bucket in self.charging if bucket and self.means[bucket - 1] == 0]

    def stops(self) -> list[int]:
        """The last buckets of charging, where an idle one is known to lie behind."""
        last = len(self.means) - 1
        return [bucket for bucket in self.charging if bucket < last and self.means[bucket + 1] == 0]


class Minutes(msgspec.Struct, frozen=True):
    """A device's fine shape: `kwh` of every minute, 0 when idle, and the minutes in which it is above 0, in order."""

    kwh: "array[float]"
    charging: "array[int]"

    @classmethod
    def of(cls, readings: dict[int, list[float]], length: int) -> "Minutes":
        """From the energies of the readings of each minute, for a window of `length` minutes."""
        kwh = array("d", [UNKNOWN]) * length
        for minute, values in readings.items():
            kwh[minute] = unless_idle(sum(values) / len(values))
        return cls(kwh, array("l", (minute for minute, value in enumerate(kwh) if value > 0)))

    def sessions(self) -> int:
        """How many times it charged."""
        return bool(self.charging) + sum(later - minute > LONGEST_PAUSE for minute, later in pairwise(self.charging))


class ShapeSums:
    """Sums of one device by place and bucket, from which its shape is made. `length`: buckets in the window."""

    def __init__(self, device: str, length: int) -> None:
        self._device = device
        self._kwh = array("d", [0.0]) * length
        self._readings = array("l", [0]) * length
        self._places: dict[Place, int] = {}

    def add(self, place: Place, bucket: int, kwh: float, readings: int) -> None:
        """Adds `readings` with `kwh` in all."""
        self._kwh[bucket] += kwh
        self._readings[bucket] += readings
        self._places[place] = self._places.get(place, 0) | 1 << bucket

    def shape(self) -> Shape:
        """The shape that they add up to."""
        sums = zip(self._kwh, self._readings, strict=True)
        means = array("d", (unless_idle(kwh / readings) if readings else UNKNOWN for kwh, readings in sums))
        charging = tuple(bucket for bucket, mean in enumerate(means) if mean > 0)
        return Shape(self._device, means, charging, self._places)


def unless_idle(kwh: float) -> float:
    """The energy of a minute, 0 for what is only standby."""
    return kwh if kwh > IDLE_KWH else 0.0
