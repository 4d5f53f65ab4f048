"""Presence: which devices reported at a charge point in a 15-minute bucket.

A device reports fifteen times a bucket; the cache keeps fourteen of the inserts from the database.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg

from joulegate_core.telemetry import Message, Rejection, Stream
from joulegate_db.sql import query

BUCKET_SECONDS = 900
MAX_CACHED_DEVICES = 1_000_000
"""About 200 bytes each; beyond it the cache starts again, which costs inserts that change nothing."""

Mark = tuple[str, int, Stream, str]
"""Charge point, number of the bucket since 1970, kind, device: the primary key's order."""


class PresenceCache:
    """Remembers the last committed mark of each device. A cache: correctness rests on insert-or-ignore."""

    def __init__(self) -> None:
        self._last: dict[tuple[Stream, str], Mark] = {}

    def unmarked(self, messages: Sequence[Message], *, without: Iterable[Message]) -> list[Mark]:
        """The marks of accepted readings that are not remembered, sorted. `without`: conflicts among `messages`."""
        excluded = {(m.topic, m.payload) for m in without}
        marks: set[Mark] = set()
        for message in messages:
            content: Any = message.content
            if type(content) is Rejection or (excluded and (message.topic, message.payload) in excluded):
                continue
            mark = (content.charge_point, int(content.ts.timestamp()) // BUCKET_SECONDS, message.stream, content.device)
            if self._last.get((message.stream, content.device)) != mark:
                marks.add(mark)
        return sorted(marks)

    async def insert(self, connection: asyncpg.Connection, marks: list[Mark]) -> None:
        """Inserts `marks`, ignoring those that exist."""
        if marks:
            charge_points, buckets, kinds, devices = zip(*marks, strict=True)
            starts = [datetime.fromtimestamp(bucket * BUCKET_SECONDS, UTC) for bucket in buckets]
            await connection.execute(query("insert_presence"), charge_points, starts, kinds, devices)

    def remember(self, marks: list[Mark]) -> None:
        """To be called once the marks are committed."""
        if len(self._last) > MAX_CACHED_DEVICES:
            self._last.clear()
        for mark in marks:
            self._last[mark[2], mark[3]] = mark
