"""Quarantine: every message that could not be accepted is kept, with the reason."""

import hashlib
from collections.abc import Iterable
from datetime import datetime

import asyncpg
import msgspec

from joulegate_core.telemetry import Message, Rejection
from joulegate_db.sql import query


class _Entry(msgspec.Struct):
    topic: str
    payload: bytes
    rejection: Rejection
    count: int = 1


def digest(topic: str, payload: bytes) -> bytes:
    """SHA-256 over topic, a zero byte (which no topic holds, MQTT 5 section 1.5.4) and payload."""
    return hashlib.sha256(topic.encode("utf-8", "surrogatepass") + b"\0" + payload).digest()


async def quarantine(connection: asyncpg.Connection, messages: Iterable[Message], received_at: datetime) -> None:
    """Inserts `messages`, whose content is a `Rejection`; one that is there already is counted up."""
    entries: dict[bytes, _Entry] = {}
    for message in messages:
        assert isinstance(message.content, Rejection)  # noqa: S101 - narrows the type for mypy
        key = digest(message.topic, message.payload)
        if key in entries:
            entries[key].count += 1
        else:
            entries[key] = _Entry(message.topic, message.payload, message.content)
    if not entries:
        return
    keys = sorted(entries)  # one lock order for all gateways
    rows = [entries[key] for key in keys]
    await connection.execute(
        query("insert_quarantine"),
        keys,
        [row.topic for row in rows],
        [row.payload for row in rows],
        [row.rejection.reason for row in rows],
        [row.rejection.detail for row in rows],
        [row.count for row in rows],
        received_at,
    )
