"""Half-open windows of time, and the 15-minute UTC buckets that they touch."""

from datetime import datetime, timedelta

import msgspec

from joulegate_db.presence import BUCKET, EPOCH


class Window(msgspec.Struct, frozen=True):
    """The times from `start` to before `end`, aware, in UTC."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """The distance of the two edges."""
        return self.end - self.start

    def in_whole_buckets(self) -> "Window":
        """The window widened to the edges of the buckets that it touches."""
        return Window(bucket_of(self.start), -((EPOCH - self.end) // BUCKET) * BUCKET + EPOCH)

    def cut(self, start: datetime, end: datetime) -> "Window | None":
        """What [start, end) has in common with the window; None when that is nothing."""
        both = Window(max(self.start, start), min(self.end, end))
        return both if both.start < both.end else None


def bucket_of(ts: datetime) -> datetime:
    """The beginning of the bucket that `ts` is in."""
    return EPOCH + (ts - EPOCH) // BUCKET * BUCKET
