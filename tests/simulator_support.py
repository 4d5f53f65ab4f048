"""What the simulator's tests share: a mailbox at the broker, and a tap on the wire between publisher and broker."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt
import mqtt5
import pytest

from joulegate_cli.local.broker import LocalBroker, find_mosquitto
from joulegate_core.broker import BrokerAddress, parse_broker_url


@contextlib.contextmanager
def mosquitto(directory: Path, *lines: str) -> Iterator[LocalBroker]:
    """A running mosquitto with further lines in its configuration; the test is skipped where there is none."""
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed, and the built-in broker cannot be configured like this")
    broker = LocalBroker(directory, kind="mosquitto", extra="\n".join(lines))
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def a_name() -> str:
    """A client id or topic that no other test uses."""
    return f"t-{secrets.token_hex(6)}"


def numbered(count: int) -> list[bytes]:
    """Payloads that differ."""
    return [b"%d" % number for number in range(count)]


def address_of(broker: LocalBroker) -> BrokerAddress:
    """The broker's address, as the publisher takes it."""
    return parse_broker_url(broker.url)


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Waits until the condition holds; fails the test when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        await asyncio.sleep(0.005)


class Mailbox:
    """A persistent session that the broker fills, also while no one looks: `open`, publish, then `collect`."""

    def __init__(self, broker: LocalBroker, pattern: str) -> None:
        self._broker = broker
        self._pattern = pattern
        self._client_id = a_name()

    async def open(self) -> None:
        """Subscribes, and leaves."""
        async with self._client() as client:
            await client.subscribe(self._pattern, max_qos=mqtt5.QoS.AT_LEAST_ONCE)

    async def collect(self, distinct: int) -> list[mqtt5.PublishPacket]:
        """Everything that came until there are so many distinct payloads, in the order of arrival."""
        packets: list[mqtt5.PublishPacket] = []
        seen: set[bytes] = set()
        async with self._client() as client, asyncio.timeout(20):
            async for packet in client.messages():
                assert isinstance(packet, mqtt5.PublishPacket)
                assert packet.packet_id is not None
                await client.puback(packet.packet_id)
                packets.append(packet)
                seen.add(packet.payload)
                if len(seen) == distinct:
                    break
        return packets

    def _client(self) -> aiomqtt.Client:
        return aiomqtt.Client(
            hostname="127.0.0.1",
            port=self._broker.port,
            identifier=self._client_id,
            session_expiry_interval=3600,
            keep_alive=60,  # the built-in broker refuses a client without one
        )


@dataclass
class Wire:
    """One connection that went through a tap: the packets of each direction, and the most that were unacknowledged."""

    sent: list[mqtt5.Packet] = field(default_factory=list)
    answered: list[mqtt5.Packet] = field(default_factory=list)
    outstanding: int = 0
    most_outstanding: int = 0

    @property
    def publications(self) -> list[mqtt5.PublishPacket]:
        return [packet for packet in self.sent if isinstance(packet, mqtt5.PublishPacket)]

    def record_sent(self, packet: mqtt5.Packet) -> None:
        self.sent.append(packet)
        if isinstance(packet, mqtt5.PublishPacket):
            self.outstanding += 1
            self.most_outstanding = max(self.most_outstanding, self.outstanding)

    def record_answered(self, packet: mqtt5.Packet) -> None:
        self.answered.append(packet)
        self.outstanding -= isinstance(packet, mqtt5.PubAckPacket)


class Tap:
    """A relay between publisher and broker that records packets, can swallow PUBACKs, and can cut the line."""

    def __init__(self, broker: LocalBroker) -> None:
        self.broker = broker
        self.swallow_pubacks = False
        self.wires: list[Wire] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._relays: list[asyncio.Task[None]] = []

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[BrokerAddress]:
        """Gives the address to publish to."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield BrokerAddress("127.0.0.1", server.sockets[0].getsockname()[1])
        finally:
            server.close()
            self.cut()
            await asyncio.gather(*self._relays)

    def cut(self) -> None:
        """Drops every connection on the spot."""
        for writer in self._writers:
            writer.transport.abort()

    def say(self, packet: mqtt5.Packet) -> None:
        """Sends a packet to the publisher as if it were the broker's."""
        self._writers[-2].write(packet.write())

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._relays.append(asyncio.create_task(self._relay(reader, writer)))

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire()
        self.wires.append(wire)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.broker.port)
        self._writers += [writer, far_writer]
        await asyncio.gather(
            self._pump(reader, far_writer, wire.record_sent),
            self._pump(far_reader, writer, wire.record_answered),
        )
        for end in (writer, far_writer):
            with contextlib.suppress(ConnectionError):
                await end.wait_closed()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: Callable[[mqtt5.Packet], None]
    ) -> None:
        buffer = b""
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                buffer += data
                packets, buffer = _split(buffer)
                for packet in packets:
                    record(packet)
                    if not (self.swallow_pubacks and isinstance(packet, mqtt5.PubAckPacket)):
                        writer.write(packet.write())
                await writer.drain()
        writer.close()


def _split(buffer: bytes) -> tuple[list[mqtt5.Packet], bytes]:
    """The whole packets at the start of the buffer, and what is left of it."""
    packets: list[mqtt5.Packet] = []
    while buffer:
        try:
            packet, size = mqtt5.read(memoryview(buffer))
        except IndexError:
            break
        packets.append(packet)
        buffer = buffer[size:]
    return packets, buffer
