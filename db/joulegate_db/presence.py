"""Presence: which devices reported at a charge point in a 15-minute bucket.

A device reports fifteen times a bucket; the cache keeps fourteen of the inserts from the database.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from joulegate_core.telemetry import Message, Rejection, Stream
from joulegate_db.sql import query

BUCKET_SECONDS = 900
BUCKET = timedelta(seconds=BUCKET_SECONDS)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_CACHED_DEVICES = 1_000_000
"""About 200 bytes each; beyond it the cache starts again, which costs inserts that change nothing."""

Mark = tuple[str, datetime, Stream, str]
"""Charge point, start of the bucket, kind, device: the primary key's order."""

_COLUMNS = ("charge_point", "bucket", "kind", "device")


class PresenceCache:
    """Remembers the last committed mark of each device. A cache: correctness rests on insert-or-ignore."""

    def __init__(self) -> None:
        self._last: dict[tuple[Stream, str], Mark] = {}

    def unmarked(self, messages: Sequence[Message], *, without: Iterable[Message]) -> list[Mark]:
        """The marks of accepted readings that are not remembered. `without`: conflicts among `messages`."""
        excluded = {(m.topic, m.payload) for m in without}
        marks: set[Mark] = set()
        start = end = EPOCH  # of the last mark's bucket, which most share
        for message in messages:
            content: Any = message.content
            if type(content) is Rejection or (excluded and (message.topic, message.payload) in excluded):
                continue
            last = self._last.get((message.stream, content.device))
            ts = content.ts
            if last is None or not last[1] <= ts < last[1] + BUCKET or last[0] != content.charge_point:
                if not start <= ts < end:
                    start = ts - (ts - EPOCH) % BUCKET
                    end = start + BUCKET
                marks.add((content.charge_point, start, message.stream, content.device))
        return list(marks)

    async def insert(self, connection: asyncpg.Connection, marks: list[Mark]) -> None:
        """Inserts `marks`, ignoring those that exist. COPY: an array's elements cost asyncpg three times as much."""
        if marks:
            await connection.copy_records_to_table("stage_presence", records=marks, columns=_COLUMNS)
            await connection.execute(query("insert_presence"))

    def remember(self, marks: list[Mark]) -> None:
        """To be called once the marks are committed."""
        if len(self._last) > MAX_CACHED_DEVICES:
            self._last.clear()
        for mark in marks:
            self._last[mark[2], mark[3]] = mark
