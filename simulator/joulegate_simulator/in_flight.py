"""The QoS 1 publications that the broker has not acknowledged yet, with the packet ids they travel under."""

from collections import deque

import mqtt5

MAX_PACKET_ID = 65_535
"""MQTT 5, 2.2.1: a packet id is 16 bits and never 0; so many publications can wait for a PUBACK at most."""


Publication = tuple[str, bytes]
"""Topic and payload, as they were handed to `Publisher.publish`."""

_AT_LEAST_ONCE = mqtt5.QoS.AT_LEAST_ONCE


def encode(topic: str, payload: bytes, packet_id: int, *, duplicate: bool = False) -> bytes:
    """A QoS 1 PUBLISH; ValueError for a topic that is not a valid MQTT string."""
    return mqtt5.PublishPacket(topic, payload, qos=_AT_LEAST_ONCE, packet_id=packet_id, duplicate=duplicate).write()


class InFlight:
    """Unacknowledged publications in the order of publishing, kept until their PUBACK so that they can be sent again.

    Attributes:
        waiting: by packet id.
        resend: the ids of those that were not sent on the current connection yet; they go before anything new (MQTT 5, 4.6).
    """

    def __init__(self) -> None:
        self.waiting: dict[int, Publication] = {}
        self.resend: deque[int] = deque()
        self._last_id = 0

    @property
    def outstanding(self) -> int:
        """How many of them were sent on the current connection: what the broker's Receive Maximum counts."""
        return len(self.waiting) - len(self.resend)

    def free_id(self) -> int:
        """The next packet id that is not in use; fewer than `MAX_PACKET_ID` may be waiting."""
        packet_id = self._last_id % MAX_PACKET_ID + 1
        while packet_id in self.waiting:
            packet_id = packet_id % MAX_PACKET_ID + 1
        return packet_id

    def add(self, packet_id: int, publication: Publication) -> None:
        """Takes a publication that is being sent under `packet_id`, which `free_id` gave."""
        self._last_id = packet_id
        self.waiting[packet_id] = publication

    def settle(self, packet_id: int) -> Publication | None:
        """Forgets the publication that was acknowledged and returns it; None for an id that is not waiting."""
        return self.waiting.pop(packet_id, None)

    def start_again(self) -> None:
        """A new connection: everything unacknowledged is to be sent again, in its first order and under its id."""
        self.resend = deque(self.waiting)

    def next_resend(self) -> tuple[int, Publication]:
        """The next one to send again; call it only while there are some to `resend`."""
        packet_id = self.resend.popleft()
        return packet_id, self.waiting[packet_id]
