"""A pipeline on a real database, fed without a broker."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import cast

from joulegate_core.clock import utc_now
from joulegate_core.telemetry import Message, MeterReading, Rejection, Stream, VehicleReading
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

    def __init__(self, database_url: str, *, batch_max: int = 1000) -> None:
        self.url = database_url
        self.metrics = Metrics()
        self.inbox = Inbox(batch_max=batch_max, linger_seconds=0, capacity=10_000)
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
        return self.outcomes()

    def outcomes(self) -> dict[str, int]:
        """How messages were settled, summed over the streams."""
        outcomes = {"committed": 0, "duplicate": 0, "quarantined": 0}
        for (_, outcome), count in self.metrics.ledger.settled.items():
            outcomes[outcome] += count
        return outcomes


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
