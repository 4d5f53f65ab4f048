"""What became of the messages that were handed to a publisher."""

from collections.abc import Iterable

import msgspec


class PublisherCounts(msgspec.Struct, frozen=True):
    """`published` were handed over. Of those at QoS 1, `acknowledged` got a PUBACK, `refused` a negative one (one such
    reason in `refusal`) and `pending` none yet. `resent` counts the repetitions after `reconnects` new connections.
    """

    published: int = 0
    acknowledged: int = 0
    refused: int = 0
    pending: int = 0
    resent: int = 0
    reconnects: int = 0
    refusal: str | None = None

    @classmethod
    def total(cls, parts: Iterable["PublisherCounts"]) -> "PublisherCounts":
        """The sums, with one of the refusals."""
        published = acknowledged = refused = pending = resent = reconnects = 0
        refusal: str | None = None
        for part in parts:
            published += part.published
            acknowledged += part.acknowledged
            refused += part.refused
            pending += part.pending
            resent += part.resent
            reconnects += part.reconnects
            refusal = refusal or part.refusal
        return cls(published, acknowledged, refused, pending, resent, reconnects, refusal)
