"""Acknowledgements leave in the order of arrival, each to the connection that brought the message, also while a batch is split."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import cast

import asyncpg
import pytest

from gateway_harness import eventually
from joulegate_core.clock import utc_now
from joulegate_core.telemetry import Message, MeterReading, Rejection, Stream, VehicleReading
from joulegate_db.quarantine import digest
from joulegate_gateway.backlog import Backlog
from joulegate_gateway.connection import Connection
from joulegate_gateway.database import Database
from joulegate_gateway.inbox import Delivery, Inbox
from joulegate_gateway.ledger import Metrics
from joulegate_gateway.pipeline import Pipeline

NOW = datetime.now(UTC).replace(microsecond=0)


class RecordingConnection:
    """Stands where a connection to the broker stands, and notes the packet ids in the order of their acknowledgement."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []

    def acknowledge(self, packet_ids: Iterable[int]) -> None:
        self.acknowledged += packet_ids


class Line:
    """An inbox, a pipeline and a real database; deliveries are numbered through all connections."""

    def __init__(self, database_url: str) -> None:
        self.metrics = Metrics()
        self.inbox = Inbox(batch_max=1000, linger_seconds=0, capacity=10_000)
        self.database = Database(database_url, max_age_days=7, clock=utc_now)
        self.pipeline = Pipeline(self.inbox, self.database, self.metrics, utc_now, backlog=Backlog())

    def put(self, connection: RecordingConnection, packet_id: int | None, message: Message) -> None:
        """Delivers a message as the subscriber does."""
        self.metrics.ledger.received[message.stream] += 1
        self.inbox.put(Delivery(message, cast("Connection", connection), packet_id, 0.0))

    async def drain(self) -> dict[str, int]:
        """Settles everything; returns the outcomes, summed over the streams."""
        self.inbox.close()
        async with asyncio.timeout(30):
            await self.pipeline.run()
        assert self.metrics.ledger.pending == 0
        outcomes = {"committed": 0, "duplicate": 0, "quarantined": 0}
        for (_, outcome), count in self.metrics.ledger.settled.items():
            outcomes[outcome] += count
        return outcomes


@pytest.fixture
async def line(database_url: str) -> AsyncIterator[Line]:
    line = Line(database_url)
    yield line
    line.database.close()


def meter_message(number: int, *, voltage: float = 230.0, kwh: float = 1.0) -> Message:
    """A reading of its own device and time; the number tells its payload from others."""
    reading = MeterReading(f"m-{number}", "cp-1", NOW - timedelta(seconds=number), kwh, voltage, late=False)
    return Message(Stream.METER, "fleet/cp-1/meter", f"{number} {voltage} {kwh}".encode(), reading)


def vehicle_message(number: int) -> Message:
    """Like `meter_message`, of a vehicle."""
    reading = VehicleReading(f"v-{number}", "cp-1", NOW, 1.0, 50.0, 20.0, late=False)
    return Message(Stream.VEHICLE, "fleet/cp-1/vehicle", str(number).encode(), reading)


def bad_message(number: int) -> Message:
    """A message that the decoder refused."""
    return Message(Stream.METER, "fleet/cp-1/meter", f"bad {number}".encode(), Rejection("bad_json", "no JSON"))


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
