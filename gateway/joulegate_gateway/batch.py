"""A batch on its way into the database: what of it is still to be written, in which transactions, and how the rest was settled.

A backlog's batch is written in two transactions at the same time, one a stream, each by a writer of its own: no row belongs to both
streams, so neither waits for the other, and what one is refused does not hold the other up (docs/adr/0009-two-transactions.md).
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

import msgspec

from joulegate_core.telemetry import Message, Stream
from joulegate_db.writer import OPTIMISTIC_FROM, StreamTally, Tally
from joulegate_gateway.inbox import Delivery

PARALLEL_FROM = 2 * OPTIMISTIC_FROM
"""From so many messages on a second transaction costs less than it saves."""


class Part(msgspec.Struct, frozen=True):
    """What one transaction is to write: all that is left of `streams`."""

    streams: tuple[Stream, ...]
    messages: list[Message]


class Batch:
    """The messages of `deliveries`, without those of the streams that are already `through`.

    Attributes:
        through: the streams of which nothing is left.
        tally: how what was written was settled.
    """

    def __init__(self, deliveries: Iterable[Delivery], through: AbstractSet[Stream] = frozenset()) -> None:
        messages = [delivery.message for delivery in deliveries]
        self._left = {
            stream: [message for message in messages if message.stream is stream]
            for stream in Stream
            if stream not in through
        }
        self.through = frozenset(stream for stream in Stream if not self._left.get(stream))
        self.tally: Tally = {stream: StreamTally() for stream in Stream}

    @property
    def writers(self) -> int:
        """How many writers can be of use now: one for each stream when much is left."""
        left = [len(messages) for stream, messages in self._left.items() if stream not in self.through]
        return len(left) if sum(left) >= PARALLEL_FROM else min(1, len(left))

    def parts(self, writers: int) -> list[Part]:
        """What is left, as so many `writers` are to write it."""
        streams = [stream for stream in Stream if stream not in self.through]
        if writers >= len(streams):
            return [Part((stream,), self._left[stream]) for stream in streams]
        return [Part(tuple(streams), [message for stream in streams for message in self._left[stream]])]

    def written(self, part: Part, tally: Tally) -> None:
        """`part` is committed."""
        self.through = self.through.union(part.streams)
        for stream in part.streams:
            self.tally[stream] = tally[stream]
