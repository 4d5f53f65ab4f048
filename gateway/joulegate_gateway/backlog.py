"""The backlog: whether what waited at the broker is being drained, and to which measured time that has come.

Buckets are not closed under it. A reading of a closed bucket is late: it costs a mark, and the bucket is computed anew, again and again
while its readings come in (docs/performance.md, "After an outage"). A simulator that backfills days is such a backlog too.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime

import msgspec

from joulegate_core.telemetry import Rejection
from joulegate_db.rollups import CLOSE_AFTER
from joulegate_db.windows import bucket_of
from joulegate_gateway.inbox import Delivery

WINDOW_SECONDS = 10.0
"""What was committed within so long is looked at together; a transaction takes less. Publishers of one fleet are not further apart."""

MANY = 200
"""Fewer readings than this in a window are no load, whatever their times: the late ones of a few devices."""

RESUMED_SECONDS = 3.0
"""Within so long a resumed session's first messages are committed, if any wait."""

UNKNOWN_SECONDS = 30.0
"""So long after the start the wait for the broker does not keep buckets from being closed."""

MAX_HOLD_SECONDS = 3600.0
"""A backlog that comes no further for longer does not keep them open: what answers read from open buckets grows meanwhile."""


class _Committed(msgspec.Struct, frozen=True):
    """A batch: when it was committed (monotonic seconds), its size, and the newest of its first, its middle and its last reading."""

    at: float
    count: int
    newest: datetime


class _Held(msgspec.Struct, frozen=True):
    """The first bucket that is kept open, since when (monotonic seconds)."""

    bucket: datetime
    since: float


class Backlog:
    """Told of every connection and of every committed batch."""

    def __init__(self) -> None:
        self._window: deque[_Committed] = deque()
        self._held: _Held | None = None
        self._known = asyncio.Event()

    def connected(self, *, session_present: bool) -> None:
        """The broker resumed our session, in which messages may wait, or began a new one, in which none do."""
        if session_present:
            asyncio.get_running_loop().call_later(RESUMED_SECONDS, self._known.set)
        else:
            self._known.set()

    def committed(self, batch: Sequence[Delivery]) -> None:
        """`batch` is committed."""
        contents = [batch[index].message.content for index in (0, len(batch) // 2, -1)]
        times = [content.ts for content in contents if not isinstance(content, Rejection)]
        if times:
            self._window.append(_Committed(time.monotonic(), len(batch), max(times)))
            self._forget()

    async def known(self) -> None:
        """Returns when it is known whether there is a backlog, or when the broker has not told for long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(UNKNOWN_SECONDS):
                await self._known.wait()

    def closing_time(self, now: datetime) -> datetime:
        """`now`, or the earlier time to which a backlog had come a window ago: the time by which buckets are closed.

        A window ago, because not all parts of it come equally fast: what is behind the newest by so long is not late yet.
        """
        self._forget()
        recently = time.monotonic() - WINDOW_SECONDS
        recent = [one for one in self._window if one.at >= recently] or list(self._window)  # it may falter for a window
        reached = max((one.newest for one in recent), default=now)
        if reached > now - CLOSE_AFTER or sum(one.count for one in recent) < MANY:
            self._held = None
            return now
        before = (one.newest for one in self._window if one.at < recently)
        return self._hold(min(reached, max(before, default=min(one.newest for one in recent))), now)

    def _hold(self, until: datetime, now: datetime) -> datetime:
        """`until`; `now` when that has been in the same bucket for too long."""
        if self._held is None or bucket_of(until) > self._held.bucket:
            self._held = _Held(bucket_of(until), time.monotonic())
        return now if time.monotonic() - self._held.since > MAX_HOLD_SECONDS else until

    def _forget(self) -> None:
        oldest = time.monotonic() - 2 * WINDOW_SECONDS
        while self._window and self._window[0].at < oldest:
            self._window.popleft()
