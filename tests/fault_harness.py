"""What faults are made of: numbered readings, a stream of them, a flood."""

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import asyncpg
import mqtt5
import pytest

from gateway_harness import Gateway, Json, eventually, http_get, meter, now_ms, publisher
from joulegate_cli.local.broker import LocalBroker
from joulegate_cli.local.ports import is_listening

DEVICES = 50


class Numbered:
    """Readings with a number each, in `kwhConsumedAc`: history must hold every number once."""

    def __init__(self) -> None:
        self.count = 0
        self._newest: datetime = now_ms()

    def take(self, count: int) -> Iterator[tuple[str, Json]]:
        """Topic and payload of the next `count` readings."""
        for number in range(self.count, self.count + count):
            self.count = number + 1
            ts = self._newest - timedelta(milliseconds=number)
            yield f"fleet/cp-{number % DEVICES}/meter", meter(f"m-{number % DEVICES}", ts, kwhConsumedAc=float(number))

    async def assert_each_once(self, db: asyncpg.Connection) -> None:
        """Every number taken is in history, once, and nothing was refused."""
        numbers = [int(row[0]) for row in await db.fetch("select kwh from meter_history order by kwh")]
        assert numbers == list(range(self.count))
        assert await db.fetchval("select count(*) from quarantine") == 0

    async def until_all_there(self, db: asyncpg.Connection, seconds: float = 20) -> None:
        """Waits until history holds as many readings as were taken."""

        async def all_there() -> bool:
            return bool(await db.fetchval("select count(*) from meter_history") >= self.count)

        await eventually(all_there, seconds)


async def assert_ledger_at_rest(gateway: Gateway) -> None:
    """Received = settled, nothing pending, nothing refused."""
    received, settled, pending = await gateway.ledger()
    assert pending == 0
    assert received == sum(settled.values())
    assert settled["quarantined"] == 0


async def assert_all_arrived(gateway: Gateway, url: str, numbered: Numbered) -> None:
    """History holds each number once; the ledger is at rest; the newest state is there."""
    db = await asyncpg.connect(url)
    try:
        await numbered.until_all_there(db)
        await numbered.assert_each_once(db)
    finally:
        await db.close()
    await gateway.settle(0)  # nothing is on its way any more; a restart began to count anew
    await assert_ledger_at_rest(gateway)


async def missing(gateway: Gateway) -> str:
    """What /readyz says is missing."""
    return (await http_get(gateway.metrics_port, "/readyz"))[1]


@asynccontextmanager
async def streaming(broker: LocalBroker, numbered: Numbered, *, pause: float = 0.02) -> AsyncIterator[None]:
    """Publishes readings by tens, with a pause after each ten, while the block runs; what was begun is finished."""
    done = asyncio.Event()

    async def publish_all() -> None:
        async with publisher(broker) as publish:
            while not done.is_set():
                await asyncio.gather(*(publish(topic, payload) for topic, payload in numbered.take(10)))
                await asyncio.sleep(pause)

    publishing = asyncio.create_task(publish_all())
    try:
        yield
    finally:
        done.set()
        await publishing


async def flood(broker: LocalBroker, numbered: Numbered, count: int) -> None:
    """Publishes `count` readings as fast as the broker takes them; returns when all are acknowledged."""
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    writer.write(mqtt5.ConnectPacket(client_id=f"flood-{secrets.token_hex(6)}", clean_start=True).write())
    sending = asyncio.create_task(_send(writer, numbered, count))
    left, received = count, b""
    while left:
        data = await reader.read(65536)
        assert data, "the broker closed the connection"
        view, at = memoryview(received + data), 0
        with contextlib.suppress(IndexError):  # the rest is a part of a packet
            while True:
                packet, size = mqtt5.read(view[at:])
                at += size
                left -= isinstance(packet, mqtt5.PubAckPacket)
        received = bytes(view[at:])
    await sending
    writer.close()
    await writer.wait_closed()


async def _send(writer: asyncio.StreamWriter, numbered: Numbered, count: int) -> None:
    for number, (topic, payload) in enumerate(numbered.take(count)):
        raw = json.dumps(payload).encode()
        packet_id = number % 65535 + 1
        writer.write(mqtt5.PublishPacket(topic, raw, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=packet_id).write())
        await writer.drain()


def require_mosquitto(broker: LocalBroker) -> None:
    """Skips the test on the built-in broker, whose sessions, keep-alive and log are not those of production."""
    if broker.kind != "mosquitto":
        pytest.skip("the built-in broker does not keep sessions as mosquitto does")


def is_connected(broker: LocalBroker, client_id: str) -> bool:
    """Whether a client is connected, by mosquitto's log."""
    log = (broker._directory / "broker.log").read_text(errors="replace")
    lines = [line for line in log.splitlines() if client_id in line]
    return bool(lines) and "New client connected" in lines[-1]


async def until_listening(port: int) -> None:
    """Waits until something listens on a port of this machine."""

    async def listens() -> bool:
        return is_listening(port)

    await eventually(listens)
