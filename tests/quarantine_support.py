"""Bad messages whose size is known, and what quarantine keeps of them."""

import hashlib
from collections.abc import Iterable

import asyncpg

from joulegate_core.clock import utc_now
from joulegate_core.telemetry import Message, Rejection, Stream
from joulegate_db.quarantine import ROW_BYTES
from joulegate_db.writer import Tally, Writer

TOPIC = "fleet/cp-1/meter"
DETAIL = "no JSON"
ROW = ROW_BYTES + len(TOPIC) + len(DETAIL)
"""What a row without payload counts under the cap."""

Totals = dict[str, tuple[int, int, int, int]]
"""By reason: rows, octets and messages kept, messages overflowed."""


def refused(payload: bytes, reason: str = "bad_json", *, detail: str = DETAIL) -> Message:
    """A message that was refused."""
    return Message(Stream.METER, TOPIC, payload, Rejection(reason, detail))


def noise(number: int, size: int) -> bytes:
    """Bytes that do not compress, others for each number, the same in every run."""
    return hashlib.shake_128(str(number).encode()).digest(size)


def overflowed(tallies: Iterable[Tally]) -> dict[str, int]:
    """What writers said they had only counted, by reason."""
    sums: dict[str, int] = {}
    for counts in (counts for tally in tallies for counts in tally.values()):
        for reason, count in counts.overflowed.items():
            sums[reason] = sums.get(reason, 0) + count
    return sums


async def kept(db: asyncpg.Connection) -> list[tuple[str, bytes, int]]:
    """Reason, payload and count of the rows, oldest first."""
    return [tuple(row) for row in await db.fetch("select reason, payload, count from quarantine order by id")]


async def totals(db: asyncpg.Connection) -> Totals:
    """The totals, which must be the sums of the rows."""
    columns = "reason, kept_rows, kept_octets, kept_messages"
    rows = await db.fetch(f"select {columns}, overflowed from quarantine_totals")
    sums = await db.fetch(
        "select reason, count(*), sum(octet_length(topic) + octet_length(payload) + octet_length(detail)), sum(count)"
        " from quarantine group by reason"
    )
    assert sorted(tuple(row)[:4] for row in rows if row["kept_rows"]) == sorted(tuple(row) for row in sums)
    assert not [row for row in rows if not row["kept_rows"] and (row["kept_octets"] or row["kept_messages"])]
    return {row["reason"]: tuple(row)[1:] for row in rows}


async def disk(db: asyncpg.Connection) -> int:
    """Bytes of quarantine on disk: rows, what is stored beside them, indexes, totals."""
    statement = "select pg_total_relation_size('quarantine') + pg_total_relation_size('quarantine_totals')"
    return int(await db.fetchval(statement))


async def refuse(url: str) -> int:
    """Puts a message into quarantine whatever it is; returns its id."""
    writer = await Writer.open(url)
    try:
        await writer.write([refused(noise(1, 20), "too_old")], utc_now())
    finally:
        writer.terminate()
    connection = await asyncpg.connect(url)
    number = await connection.fetchval("select max(id) from quarantine")
    await connection.close()
    return int(number)
