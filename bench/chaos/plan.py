"""The numbered readings: reading n is a function of n, so what must be found in the database can be worked out again."""

from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

STEP = timedelta(milliseconds=500)
"""Between two readings of a device: two minutes under load stay inside the clock window."""

BAD_EVERY = 97
"""One reading in so many is out of range, and belongs in quarantine."""

TWICE_EVERY = 53
"""One reading in so many is published twice, as a device does that did not see its PUBACK."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Row(msgspec.Struct, frozen=True):
    """A reading as history must hold it. `extra`: volts of a meter, state of charge of a vehicle."""

    device: str
    charge_point: str
    ts: datetime
    kwh: float
    extra: float


class Reading(msgspec.Struct, frozen=True):
    """Reading `number`: how it is published, and what must become of it. `row` is None when it belongs in quarantine."""

    number: int
    stream: Literal["meter", "vehicle"]
    topic: str
    payload: bytes
    row: Row | None


class Plan(msgspec.Struct, frozen=True):
    """All readings of a run.

    Attributes:
        start: when the first one was measured, UTC, whole milliseconds.
        devices: half meters, half vehicles, one of each at a charge point.
    """

    start: datetime
    devices: int

    @classmethod
    def from_now(cls, devices: int) -> "Plan":
        """A plan whose readings begin a quarter of an hour ago: some arrive late, none too old."""
        now = datetime.now(UTC) - timedelta(minutes=15)
        return cls(now - timedelta(microseconds=now.microsecond % 1000), devices)

    def reading(self, number: int) -> Reading:
        """Reading `number`. Its number is its energy, and a field of the payload that the gateway ignores."""
        device, step = number % self.devices, number // self.devices
        point = f"cp-{device // 2}"
        ts = self.start + step * STEP + timedelta(milliseconds=device % 7)
        millis = (ts - EPOCH) // timedelta(milliseconds=1)
        is_bad = number % BAD_EVERY == BAD_EVERY - 1
        if device % 2 == 0:
            name, volts = f"m-{device // 2}", 9999 if is_bad else 220 + number % 20
            text = (
                f'{{"meterId":"{name}","kwhConsumedAc":{number},"voltage":{volts},"timestamp":{millis},"n":{number}}}'
            )
            row = None if is_bad else Row(name, point, ts, float(number), float(volts))
            return Reading(number, "meter", f"fleet/{point}/meter", text.encode(), row)
        name, soc = f"v-{device // 2}", 101 if is_bad else number % 100
        text = (
            f'{{"vehicleId":"{name}","soc":{soc},"kwhDeliveredDc":{number},"batteryTemp":25,'
            f'"timestamp":{millis},"n":{number}}}'
        )
        row = None if is_bad else Row(name, point, ts, float(number), float(soc))
        return Reading(number, "vehicle", f"fleet/{point}/vehicle", text.encode(), row)


def number_of(payload: bytes) -> int:
    """The number of a published reading."""
    return int(payload[payload.rindex(b":") + 1 : -1])
