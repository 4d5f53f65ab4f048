"""Quarantine looked at and tried again: over HTTP, by command, and through crashes in the middle."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest

from command_support import done, joulegate
from gateway_harness import eventually
from http_support import TEN, links_api
from joulegate_cli.replaying import replayer_of
from joulegate_core.clock import utc_now
from joulegate_core.errors import DatabaseUnavailableError
from joulegate_core.settings import load_settings
from joulegate_core.telemetry import Message, Rejection, Stream
from joulegate_db.replay import ARCHIVED, Results
from joulegate_db.writer import Writer
from process_harness import Process

NOW = TEN + timedelta(hours=1)
OLD = TEN - timedelta(days=30)


def message(
    number: int, reason: str = "out_of_range", *, kwh: float = 1.0, ts: datetime = TEN, payload: bytes = b""
) -> Message:
    """A meter's message that was refused."""
    fields = {"meterId": f"m-{number}", "kwhConsumedAc": kwh, "voltage": 230.0, "timestamp": ts.isoformat()}
    text = payload or json.dumps(fields).encode()
    return Message(Stream.METER, f"fleet/cp-{number}/meter", text, Rejection(reason, "as it was then"))


async def refuse(url: str, messages: Sequence[Message]) -> None:
    """Quarantines them, as the gateway does."""
    writer = await Writer.open(url)
    await writer.write(messages, TEN)
    writer.terminate()


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application whose clock stands at eleven."""
    async with links_api(database_url, now=NOW) as client:
        yield client


async def test_pages_and_totals(api: httpx.AsyncClient, database_url: str) -> None:
    strange = message(0, "bad_json", payload=b"\xff\x00<script>")
    long = message(0, "oversize", payload=b"x" * 9000)
    await refuse(database_url, [strange, strange, long, message(1), message(2)])
    first = (await api.get("/v1/quarantine", params={"limit": 3})).json()
    second = (await api.get("/v1/quarantine", params={"limit": 3, "cursor": first["nextCursor"]})).json()
    items = first["items"] + second["items"]
    assert second["nextCursor"] is None
    assert [one["reason"] for one in items] == ["out_of_range", "out_of_range", "oversize", "bad_json"]
    assert items[3]["payload"] == "\ufffd\x00<script>"
    assert (items[3]["count"], items[3]["payloadTruncated"]) == (2, False)
    assert (len(items[2]["payload"]), items[2]["payloadTruncated"]) == (8192, True)
    assert {one["reason"]: (one["rows"], one["messages"], one["overflowed"]) for one in first["totals"]} == {
        "bad_json": (1, 2, 0), "out_of_range": (2, 2, 0), "oversize": (1, 1, 0),
    }  # fmt: skip
    only = (await api.get("/v1/quarantine", params={"reason": "oversize"})).json()
    assert [one["id"] for one in only["items"]] == [items[2]["id"]]


async def test_each_outcome_over_http(api: httpx.AsyncClient, database_url: str, db: asyncpg.Connection) -> None:
    same = message(1, payload=message(1).payload + b" ")
    other = message(1, kwh=2.0)
    old = message(2, ts=TEN - timedelta(days=30))
    await refuse(database_url, [message(1), same, other, old])
    ids = {row["payload"]: row["id"] for row in await db.fetch("select id, payload from quarantine")}

    async def replay(one: Message) -> tuple[int, str, str | None]:
        response = await api.post(f"/v1/quarantine/{ids[one.payload]}/replay")
        answer = response.json()
        return response.status_code, answer.get("outcome", answer.get("code")), answer.get("reason")

    assert await replay(message(1)) == (200, "committed", None)
    assert await replay(message(1)) == (404, "quarantine_not_found", None)
    assert await replay(same) == (200, "duplicate", None)
    assert await replay(other) == (200, "quarantined", "conflict")
    assert await replay(old) == (200, "quarantined", "too_old")
    kept = await db.fetch("select reason, count from quarantine order by id")
    assert [tuple(row) for row in kept] == [("out_of_range", 1)] * 2  # as they were: not counted up, not renamed
    assert [tuple(row) for row in await db.fetch("select device, kwh, ts from meter_history")] == [("m-1", 1.0, TEN)]
    assert await db.fetchval("select received_at from meter_live") == TEN  # when it came, not when it was tried again
    assert await db.fetchval("select count(*) from presence") == 1


async def test_a_connection_that_dies_before_the_commit_changes_nothing(
    database_url: str, db: asyncpg.Connection
) -> None:
    """The reading is written and its row is about to go: both come true, or neither."""
    await refuse(database_url, [message(1)])
    number = await db.fetchval("select id from quarantine")
    replayer = replayer_of(load_settings({"JOULEGATE_DATABASE_URL": database_url}), lambda: NOW)
    lock = "pg_advisory_lock(hashtext('joulegate.quarantine'))"
    waiting = "application_name = 'joulegate-gateway' and wait_event = 'advisory' and datname = current_database()"

    async def killed() -> bool:
        return bool(
            await db.fetchval(
                f"select count(pg_terminate_backend(pid)) from pg_stat_activity where {waiting}",
            )
        )

    await db.execute(f"select {lock}")
    trying = asyncio.create_task(replayer.one(number))
    await eventually(killed)
    with pytest.raises(DatabaseUnavailableError):
        await trying
    assert await db.fetchval("select count(*) from meter_history") == 0
    assert await db.fetchval("select count(*) from quarantine") == 1
    await db.execute(f"select {lock.replace('_lock', '_unlock')}")
    both = await asyncio.gather(replayer.one(number), replayer.one(number))
    replayer.close()
    assert sorted(str(one and one.outcome) for one in both) == ["None", "committed"]
    assert await db.fetchval("select count(*) from meter_history") == 1


async def test_two_at_once_and_rows_that_others_take(database_url: str, db: asyncpg.Connection) -> None:
    """Everything is settled once, by whoever was first."""
    await refuse(database_url, [message(number) for number in range(3000)])
    settings = load_settings({"JOULEGATE_DATABASE_URL": database_url})
    replayers = [replayer_of(settings, lambda: NOW) for _ in range(2)]

    async def run(place: int) -> int:
        _, last = await replayers[place].count(None)
        results = [one async for one in replayers[place].many(None, last)]
        assert not sum(one.duplicate + one.quarantined.total() for one in results)
        return sum(one.committed for one in results)

    assert sum(await asyncio.gather(run(0), run(1))) == 3000
    for one in replayers:
        one.close()
    assert await db.fetchval("select count(*) from meter_history") == 3000
    assert await db.fetchval("select count(*) from quarantine") == 0
    assert await db.fetchval("select sum(kept_rows) from quarantine_totals") == 0


async def test_a_command_that_is_killed_is_run_again(database_url: str, db: asyncpg.Connection, tmp_path: Path) -> None:
    await refuse(database_url, [message(number) for number in range(20_000)])
    environ = {"JOULEGATE_DATABASE_URL": database_url, "JOULEGATE_MAX_AGE_DAYS": "8"}
    process = await Process.start(tmp_path, environ, "quarantine", "replay", "--all")

    async def has_begun() -> bool:
        return bool(await db.fetchval("select count(*) > 0 from meter_history"))

    await eventually(has_begun)
    process.send(signal.SIGKILL)
    await process.kill()
    left = await db.fetchval("select count(*) from quarantine")
    assert 0 < left < 20_000
    assert await db.fetchval("select count(*) from meter_history") == 20_000 - left
    result = json.loads(done(database_url, "quarantine", "replay", "--all", "--json"))
    assert result == {"committed": left, "duplicate": 0, "quarantined": {}}
    assert await db.fetchval("select count(distinct device) from meter_history") == 20_000
    assert await db.fetchval("select count(*) from quarantine") == 0


async def test_the_command(database_url: str, db: asyncpg.Connection) -> None:
    recent = utc_now()
    await refuse(
        database_url,
        [
            message(1, ts=recent),
            message(2, ts=recent),
            message(3, "bad_json", payload=b"\x1b[31mno"),
            message(4, "too_old", ts=OLD),
        ],
    )
    listed = done(database_url, "quarantine", "list")
    assert "4 shown" in listed
    assert "\x1b" not in listed
    assert "only counted" in listed
    items = json.loads(done(database_url, "quarantine", "list", "--json", "--reason", "bad_json"))["items"]
    assert [one["payload"] for one in items] == ["\x1b[31mno"]
    shown = json.loads(done(database_url, "quarantine", "show", str(items[0]["id"]), "--json"))
    assert shown == items[0]
    assert done(database_url, "quarantine", "replay", "--id", "1") == "1 committed, 0 duplicates, 0 stay\n"
    assert done(database_url, "quarantine", "replay", "--reason", "too_old").startswith(
        "0 committed, 0 duplicates, 1 stay\n  1 too_old: timestamp is more than 7 days old"
    )
    result = json.loads(done(database_url, "quarantine", "replay", "--all", "--json"))
    assert result == {"committed": 1, "duplicate": 0, "quarantined": {"bad_json": 1, "too_old": 1}}
    assert await db.fetchval("select count(*) from meter_history") == 2
    for arguments, code in ((("replay",), 2), (("replay", "--all", "--id", "1"), 2), (("show", "77"), 1)):
        failed = joulegate(database_url, "quarantine", *arguments)
        assert failed.returncode == code
        assert failed.stderr


async def test_a_reading_of_an_archived_day_stays(database_url: str, db: asyncpg.Connection) -> None:
    await refuse(database_url, [message(1, ts=TEN - timedelta(days=1)), message(2)])
    await db.execute("update roll_state set archived_until = $1", TEN - timedelta(hours=1))
    replayer = replayer_of(load_settings({"JOULEGATE_DATABASE_URL": database_url}), lambda: NOW)
    try:
        numbers = [row["id"] for row in await db.fetch("select id from quarantine order by id")]
        archived, kept = [await replayer.one(number) for number in numbers]
    finally:
        replayer.close()
    assert archived is not None
    assert (archived.outcome, archived.reason) == ("quarantined", "too_old")
    assert "joulegate archive restore" in (archived.detail or "")
    assert kept is not None
    assert kept.outcome == "committed"
    assert await db.fetchval("select count(*) from quarantine") == 1


async def test_a_day_that_is_archived_during_a_replay_is_not_written(database_url: str, db: asyncpg.Connection) -> None:
    """The replay has begun when the day is sealed: it would be in neither the files nor the rollups."""
    await refuse(database_url, [message(1), message(2, ts=NOW)])
    replayer = replayer_of(load_settings({"JOULEGATE_DATABASE_URL": database_url}), lambda: NOW)
    _, last = await replayer.count(None)
    await db.execute("select pg_advisory_lock(hashtext('joulegate.close'))")

    async def run() -> list[Results]:
        return [one async for one in replayer.many(None, last)]

    trying = asyncio.create_task(run())
    waiting = "application_name = 'joulegate-gateway' and wait_event = 'advisory' and datname = current_database()"

    async def is_waiting() -> bool:
        return bool(await db.fetchval(f"select count(*) from pg_stat_activity where {waiting}"))

    await eventually(is_waiting)
    await db.execute("update roll_state set archived_until = $1", NOW)
    await db.execute("select pg_advisory_unlock(hashtext('joulegate.close'))")
    [results] = await trying
    replayer.close()
    assert results.committed == 1
    assert [key for key, count in results.quarantined.items() if count] == [("too_old", ARCHIVED)]
    assert [row["device"] for row in await db.fetch("select device from meter_history")] == ["m-2"]
    assert await db.fetchval("select count(*) from quarantine") == 1


async def test_a_replay_makes_no_partitions_of_archived_days(database_url: str, db: asyncpg.Connection) -> None:
    """They would look like history that was never measured."""
    await db.execute("update roll_state set archived_until = date_trunc('day', $1::timestamptz, 'UTC')", TEN)
    days = "select min(right(relname, 8)) from pg_class where relname ~ '^meter_history_[0-9]{8}$'"
    first = await db.fetchval(days)
    settings = load_settings({"JOULEGATE_DATABASE_URL": database_url, "JOULEGATE_MAX_AGE_DAYS": "3660"})
    replayer = replayer_of(settings, lambda: NOW)
    await replayer.count(None)
    replayer.close()
    assert await db.fetchval(days) == first
