"""A backlog's batch is written in two transactions at the same time, and acknowledged as one (docs/adr/0009-two-transactions.md)."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from structlog.testing import capture_logs

from gateway_harness import eventually
from joulegate_gateway.batch import PARALLEL_FROM
from pipeline_harness import Line, RecordingConnection, bad_message, meter_message, vehicle_message
from roles_support import logins

PAIRS = PARALLEL_FROM // 2 + 200


@pytest.fixture
async def line(database_url: str) -> AsyncIterator[Line]:
    line = Line(database_url, batch_max=10_000)
    yield line
    line.database.close()


def put_pairs(line: Line, pairs: int, *, order: int = 1) -> tuple[RecordingConnection, list[int]]:
    """Puts a meter's and a vehicle's reading for each pair, mixed; returns who is acknowledged to, and the packet ids in order."""
    random_order = random.Random(order)
    messages = [meter_message(n) for n in range(pairs)] + [vehicle_message(n) for n in range(pairs)]
    random_order.shuffle(messages)
    packet_ids = random_order.sample(range(1, 65_536), len(messages))
    connection = RecordingConnection()
    for packet_id, message in zip(packet_ids, messages, strict=True):
        line.put(connection, packet_id, message)
    return connection, packet_ids


@asynccontextmanager
async def held(line: Line, tables: str) -> AsyncIterator[asyncio.Task[None]]:
    """The pipeline runs while somebody else holds `tables`."""
    other = await asyncpg.connect(line.url)
    try:
        async with other.transaction():
            await other.execute(f"lock table {tables} in access exclusive mode")
            yield asyncio.create_task(line.pipeline.run())
    finally:
        await other.close()


async def counts(db: asyncpg.Connection) -> tuple[int, int]:
    """How many readings of each stream are stored."""
    meters, vehicles = await db.fetchrow(
        "select (select count(*) from meter_history), (select count(*) from vehicle_history)"
    )
    return meters, vehicles


async def transactions(db: asyncpg.Connection) -> int:
    """How many transactions wrote history."""
    found: int = await db.fetchval(
        "select count(distinct xmin::text) from (select xmin from meter_history union all select xmin from vehicle_history) as all_readings"
    )
    return found


@pytest.mark.parametrize(("pairs", "expected"), [(PARALLEL_FROM // 2 - 1, 1), (PARALLEL_FROM // 2, 2)])
async def test_a_large_batch_is_two_transactions_and_a_small_one_is_one(
    line: Line, db: asyncpg.Connection, pairs: int, expected: int
) -> None:
    connection, packet_ids = put_pairs(line, pairs)
    assert await line.drain() == {"committed": 2 * pairs, "duplicate": 0, "quarantined": 0}
    assert connection.acknowledged == packet_ids
    assert await counts(db) == (pairs, pairs)
    assert await transactions(db) == expected


async def test_what_is_bad_and_what_is_there_already_is_told_apart_in_both(line: Line, db: asyncpg.Connection) -> None:
    connection, packet_ids = put_pairs(line, PAIRS)
    extra = [meter_message(3), vehicle_message(4), meter_message(5, kwh=7.0), bad_message(6)]
    for packet_id, message in enumerate(extra, start=65_600):
        line.put(connection, packet_id, message)
        packet_ids.append(packet_id)
    assert await line.drain() == {"committed": 2 * PAIRS, "duplicate": 2, "quarantined": 2}
    assert connection.acknowledged == packet_ids
    assert await counts(db) == (PAIRS, PAIRS)
    assert await db.fetchval("select array_agg(reason order by reason) from quarantine") == ["bad_json", "conflict"]


async def test_what_one_stream_is_refused_is_isolated_and_the_other_is_counted_once(
    line: Line, db: asyncpg.Connection
) -> None:
    await db.execute("alter table vehicle_history add constraint not_v_7 check (device <> 'v-7')")
    connection, packet_ids = put_pairs(line, PAIRS)
    assert await line.drain() == {"committed": 2 * PAIRS - 1, "duplicate": 0, "quarantined": 1}
    assert connection.acknowledged == packet_ids
    assert await counts(db) == (PAIRS, PAIRS - 1)
    assert await db.fetchval("select payload from quarantine") == vehicle_message(7).payload


async def test_neither_stream_waits_for_the_other_but_the_acknowledgements_wait_for_both(
    line: Line, db: asyncpg.Connection
) -> None:
    connection, packet_ids = put_pairs(line, PAIRS)
    line.inbox.close()
    async with held(line, "vehicle_live") as running:

        async def meters_are_there() -> bool:
            return bool(await db.fetchval("select count(*) from meter_history") == PAIRS)

        await eventually(meters_are_there)
        assert connection.acknowledged == []
    await running
    assert connection.acknowledged == packet_ids
    assert await counts(db) == (PAIRS, PAIRS)


async def test_a_transaction_that_is_lost_is_tried_again_alone(line: Line, db: asyncpg.Connection) -> None:
    connection, packet_ids = put_pairs(line, PAIRS)
    line.inbox.close()
    async with held(line, "vehicle_live") as running:

        async def ended() -> bool:
            return bool(
                await db.fetchval(
                    "select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock' "
                    "and datname = current_database() and (select count(*) from meter_history) = $1",
                    PAIRS,
                )
            )

        await eventually(ended)
        assert connection.acknowledged == []
    await running
    assert line.metrics.database_failures._value.get() >= 1
    assert line.outcomes() == {"committed": 2 * PAIRS, "duplicate": 0, "quarantined": 0}
    assert connection.acknowledged == packet_ids
    assert await counts(db) == (PAIRS, PAIRS)


async def test_one_connection_is_enough(database_url: str, db: asyncpg.Connection) -> None:
    async with logins(database_url) as make:
        url = await make("joulegate_writer")
        await db.execute(f"alter role {url.split('//')[1].split('@')[0]} connection limit 1")
        line = Line(url, batch_max=2 * PARALLEL_FROM)
        connection, packet_ids = put_pairs(line, 2 * PARALLEL_FROM)
        with capture_logs() as logs:
            assert await line.drain() == {"committed": 4 * PARALLEL_FROM, "duplicate": 0, "quarantined": 0}
        line.database.close()
    assert [line["event"] for line in logs] == ["second_writer_unavailable"]
    assert connection.acknowledged == packet_ids
    assert await counts(db) == (2 * PARALLEL_FROM, 2 * PARALLEL_FROM)


async def test_a_gateway_whose_schema_is_the_next_versions_goes_on_with_the_connection_it_has(
    line: Line, db: asyncpg.Connection
) -> None:
    await line.database.writer()
    await db.execute("insert into schema_migrations (version, name, checksum) values (9999, 'next', 'x')")
    connection, packet_ids = put_pairs(line, PAIRS)
    assert await line.drain() == {"committed": 2 * PAIRS, "duplicate": 0, "quarantined": 0}
    assert connection.acknowledged == packet_ids


async def test_much_that_is_left_of_one_stream_is_written_again_alone(line: Line, db: asyncpg.Connection) -> None:
    await db.execute("alter table vehicle_history add constraint not_v_7 check (device <> 'v-7')")
    connection, packet_ids = put_pairs(line, 2 * PARALLEL_FROM)
    assert await line.drain() == {"committed": 4 * PARALLEL_FROM - 1, "duplicate": 0, "quarantined": 1}
    assert connection.acknowledged == packet_ids
    assert await counts(db) == (2 * PARALLEL_FROM, 2 * PARALLEL_FROM - 1)


async def test_a_pipeline_that_is_cancelled_leaves_neither_transaction_behind(
    line: Line, db: asyncpg.Connection
) -> None:
    connection, _ = put_pairs(line, PAIRS)
    async with held(line, "meter_live, vehicle_live") as running:

        async def both_wait() -> bool:
            return bool(
                await db.fetchval("select count(*) = 2 from pg_locks where not granted and database is not null")
            )

        await eventually(both_wait)
        others = asyncio.all_tasks() - {running}
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not {task for task in others & asyncio.all_tasks() if "_write" in repr(task.get_coro())}
    assert connection.acknowledged == []
    assert await counts(db) == (0, 0)


async def test_two_gateways_with_the_same_readings_do_not_wait_for_each_other_in_a_circle(
    line: Line, db: asyncpg.Connection, database_url: str
) -> None:
    twin = Line(database_url, batch_max=10_000)
    put_pairs(line, 2 * PAIRS, order=1)
    put_pairs(twin, 2 * PAIRS, order=2)
    one, two = await asyncio.gather(line.drain(), twin.drain())
    twin.database.close()
    assert one["committed"] + two["committed"] == 4 * PAIRS
    assert one["duplicate"] + two["duplicate"] == 4 * PAIRS
    assert await counts(db) == (2 * PAIRS, 2 * PAIRS)
    assert line.metrics.database_failures._value.get() == twin.metrics.database_failures._value.get() == 0
