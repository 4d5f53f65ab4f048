"""One MQTT 5 connection of a publisher: handshake, batched writes, pings. It ends with its socket and never reconnects."""

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

import mqtt5

from joulegate_core.broker import BrokerAddress
from joulegate_core.tls import ask_why_closed, tls_failure
from joulegate_simulator.refusals import check_connack, unreachable

CONNECT_TIMEOUT_SECONDS = 10.0
"""For TCP, TLS and CONNACK together."""

CLOSE_TIMEOUT_SECONDS = 2.0
"""How long a closing connection may take to hand its last bytes to the kernel."""

SESSION_EXPIRY_SECONDS = 3600
"""How long the broker remembers an interrupted session, so that a resent publication is known as a duplicate."""

MAX_BATCH_PACKETS = 512
"""Packets gathered for one write: bounds memory, and makes a tight publishing loop yield to the event loop."""

WRITE_BUFFER_BYTES = 256 * 1024
"""Bytes the transport may hold before it asks us to pause: about two batches of readings."""

_PUBACK_BYTE = 0x40
_SHORT_PUBACK = range(2, 128)  # remaining lengths that take one byte themselves
_REASON_AT = 4  # a PUBACK that is shorter has no reason code, which means success


class BrokerConnection(asyncio.Protocol):
    """An open connection. Use `open_connection` to get one.

    Attributes:
        connack: the broker's answer to CONNECT.
        lost: set once the connection is gone, for whatever reason.
        goodbye: the reason the broker gave in a DISCONNECT, if it sent one.
    """

    def __init__(self, *, on_puback: Callable[[int, int], None], on_progress: Callable[[], None]) -> None:
        """`on_puback` gets (packet id, reason code); `on_progress` is called when there may be room to send, or none ever again."""
        self._loop = asyncio.get_running_loop()
        self._on_puback = on_puback
        self._on_progress = on_progress
        self._transport: asyncio.Transport | None = None
        self._batch: list[bytes] = []
        self._partial = b""
        self._paused = False
        self._heard = True
        self._ping_timer: asyncio.TimerHandle | None = None
        self.connack: asyncio.Future[mqtt5.ConnAckPacket] = self._loop.create_future()
        self.lost = asyncio.Event()
        self.goodbye: mqtt5.DisconnectReasonCode | None = None

    @property
    def writable(self) -> bool:
        """Whether a packet may be sent now: connected, and neither the socket nor the batch is full."""
        return self._transport is not None and not self._paused and len(self._batch) < MAX_BATCH_PACKETS

    def send(self, packet: bytes) -> None:
        """Queues an encoded packet; all that is queued in one turn of the event loop leaves in one write."""
        if not self._batch:
            self._loop.call_soon(self._flush)
        self._batch.append(packet)

    def keep_alive(self, seconds: int) -> None:
        """Pings twice in `seconds`, and gives the connection up when nothing was heard between two pings. 0 is off."""
        if seconds > 0 and self._transport is not None:
            self._ping_timer = self._loop.call_later(seconds / 2, self._ping, seconds)

    async def close(self) -> None:
        """Sends DISCONNECT, which ends the session too, and waits shortly until everything written has left."""
        if self._transport is not None:
            self.send(mqtt5.DisconnectPacket(session_expiry_interval=0).write())
            self._flush()
            self._transport.close()
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                    await self.lost.wait()
            except TimeoutError:
                self.abort()

    def abort(self) -> None:
        """Drops the connection at once; what was queued is lost."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._batch.clear()
        if self._ping_timer is not None:
            self._ping_timer.cancel()
        if not self.connack.done():
            self.connack.set_exception(exc or ConnectionError("it closed the connection before it answered"))
        self.lost.set()
        self._on_progress()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._on_progress()

    def data_received(self, data: bytes) -> None:
        self._heard = True
        buffer = self._partial + data if self._partial else data
        offset = self._read_pubacks(buffer)
        while offset < len(buffer):
            try:
                packet, size = mqtt5.read(memoryview(buffer)[offset:])
            except IndexError:  # the rest of this packet is still on its way
                break
            except ValueError:
                self.abort()
                return
            if isinstance(packet, mqtt5.PubAckPacket):
                self._on_puback(packet.packet_id, packet.reason_code.value)
            else:
                self._handle(packet)
            offset = self._read_pubacks(buffer, offset + size)
        self._partial = buffer[offset:]
        self._on_progress()

    def _read_pubacks(self, buffer: bytes, offset: int = 0) -> int:
        """Takes the whole PUBACKs from here on; returns where something else, or a part of one, begins.

        By hand, because they are nearly all that arrives: a tenth of the codec's time. And because mosquitto answers 0x95 (packet too
        large) to a payload over its message_size_limit, which the codec refuses: MQTT 5 lists no such code for PUBACK.
        """
        last = len(buffer) - 4
        while offset <= last and buffer[offset] == _PUBACK_BYTE and (length := buffer[offset + 1]) in _SHORT_PUBACK:
            end = offset + 2 + length
            if end > len(buffer):
                break
            packet_id = buffer[offset + 2] << 8 | buffer[offset + 3]
            self._on_puback(packet_id, buffer[offset + _REASON_AT] if length > 2 else 0)  # noqa: PLR2004
            offset = end
        return offset

    def _handle(self, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.ConnAckPacket) and not self.connack.done():
            self.connack.set_result(packet)
        elif isinstance(packet, mqtt5.DisconnectPacket):
            self.goodbye = packet.reason_code
            self.abort()
        elif not isinstance(packet, mqtt5.PingRespPacket):
            self.abort()  # we subscribe to nothing: anything else is a protocol error

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        if batch and self._transport is not None:
            self._transport.write(b"".join(batch))
            self._on_progress()

    def _ping(self, seconds: int) -> None:
        if not self._heard:
            self.abort()
            return
        self._heard = False
        self.send(mqtt5.PingReqPacket().write())
        self.keep_alive(seconds)


async def open_connection(
    address: BrokerAddress,
    *,
    client_id: str,
    clean_start: bool,
    keep_alive_seconds: int,
    on_puback: Callable[[int, int], None],
    on_progress: Callable[[], None],
    tls: ssl.SSLContext | None = None,
) -> BrokerConnection:
    """Connects, logs in, and starts to ping; the broker's CONNACK can set another keep-alive.

    `tls`: a context to share. Without `clean_start` the broker goes on with the session of an earlier connection, if it still has it.

    Raises:
        BrokerUnavailableError: no such host, nobody listens, TLS fails, no answer in time, or the broker refuses.
    """
    loop = asyncio.get_running_loop()
    connect = mqtt5.ConnectPacket(
        client_id,
        username=address.username,
        password=None if address.password is None else address.password.encode(),
        clean_start=clean_start,
        keep_alive=keep_alive_seconds,
        session_expiry_interval=SESSION_EXPIRY_SECONDS,
    )
    connection = BrokerConnection(on_puback=on_puback, on_progress=on_progress)
    context = tls or address.ssl_context()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            await loop.create_connection(lambda: connection, address.host, address.port, ssl=context)
            connection.send(connect.write())
            connack = await connection.connack
        check_connack(address, connack)
    except OSError as error:
        connection.abort()
        refused = tls_failure(error)
        if refused is None and isinstance(error, ConnectionError) and context is not None:
            refused = await ask_why_closed(address.host, address.port, context)
        raise unreachable(address, refused or error) from error
    except BaseException:
        connection.abort()
        raise
    connection.keep_alive(keep_alive_seconds if connack.server_keep_alive is None else connack.server_keep_alive)
    return connection
