"""Publishes packets that aiomqtt's client would not send: any property, any topic, any QoS, well formed or not."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import mqtt5
from mqtt5 import QoS

from joulegate_cli.local.broker import LocalBroker

PACKET_ID = 1
PUBREL = bytes((0x62, 2, 0, PACKET_ID))


class RawPublisher:
    """One connection to the broker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, topic: str | bytes, payload: bytes, *, qos: int = 1, **properties: Any) -> bytes:
        """Sends one PUBLISH; returns what the broker answers to it: an acknowledgement, DISCONNECT, or nothing when it hangs up.

        A topic of bytes need not be UTF-8.
        """
        text = topic if isinstance(topic, str) else "~" * len(topic)
        packet = mqtt5.PublishPacket(
            text, payload, qos=QoS(qos), packet_id=PACKET_ID if qos else None, **properties
        ).write()
        self._writer.write(packet if isinstance(topic, str) else packet.replace(text.encode(), topic))
        answer = await self._answer() if qos else b""
        if answer[:1] == b"\x50":  # PUBREC
            self._writer.write(PUBREL)
            answer = await self._answer()
        return answer

    async def _answer(self) -> bytes:
        try:
            async with asyncio.timeout(20):
                return await self._reader.read(100)
        except ConnectionError:
            return b""


@asynccontextmanager
async def raw_publisher(broker: LocalBroker) -> AsyncIterator[RawPublisher]:
    """Connects with a client id of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    writer.write(mqtt5.ConnectPacket(f"raw-{secrets.token_hex(6)}", clean_start=True, keep_alive=60).write())
    try:
        async with asyncio.timeout(20):
            await reader.readexactly((await reader.readexactly(2))[1])  # CONNACK
        yield RawPublisher(reader, writer)
    finally:
        writer.close()
