"""What became of the messages that were handed to a publisher."""

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

    def __add__(self, other: "PublisherCounts") -> "PublisherCounts":
        return PublisherCounts(
            published=self.published + other.published,
            acknowledged=self.acknowledged + other.acknowledged,
            refused=self.refused + other.refused,
            pending=self.pending + other.pending,
            resent=self.resent + other.resent,
            reconnects=self.reconnects + other.reconnects,
            refusal=self.refusal or other.refusal,
        )
