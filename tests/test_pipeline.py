"""Acknowledgements leave in the order of arrival, each to the connection that brought the message, also while a batch is split."""

import asyncio
import random
from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway_harness import eventually
from joulegate_db.quarantine import digest
from pipeline_harness import Line, RecordingConnection, bad_message, meter_message, vehicle_message


@pytest.fixture
async def line(database_url: str) -> AsyncIterator[Line]:
    line = Line(database_url)
    yield line
    line.database.close()


async def test_the_order_of_arrival_while_a_batch_is_split(line: Line, db: asyncpg.Connection) -> None:
    await db.execute("alter table meter_history add constraint not_thirteen check (voltage <> 13)")
    connection = RecordingConnection()
    packet_ids = random.Random(5).sample(range(1, 65_536), 200)
    refused = {0, 1, 50, 99, 100, 101, 150, 199}
    for n, packet_id in enumerate(packet_ids):
        if n in refused:
            message = meter_message(n, voltage=13.0)
        elif n % 10 == 5:
            message = bad_message(n)
        elif n % 10 == 6:
            message = vehicle_message(n)
        elif n % 10 == 7:
            message = meter_message(n - 3)  # the same content as another one: a duplicate
        elif n % 10 == 8:
            message = meter_message(n - 4, kwh=2.0)  # other content: a conflict
        else:
            message = meter_message(n)
        line.put(connection, packet_id, message)
    assert await line.drain() == {"committed": 132, "duplicate": 20, "quarantined": 48}
    assert connection.acknowledged == packet_ids
    kept = {
        bytes(r["digest"]) for r in await db.fetch("select digest from quarantine where reason = 'database_refused'")
    }
    assert kept == {digest("fleet/cp-1/meter", meter_message(n, voltage=13.0).payload) for n in refused}
    assert (
        await db.fetchval("select count(*) from meter_history")
        + await db.fetchval("select count(*) from vehicle_history")
        == 132
    )


async def test_each_connection_gets_its_own_acknowledgements_in_order(line: Line) -> None:
    connections = [RecordingConnection() for _ in range(3)]
    for n in range(60):
        line.put(connections[n // 7 % 3], n + 1, meter_message(n))
    await line.drain()
    for index, connection in enumerate(connections):
        assert connection.acknowledged == [n + 1 for n in range(60) if n // 7 % 3 == index]


async def test_qos_0_is_settled_and_not_acknowledged(line: Line) -> None:
    connection = RecordingConnection()
    for n in range(10):
        line.put(connection, None if n % 2 else n + 1, meter_message(n))
    assert (await line.drain())["committed"] == 10
    assert connection.acknowledged == [1, 3, 5, 7, 9]


async def test_a_value_that_cannot_be_encoded_is_isolated(line: Line) -> None:
    connection = RecordingConnection()
    for n in range(10):
        line.put(connection, n + 1, meter_message(n, voltage=1e300 if n == 4 else 230.0))
    assert await line.drain() == {"committed": 9, "duplicate": 0, "quarantined": 1}
    assert connection.acknowledged == list(range(1, 11))


async def test_nothing_is_acknowledged_before_the_commit(line: Line, db: asyncpg.Connection) -> None:
    connection = RecordingConnection()
    for n in range(10):
        line.put(connection, n + 1, meter_message(n))
    line.inbox.close()
    async with db.transaction():
        await db.execute("lock table quarantine, presence in access exclusive mode")  # the last tables of a transaction
        running = asyncio.create_task(line.pipeline.run())

        async def is_waiting() -> bool:
            return bool(await db.fetchval("select exists (select from pg_locks where not granted)"))

        await eventually(is_waiting)
        assert connection.acknowledged == []
    await running
    assert connection.acknowledged == list(range(1, 11))


async def test_nothing_is_acknowledged_that_quarantine_did_not_take(line: Line, db: asyncpg.Connection) -> None:
    await db.execute("alter table quarantine add constraint none check (reason <> 'bad_json')")
    connection = RecordingConnection()
    for n in range(4):
        line.put(connection, n + 1, bad_message(n) if n == 2 else meter_message(n))
    line.inbox.close()
    running = asyncio.create_task(line.pipeline.run())

    async def is_held() -> bool:
        return bool(line.metrics.database_failures._value.get() >= 2)

    await eventually(is_held)
    assert connection.acknowledged == [1, 2]  # the neighbours before it; those after it wait, in order
    await db.execute("alter table quarantine drop constraint none")
    await running
    assert connection.acknowledged == [1, 2, 3, 4]
