"""When a fleet publishes: evenly, one device after the other, round by round. Known beforehand, so that delays can be told from it."""

from datetime import UTC, datetime

import msgspec

from joulegate_cli.bench.messages import message


class Schedule(msgspec.Struct, frozen=True):
    """`count` readings from `start` (epoch seconds) on, at `rate` a second, of `devices` devices in turn.

    A reading's timestamp is the millisecond at which it is due, whenever it is really published: a publisher that
    falls behind makes the delays longer and does not hide them. `as_text`: it is published as RFC 3339, not as a number.
    """

    broker_url: str
    start: float
    rate: float
    devices: int
    count: int
    as_text: bool = False

    def due(self, index: int) -> int:
        """When the reading is due, epoch milliseconds."""
        return int((self.start + index / self.rate) * 1000)

    def slot(self, index: int) -> int:
        """Which device's reading it is; even slots are meters."""
        return index % self.devices

    def due_before(self, now: float) -> int:
        """How many readings are due before `now`, epoch seconds."""
        return max(0, min(self.count, int((now - self.start) * self.rate)))

    def message(self, index: int) -> tuple[str, bytes]:
        """Topic and payload."""
        due = self.due(index)
        text = (
            f'"{datetime.fromtimestamp(due / 1000, UTC):%Y-%m-%dT%H:%M:%S}.{due % 1000:03d}Z"'
            if self.as_text
            else str(due)
        )
        return message(self.slot(index), index // self.devices, text)
