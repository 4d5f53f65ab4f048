"""Quarantine: what could not be accepted is kept, with the reason, up to a cap for each reason; beyond it, it is counted.

Every message is in a row's count or among the totals' overflowed.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import asyncpg
import msgspec

from joulegate_core.telemetry import Message, Rejection, Stream
from joulegate_db.sql import query

DEFAULT_MAX_BYTES = 512_000_000
"""For each reason, so that a flood of one kind takes no room from the others."""

ROW_BYTES = 400
"""What a row takes beyond its topic, payload and detail: header, times, digest, an entry in each of two indexes, and the room to count up.

Measured with `pg_total_relation_size`: 286 to 397 bytes under payloads of up to 200. Larger ones leave parts of pages unused:
with this constant, payloads of 1 to 5 KB take up to 1.9 times what is counted, larger ones 1.05 times.
"""

Overflow = Counter[tuple[Stream, str]]
"""Messages that were counted and not kept, by stream and reason."""


class Quarantined(msgspec.Struct, frozen=True):
    """A row: a message that could not be accepted, and why. `payload`: its beginning."""

    id: int
    reason: str
    detail: str
    topic: str
    payload: bytes
    payload_truncated: bool
    count: int
    first_seen: datetime
    last_seen: datetime


class ReasonTotal(msgspec.Struct, frozen=True):
    """What quarantine keeps of a reason: `rows` for `messages`; `overflowed` were only counted."""

    reason: str
    rows: int
    messages: int
    overflowed: int


class _Entry(msgspec.Struct):
    """One content, however often it came: `message` as it came first."""

    message: Message
    rejection: Rejection
    count: int = 1

    @property
    def size(self) -> int:
        """Bytes on disk, about."""
        texts = len(self.message.topic.encode()) + len(self.rejection.detail.encode())
        return ROW_BYTES + texts + len(self.message.payload)


_Entries = dict[bytes, _Entry]
"""By digest, in the order of arrival."""


def digest(topic: str, payload: bytes) -> bytes:
    """SHA-256 over topic, a zero byte (which no topic holds, MQTT 5 section 1.5.4) and payload."""
    return hashlib.sha256(topic.encode("utf-8", "surrogatepass") + b"\0" + payload).digest()


async def quarantine(
    connection: asyncpg.Connection, messages: Iterable[Message], received_at: datetime, *, max_bytes: int
) -> Overflow:
    """Quarantines `messages`, whose content is a `Rejection`, within the caller's transaction; returns what was only counted.

    What is there already is counted up. Of the rest, in the order of arrival, each is kept that fits under its reason's
    `max_bytes`. Gateways take turns, to their commits: none finds room that another one takes.
    """
    entries = _by_digest(messages)
    if not entries:
        return Overflow()
    await connection.execute(query("quarantine_lock"))
    counts = [entry.count for entry in entries.values()]
    for row in await connection.fetch(query("quarantine_count_up"), list(entries), counts, received_at):
        del entries[row["digest"]]
    if not entries:
        return Overflow()
    kept = await connection.fetch(query("quarantine_kept"))
    room = {row["reason"]: max_bytes - row["kept_octets"] - row["kept_rows"] * ROW_BYTES for row in kept}
    overflow = _take_overflow(entries, room, max_bytes)
    if entries:
        await _insert(connection, entries, received_at)
    if overflow:
        await _count_overflow(connection, overflow, received_at)
    return overflow


def _by_digest(messages: Iterable[Message]) -> _Entries:
    entries: _Entries = {}
    for message in messages:
        assert isinstance(message.content, Rejection)  # noqa: S101 - narrows the type for mypy
        key = digest(message.topic, message.payload)
        if key in entries:
            entries[key].count += 1
        else:
            entries[key] = _Entry(message, message.content)
    return entries


def _take_overflow(entries: _Entries, room: dict[str, int], max_bytes: int) -> Overflow:
    """Takes out of `entries` what does not fit. `room`: bytes left, for reasons that keep something; the others have `max_bytes`."""
    overflow = Overflow()
    for key, entry in list(entries.items()):
        reason = entry.rejection.reason
        left = room.get(reason, max_bytes) - entry.size
        if left >= 0:
            room[reason] = left
        else:
            overflow[entry.message.stream, reason] += entry.count
            del entries[key]
    return overflow


async def _insert(connection: asyncpg.Connection, entries: _Entries, received_at: datetime) -> None:
    rows = entries.values()
    await connection.execute(
        query("insert_quarantine"),
        list(entries),
        [row.message.topic for row in rows],
        [row.message.payload for row in rows],
        [row.rejection.reason for row in rows],
        [row.rejection.detail for row in rows],
        [row.count for row in rows],
        received_at,
    )


async def _count_overflow(connection: asyncpg.Connection, overflow: Overflow, received_at: datetime) -> None:
    by_reason: Counter[str] = Counter()
    for (_, reason), count in overflow.items():
        by_reason[reason] += count
    reasons = sorted(by_reason)
    counts = [by_reason[reason] for reason in reasons]
    await connection.execute(query("quarantine_overflow"), reasons, counts, received_at)


SHOWN_BYTES = 8 * 1024
"""As much of a payload as an answer has: an accepted one has no more."""


async def quarantine_page(
    connection: asyncpg.Connection, reason: str | None, before: int, limit: int
) -> list[Quarantined]:
    """At most `limit` rows with ids under `before`, newest first."""
    rows = await connection.fetch(query("quarantine_page"), reason, before, limit, SHOWN_BYTES)
    return [Quarantined(**row) for row in rows]


async def quarantine_totals(connection: asyncpg.Connection) -> list[ReasonTotal]:
    """What is kept and what was only counted, by reason."""
    return [ReasonTotal(**row) for row in await connection.fetch(query("quarantine_totals"))]
