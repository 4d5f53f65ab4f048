"""One connection to the broker: aiomqtt's client, with a gate before it and acknowledgements in bulk behind it.

The only place that touches aiomqtt's private parts (`_receive`, `_send`, `_pingreq`, `_tasks`, `_reader`, `_writer`, `_ssl_context`),
because its public iterator cannot be paused, drops QoS 0 without a waiting consumer and loses a message when cancelled, its `puback` is a
system call a message, and it has no public ping and no public way to end a session (docs/adr/0003-connection.md).
A Connection is used once: reconnecting makes a new one, so nothing of an old session can leak into a new one.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

import aiomqtt
import mqtt5

from joulegate_core.broker import BrokerAddress
from joulegate_core.errors import BrokerUnavailableError
from joulegate_core.telemetry import MAX_PACKET_BYTES
from joulegate_core.tls import BROKER, ask_why_closed, tls_failure, why_tls_failed

if TYPE_CHECKING:
    from typing import Self

KEEP_ALIVE_SECONDS = 30
CONNECT_TIMEOUT_SECONDS = 10.0
CLOSE_TIMEOUT_SECONDS = 5.0

RECEIVE_BUFFER_BYTES = 4 * MAX_PACKET_BYTES
"""For what was received and not yet parsed: a packet in part, and one read (16 KiB). aiomqtt's own size is 16 MiB, walked through from
end to end before it is used again: no cache holds that, and unsettled deliveries keep their connection (400 MB, when the database
stalled again and again)."""

Deliver = Callable[["Connection", aiomqtt.PublishPacket], None]


class Connection(aiomqtt.Client):
    """A connection with a persistent session. Every PUBLISH goes to `deliver` at once, in order of arrival, while the gate is open.

    Args:
        deliver: called for each PUBLISH, synchronously.
        gate: while it is cleared nothing is read, and TCP pushes back on the broker.
        lull: for how many seconds nothing more need be delivered; asked after each delivery.
        session_expiry_seconds: how long the broker keeps session and queue after the connection ends.
    """

    def __init__(
        self,
        address: BrokerAddress,
        *,
        deliver: Deliver,
        gate: asyncio.Event,
        lull: Callable[[], float] = lambda: 0.0,
        client_id: str,
        receive_maximum: int,
        session_expiry_seconds: int,
    ) -> None:
        super().__init__(
            hostname=address.host,
            port=address.port,
            username=address.username,
            password=address.password.encode() if address.password is not None else None,
            identifier=client_id,
            clean_start=False,
            session_expiry_interval=session_expiry_seconds,
            keep_alive=KEEP_ALIVE_SECONDS,
            receive_max=receive_maximum,
            max_packet_size=MAX_PACKET_BYTES,
        )
        self._buffer_in = type(self._buffer_in)(size=RECEIVE_BUFFER_BYTES)
        self._address = address
        self._deliver = deliver
        self._gate = gate
        self._lull = lull
        self._last_packet = time.monotonic()
        self._watchdog: asyncio.Task[None] | None = None
        self._pinging = asyncio.Lock()
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done when the connection has ended, with the reason."""
        self.taken_over = False
        """True when it ended because another client uses our client id (reason code 0x8E)."""
        self.session_present = False
        """True when the broker resumed a session."""
        self.session_expiry_seconds: int | None = None
        """How long the broker keeps the session; None when as long as it was asked to (MQTT 5, 3.2.2.3.2)."""

    async def open(self) -> "Self":
        """Connects.

        Raises:
            BrokerUnavailableError: no broker answers, or it refuses; the message says what to look at.
        """
        self._ssl_context = self._address.ssl_context()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                await self._probe()
                await self.__aenter__()
            connack = await self.connected()
            self.session_present = connack.session_present
            self.session_expiry_seconds = connack.session_expiry_interval
        except (OSError, aiomqtt.ConnectError, aiomqtt.ProtocolError, aiomqtt.NegativeAckError, TimeoutError) as error:
            self._abort()
            raise BrokerUnavailableError(await self._why_unusable(error)) from error
        except BaseException:  # cancelled by a stop
            self._abort()
            raise
        self._tasks.add_done_callback(self._tasks_ended)
        self._watchdog = asyncio.create_task(self._watch(), name="mqtt-watchdog")
        return self

    async def _why_unusable(self, error: Exception) -> str:
        """In words for people: what happened, and what to do."""
        beginning = f"the broker at {self._endpoint} cannot be used: "
        refused = tls_failure(error)
        is_closed = isinstance(error, ConnectionError | aiomqtt.ConnectError)
        if refused is None and is_closed and self._ssl_context is not None:
            refused = await ask_why_closed(self._address.host, self._address.port, self._ssl_context)
        if refused is not None:
            return beginning + why_tls_failed(refused, BROKER)
        return (
            f"{beginning}{str(error) or 'it does not answer'}. "
            "Check JOULEGATE_MQTT_URL and that an MQTT 5 broker is running"
        )

    async def close(self) -> None:
        """Sends DISCONNECT and closes; the session stays at the broker. Never raises for a connection that is lost."""
        try:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                    await self._stop_tasks()
                    await self.__aexit__(None, None, None)
        finally:
            self._abort()
            # unsettled deliveries keep a connection, and so do its own cycles until the garbage is looked for
            self._buffer_in = type(self._buffer_in)(size=0)

    async def end_session(self) -> bool:
        """Closes with a DISCONNECT that ends the session (MQTT 5, 3.14.2.2.2).

        True when the broker has closed in turn: it has then read that and every acknowledgement before it.
        """
        ended = False
        if not self.lost.done():
            try:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                        await self._stop_tasks()
                        await self._send(mqtt5.DisconnectPacket(session_expiry_interval=0))
                        await self._reader.read()
                        ended = True
            finally:
                self._abort()
        return ended

    def acknowledge(self, packet_ids: Iterable[int]) -> None:
        """Sends PUBACKs in the order given, in one write. Does nothing once the connection is lost: the broker sends again.

        Not awaited: at most Receive Maximum acknowledgements of four bytes wait in the socket's buffer.
        """
        if not self.lost.done() and not self._writer.is_closing():  # uvloop raises for a transport that is closed
            self._writer.write(b"".join([mqtt5.PubAckPacket(packet_id).write() for packet_id in packet_ids]))
            self._most_recent_packet_sent_time = time.monotonic()

    async def ping(self) -> None:
        """Returns when the broker has answered a PINGREQ; whatever it sent before that has then been delivered.

        Raises:
            aiomqtt.ConnectError: the connection has ended.
        """
        try:
            await self._pingreq()
        except aiomqtt.ConnectError as error:
            self._end(str(error))
            raise

    async def _pingreq(self) -> mqtt5.PingRespPacket:
        """One at a time: aiomqtt has one place for the answer, and its keep-alive asks too."""
        async with self._pinging:
            return await super()._pingreq()

    async def _send(self, packet: mqtt5.Packet) -> None:
        """Turns everything that a broken connection raises into aiomqtt's own error; uvloop raises RuntimeError."""
        try:
            await super()._send(packet)
        except (OSError, RuntimeError, aiomqtt.ConnectError) as error:
            if isinstance(packet, mqtt5.DisconnectPacket):
                return  # nobody is left to be told; aiomqtt would write a traceback into the log
            raise aiomqtt.ConnectError(self._endpoint) from error

    async def _receive(self) -> mqtt5.Packet:
        """Takes PUBLISH packets out of aiomqtt's hands; everything else it handles itself."""
        while True:
            if not self._gate.is_set():
                await self._gate.wait()
                self._last_packet = time.monotonic()
            try:
                packet = await super()._receive()
            except (aiomqtt.ConnectError, aiomqtt.ProtocolError, OSError) as error:
                if not self.lost.done() and not hasattr(self, "_disconnected"):
                    raise  # still connecting: open() reports it
                self._end(str(error) or type(error).__name__)
                await asyncio.Future()  # nothing more comes of this connection; close() cancels
            self._last_packet = time.monotonic()
            if isinstance(packet, mqtt5.PublishPacket):
                await self._gate.wait()  # a stop may have shut it while we waited for the packet: it is not taken then
                self._deliver(self, packet)
                self._deliver_buffered()
                await self._rest(self._lull())
                continue
            if isinstance(packet, mqtt5.PingRespPacket) and self._pending_pingresp.done():
                continue  # who asked was cancelled; aiomqtt would fail
            if isinstance(packet, mqtt5.DisconnectPacket):
                self.taken_over = packet.reason_code == mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER
                self._end(f"the broker disconnected: {packet.reason_code.name}")
            return packet

    def _deliver_buffered(self) -> None:
        """Delivers the PUBLISH packets that are already here, without a coroutine for each."""
        buffer = self._buffer_in
        while self._gate.is_set():
            try:
                packet, size = mqtt5.read(buffer.view[buffer.left : buffer.right])
            except (IndexError, ValueError):
                return  # incomplete: more must be read; malformed: aiomqtt finds that again, and disconnects
            if not isinstance(packet, mqtt5.PublishPacket):
                return  # read again by aiomqtt, which handles it
            buffer.left += size
            self._deliver(self, packet)

    async def _rest(self, seconds: float) -> None:
        """Lets others work, and messages gather at the socket: to be woken for each of them costs several times what the message does."""
        if not seconds:
            await asyncio.sleep(0)  # a backlog never makes reading wait: the database's answers come in between
            return
        transport = cast("asyncio.Transport", self._writer.transport)
        transport.pause_reading()
        try:
            await asyncio.sleep(seconds)
        finally:
            transport.resume_reading()

    async def _probe(self) -> None:
        """Finds out without blocking whether the broker can be reached: aiomqtt's own connect blocks the event loop."""
        _, writer = await asyncio.open_connection(self._hostname, self._port)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def _watch(self) -> None:
        """Ends a half-open connection: with keep-alive something must arrive in every interval."""
        limit = KEEP_ALIVE_SECONDS * 1.5
        while True:
            await asyncio.sleep(KEEP_ALIVE_SECONDS / 4)
            if self._gate.is_set() and time.monotonic() - self._last_packet > limit:
                self._end(f"nothing received for {limit:.0f} s")

    async def _stop_tasks(self) -> None:
        """Ends the background tasks. Were that left to aiomqtt, it would take a cancellation of ours for the end of its tasks."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        if not self.lost.done():
            self.lost.set_result("closed by the gateway")
        if hasattr(self, "_tasks"):
            self._tasks.cancel()
            await asyncio.wait({self._tasks})

    def _tasks_ended(self, tasks: asyncio.Task[None]) -> None:
        error = None if tasks.cancelled() else tasks.exception()
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        self._end(f"the client's background tasks ended: {type(error).__name__}")

    def _end(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)
            self._abort()

    def _abort(self) -> None:
        if hasattr(self, "_writer"):
            self._writer.transport.abort()
        elif hasattr(self, "_socket"):
            self._socket.close()
