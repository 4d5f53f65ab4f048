"""The QoS 1 publications that the broker has not acknowledged yet, with the packet ids they travel under."""

from collections import deque
from typing import NamedTuple

import mqtt5

MAX_PACKET_ID = 65_535
"""MQTT 5, 2.2.1: a packet id is 16 bits and never 0; so many publications can wait for a PUBACK at most."""


class Publication(NamedTuple):
    """A message as it was handed to `Publisher.publish`."""

    topic: str
    payload: bytes

    def packet(self, packet_id: int, *, duplicate: bool = False) -> bytes:
        """The encoded QoS 1 PUBLISH; ValueError for a topic that is not a valid MQTT string."""
        return mqtt5.PublishPacket(
            self.topic, self.payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=packet_id, duplicate=duplicate
        ).write()


class InFlight:
    """Unacknowledged publications in the order of publishing, kept until their PUBACK so that they can be sent again."""

    def __init__(self) -> None:
        self._waiting: dict[int, Publication] = {}
        self._resend: deque[int] = deque()
        self._last_id = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def outstanding(self) -> int:
        """How many of them were sent on the current connection: what the broker's Receive Maximum counts."""
        return len(self._waiting) - len(self._resend)

    @property
    def resending(self) -> bool:
        """Whether some were not sent on the current connection yet; they go before anything new (MQTT 5, 4.6)."""
        return bool(self._resend)

    def free_id(self) -> int:
        """The next packet id that is not in use; fewer than `MAX_PACKET_ID` may be waiting."""
        packet_id = self._last_id % MAX_PACKET_ID + 1
        while packet_id in self._waiting:
            packet_id = packet_id % MAX_PACKET_ID + 1
        return packet_id

    def add(self, packet_id: int, publication: Publication) -> None:
        """Takes a publication that is being sent under `packet_id`, which `free_id` gave."""
        self._last_id = packet_id
        self._waiting[packet_id] = publication

    def settle(self, packet_id: int) -> Publication | None:
        """Forgets the publication that was acknowledged and returns it; None for an id that is not waiting."""
        return self._waiting.pop(packet_id, None)

    def start_again(self) -> None:
        """A new connection: everything unacknowledged is to be sent again, in its first order and under its id."""
        self._resend = deque(self._waiting)

    def next_resend(self) -> tuple[int, Publication]:
        """The next one to send again; call it only while `resending`."""
        packet_id = self._resend.popleft()
        return packet_id, self._waiting[packet_id]
