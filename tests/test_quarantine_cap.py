"""Quarantine keeps of each reason what fits under the cap, in the order of arrival; everything goes on being counted."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import asyncpg
import pytest

from gateway_harness import eventually
from joulegate_core.errors import SettingsError
from joulegate_core.settings import Settings, load_settings
from joulegate_core.telemetry import Message, Rejection
from joulegate_db.quarantine import DEFAULT_MAX_BYTES, ROW_BYTES
from joulegate_db.sql import query
from joulegate_db.writer import Tally, Writer
from quarantine_support import DETAIL, ROW, kept, overflowed, refused, totals
from writer_harness import RECEIVED, meter_message, tally, vehicle_message

Open = Callable[[int], Awaitable[Writer]]
"""Opens a writer with a cap in bytes."""


@pytest.fixture
async def open_writer(database_url: str) -> AsyncIterator[Open]:
    writers: list[Writer] = []

    async def open_writer(cap: int) -> Writer:
        writers.append(await Writer.open(database_url, quarantine_max_bytes=cap))
        return writers[-1]

    yield open_writer
    for writer in writers:
        writer.terminate()


def test_the_cap_is_a_setting() -> None:
    assert Settings().quarantine_max_mb * 1_000_000 == DEFAULT_MAX_BYTES
    assert load_settings({"JOULEGATE_QUARANTINE_MAX_MB": "0.5"}).quarantine_max_mb == 0.5
    for value in ("0", "-1", "nan", "1000001"):
        with pytest.raises(SettingsError, match="JOULEGATE_QUARANTINE_MAX_MB is not valid"):
            load_settings({"JOULEGATE_QUARANTINE_MAX_MB": value})


async def test_a_cap_that_is_reached_in_mid_batch_keeps_the_first_to_arrive(
    open_writer: Open, db: asyncpg.Connection
) -> None:
    writer = await open_writer(4 * (ROW + 2))
    bad = [refused(b"%02d" % n) for n in range(10)]
    result = await writer.write([meter_message(), *bad[:7], vehicle_message(), *bad[7:]], RECEIVED)
    assert [(counts.committed, counts.quarantined) for counts in result.values()] == [(1, 10), (1, 0)]
    assert overflowed([result]) == {"bad_json": 6}
    assert await kept(db) == [("bad_json", b"%02d" % n, 1) for n in range(4)]
    assert await totals(db) == {"bad_json": (4, 4 * (ROW - ROW_BYTES + 2), 4, 6)}
    assert await db.fetchval("select count(*) from meter_history") == 1


async def test_one_byte_less_is_one_row_less(open_writer: Open, db: asyncpg.Connection) -> None:
    writer = await open_writer(4 * (ROW + 2) - 1)
    result = await writer.write([refused(b"%02d" % n) for n in range(5)], RECEIVED)
    assert (len(await kept(db)), overflowed([result])) == (3, {"bad_json": 2})


async def test_a_smaller_message_still_fits_where_a_larger_one_did_not(
    open_writer: Open, db: asyncpg.Connection
) -> None:
    writer = await open_writer(2 * ROW + 10)
    await writer.write([refused(b"five."), refused(b"x" * 6), refused(b"small")], RECEIVED)
    assert [payload for _, payload, _ in await kept(db)] == [b"five.", b"small"]


async def test_every_octet_of_topic_and_detail_counts(open_writer: Open, db: asyncpg.Connection) -> None:
    message = refused(b"12345", detail="\u00e4" * 7)
    message = Message(message.stream, "fleet/\u65e5/meter", message.payload, message.content)
    writer = await open_writer(ROW_BYTES + 15 + 5 + 14)
    await writer.write([message], RECEIVED)
    assert await totals(db) == {"bad_json": (1, 15 + 5 + 14, 1, 0)}
    writer = await open_writer(ROW_BYTES + 15 + 5 + 14 - 1)
    await db.execute("truncate quarantine")
    await writer.write([message], RECEIVED)
    assert await kept(db) == []


async def test_another_reason_still_has_room(open_writer: Open, db: asyncpg.Connection) -> None:
    writer = await open_writer(2 * (ROW + 1))
    for reason in ("bad_json", "too_old", "conflict"):
        await writer.write([refused(reason[:1].encode(), reason), *(refused(b"%d" % n) for n in range(9))], RECEIVED)
    assert await totals(db) == {
        "bad_json": (2, 2 * (ROW - ROW_BYTES + 1), 4, 1 + 8 + 2 * 8 - 1),
        "too_old": (1, ROW - ROW_BYTES + 1, 1, 0),
        "conflict": (1, ROW - ROW_BYTES + 1, 1, 0),
    }


async def test_what_is_kept_counts_up_beyond_the_cap(open_writer: Open, db: asyncpg.Connection) -> None:
    writer = await open_writer(ROW + 1)
    later = RECEIVED + timedelta(hours=1)
    await writer.write([refused(b"k"), refused(b"n"), refused(b"k")], RECEIVED)
    await writer.write([refused(b"k"), refused(b"n"), refused(b"n")], later)
    again = await writer.write([refused(b"k", "too_old", detail="other")], RECEIVED)  # by a clock that is behind
    assert overflowed([again]) == {}
    row = await db.fetchrow("select payload, count, reason, detail, first_seen, last_seen from quarantine")
    assert tuple(row) == (b"k", 4, "bad_json", DETAIL, RECEIVED, later)
    assert await totals(db) == {"bad_json": (1, ROW - ROW_BYTES + 1, 4, 3)}
    times = await db.fetchrow("select first_overflow, last_overflow from quarantine_totals")
    assert tuple(times) == (RECEIVED, later)
    await writer.write([refused(b"n")], RECEIVED - timedelta(hours=1))
    times = await db.fetchrow("select first_overflow, last_overflow from quarantine_totals")
    assert tuple(times) == (RECEIVED - timedelta(hours=1), later)


async def test_a_new_writer_goes_on_where_the_last_one_ended(open_writer: Open, db: asyncpg.Connection) -> None:
    for number in range(5):
        writer = await open_writer(3 * (ROW + 1))
        await writer.write([refused(b"%d" % number)], RECEIVED)
        writer.terminate()
    assert [payload for _, payload, _ in await kept(db)] == [b"0", b"1", b"2"]
    assert (await totals(db))["bad_json"][3] == 2
    writer = await open_writer(2 * (ROW + 1))  # a lower cap throws nothing away
    await writer.write([refused(b"0"), refused(b"5")], RECEIVED)
    assert (await totals(db))["bad_json"] == (3, 3 * (ROW - ROW_BYTES + 1), 4, 3)


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ("delete from quarantine where payload in ('00', '02')", 1),
        ("delete from quarantine where false", 3),
        ("truncate quarantine", 0),
        ("update quarantine set reason = 'too_old', count = 7, detail = 'moved' where payload in ('00', '02')", 1),
    ],
)
async def test_totals_follow_whoever_changes_the_rows_and_room_is_used_again(
    open_writer: Open, db: asyncpg.Connection, change: str, left: int
) -> None:
    writer = await open_writer(3 * (ROW + 2))
    await writer.write([refused(b"x", "too_old"), *(refused(b"%02d" % n) for n in range(4))], RECEIVED)
    await db.execute(change)
    assert (await totals(db))["bad_json"][::3] == (left, 1)
    result = await writer.write([refused(b"%02d" % n) for n in range(10, 14)], RECEIVED)
    assert (await totals(db))["bad_json"][::3] == (3, 1 + 4 - (3 - left))
    assert overflowed([result]) == {"bad_json": 4 - (3 - left)}


async def test_a_batch_that_is_rolled_back_is_not_counted(open_writer: Open, db: asyncpg.Connection) -> None:
    await db.execute("alter table quarantine_totals add constraint none check (overflowed < 3)")
    writer = await open_writer(ROW + 2)
    bad = [refused(b"%02d" % n) for n in range(4)]
    for _ in range(2):
        with pytest.raises(asyncpg.CheckViolationError):
            await writer.write([meter_message(), *bad], RECEIVED)
    assert await totals(db) == {}
    await db.execute("alter table quarantine_totals drop constraint none")
    assert await writer.write([meter_message()], RECEIVED) == tally((1, 0, 0))
    assert overflowed([await writer.write(bad, RECEIVED)]) == {"bad_json": 3}


REASONS = ["bad_json", "conflict", "too_old"]


async def test_writers_and_deletions_side_by_side(open_writer: Open, db: asyncpg.Connection) -> None:
    """No deadlock, no message uncounted, and no writer fills room that another one found."""
    cap = 300 * (ROW + 5)
    writers = [await open_writer(cap) for _ in range(3)]
    chance = random.Random(20261123)
    tallies: list[Tally] = []
    deleted = 0
    for _ in range(15):
        batches = [[numbered(n) for n in chance.sample(range(3000), 400)] for _ in writers]
        writing = asyncio.gather(*(w.write(batch, RECEIVED) for w, batch in zip(writers, batches, strict=True)))
        async with asyncio.timeout(20):
            rows = await db.fetch("delete from quarantine where id % 5 = $1 returning count", chance.randrange(5))
            tallies += await writing
        deleted += sum(row["count"] for row in rows)
    after = await totals(db)
    assert all(octets + number * ROW_BYTES <= cap for number, octets, _, _ in after.values())
    assert overflowed(tallies) == {reason: after[reason][3] for reason in REASONS}
    assert deleted + sum(messages + lost for _, _, messages, lost in after.values()) == 15 * 3 * 400


def numbered(number: int) -> Message:
    """A bad message of its own, with a reason of its own."""
    return refused(b"%05d" % number, REASONS[number % 3])


@pytest.mark.parametrize("seed", range(12))
async def test_batches_make_no_difference(open_writer: Open, db: asyncpg.Connection, seed: int) -> None:
    """Message by message in the order of arrival: counted up when it is kept, else kept when it fits, else counted."""
    chance = random.Random(seed)
    cap = chance.randrange(200, 8 * ROW)
    contents = [refused(b"%02d" % n + b"x" * chance.choice([0, 40, 41, 300]), REASONS[n % 3]) for n in range(20)]
    arrivals = chance.choices(contents, k=60)
    rows: dict[bytes, int] = {}
    used: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for message in arrivals:
        assert isinstance(message.content, Rejection)
        reason, size = message.content.reason, ROW + len(message.payload)
        if message.payload in rows or used[reason] + size <= cap:
            used[reason] += 0 if message.payload in rows else size
            rows[message.payload] = rows.get(message.payload, 0) + 1
        else:
            lost[reason] += 1
    writer = await open_writer(cap)
    tallies = []
    while arrivals:
        size = chance.randrange(1, 30)
        tallies.append(await writer.write(arrivals[:size], RECEIVED))
        arrivals = arrivals[size:]
    assert [(payload, count) for _, payload, count in await kept(db)] == list(rows.items())
    assert overflowed(tallies) == +lost
    assert {reason: total[3] for reason, total in (await totals(db)).items() if total[3]} == +lost


async def test_a_deletion_step_by_step_and_a_writer_do_not_deadlock(open_writer: Open, db: asyncpg.Connection) -> None:
    writer = await open_writer(10 * ROW)
    batch = [refused(b"1"), refused(b"2")]
    await writer.write(batch, RECEIVED)
    async with asyncio.timeout(20), db.transaction():
        await db.execute("delete from quarantine where payload = '2'")
        writing = asyncio.create_task(writer.write(batch, RECEIVED))  # would lock row 1 and wait for row 2

        async def is_waiting() -> bool:
            return bool(await db.fetchval("select exists (select from pg_locks where not granted)"))

        await eventually(is_waiting)
        await db.execute("delete from quarantine where payload = '1'")
    await writing
    assert await kept(db) == [("bad_json", b"1", 1), ("bad_json", b"2", 1)]
    assert (await totals(db))["bad_json"][::2] == (2, 2)


async def test_rows_are_found_by_the_index_also_when_planned_on_a_small_table(
    open_writer: Open, db: asyncpg.Connection
) -> None:
    writer = await open_writer(10 * ROW)
    await writer.write([refused(b"1"), refused(b"2")], RECEIVED)
    await db.execute("vacuum analyze quarantine")
    async with db.transaction():
        await db.execute(query("quarantine_lock"))
        rows = await db.fetch("explain " + query("quarantine_count_up"), [b"1"], [1], RECEIVED)
    plan = "\n".join(row[0] for row in rows)
    assert "using quarantine_digest_key" in plan
    assert "Seq Scan on quarantine" not in plan
