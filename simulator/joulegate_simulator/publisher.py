"""A fast MQTT 5 publisher that keeps what the broker has not acknowledged, and survives the broker's restarts."""

import asyncio
import ssl
import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self

import mqtt5
import stamina
import structlog

from joulegate_core.broker import BrokerAddress
from joulegate_core.errors import BrokerUnavailableError, SessionTakenOverError
from joulegate_simulator.connection import BrokerConnection, open_connection
from joulegate_simulator.counts import PublisherCounts
from joulegate_simulator.in_flight import MAX_PACKET_ID, InFlight, encode
from joulegate_simulator.refusals import FIRST_REFUSAL, puback_reason

DEFAULT_WINDOW = 4096
"""Unacknowledged publications: more gains nothing on loopback, and this covers 40,000 messages/s at 100 ms round trip."""

RECONNECT_CAP_SECONDS = 5.0
"""Longest wait between two attempts to connect."""

log = structlog.get_logger(__name__)


class Publisher:
    """Publishes over one connection, and reconnects by itself once it was connected.

    After a lost connection everything unacknowledged is sent again in its first order: with DUP and the same packet
    ids when the broker kept the session, as new publications when it did not. Nothing is lost at QoS 1; a subscriber
    can see a message twice. Not reusable after its `async with` block, and not to be shared between event loops.

        async with Publisher(address, client_id="filler", window=1000) as publisher:
            await publisher.publish("fleet/cp-1/meter", payload)
            await publisher.drain()
    """

    def __init__(
        self,
        address: BrokerAddress,
        *,
        client_id: str,
        window: int = DEFAULT_WINDOW,
        keep_alive_seconds: int = 30,
        on_acknowledged: Callable[[str, bytes], None] | None = None,
        quiet: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Prepares a publisher; entering it connects.

        Args:
            address: the broker.
            client_id: no other client of the broker may have it.
            window: most unacknowledged publications, 1 to 65,535; the broker's Receive Maximum can lower it.
            keep_alive_seconds: a broker that is silent for so long is given up and connected to anew.
            on_acknowledged: called with topic and payload for each PUBACK that accepts a publication, in the order of
                arrival. It runs on the event loop: it must be quick and must not raise.
            quiet: lost and restored connections are only counted, not told in the log: for thousands of them.
            tls: a context to share; otherwise each connection loads the system's certificate authorities, in tens of milliseconds.
        """
        if not 1 <= window <= MAX_PACKET_ID:
            raise ValueError(f"window must be 1 to {MAX_PACKET_ID}, not {window}")
        self._address = address
        self._client_id = client_id
        self._window = window
        self._keep_alive_seconds = keep_alive_seconds
        self._on_acknowledged = on_acknowledged
        self._quiet = quiet
        self._dropped = False
        self._tls = tls
        self._in_flight = InFlight()
        self._changed = asyncio.Event()
        self._connection: BrokerConnection | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._failure: Exception | None = RuntimeError("a Publisher works only inside its `async with` block")
        self._limit = window
        self._resend_limit = 1
        self._max_packet_bytes: int | None = None
        self._session_present = False
        self._published = self._acknowledged = self._refused = self._resent = self._reconnects = 0
        self._refusal: str | None = None

    @property
    def counts(self) -> PublisherCounts:
        """What became of the publications so far."""
        return PublisherCounts(
            published=self._published,
            acknowledged=self._acknowledged,
            refused=self._refused,
            pending=len(self._in_flight.waiting),
            resent=self._resent,
            reconnects=self._reconnects,
            refusal=self._refusal,
        )

    async def __aenter__(self) -> Self:
        """Connects.

        Raises:
            BrokerUnavailableError: the broker cannot be reached, or refuses; the first connection is not tried twice.
        """
        connection = await self._connect(clean_start=True)
        self._failure = None
        self._supervisor = asyncio.create_task(self._stay_connected(connection), name=f"publisher {self._client_id}")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Disconnects and ends the session. What is unacknowledged is given up: call `drain` before."""
        self._failure = RuntimeError("the Publisher was closed")
        self._changed.set()
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])
        if self._connection is not None:
            await self._connection.close()

    async def publish(self, topic: str, payload: bytes, *, qos: Literal[0, 1] = 1) -> None:
        """Hands a message over; waits only while the window or the socket is full, or the connection is down.

        Raises:
            SessionTakenOverError: another client uses our client id; nothing can be published any more.
            ValueError: the message is larger than the broker accepts, or the topic is not a valid MQTT string.
            RuntimeError: it is called outside the `async with` block.
        """
        while not self.try_publish(topic, payload, qos=qos):
            self._changed.clear()
            await self._changed.wait()

    def try_publish(self, topic: str, payload: bytes, *, qos: Literal[0, 1] = 1) -> bool:
        """Hands a message over when that is possible without waiting; says whether it was. Raises as `publish` does."""
        connection = self._room(qos)
        if connection is None:
            return False
        if qos:
            packet_id = self._in_flight.free_id()
            packet = encode(topic, payload, packet_id)
        else:
            packet_id = 0
            packet = mqtt5.PublishPacket(topic, payload).write()
        if self._max_packet_bytes is not None and len(packet) > self._max_packet_bytes:
            raise ValueError(f"the broker accepts packets of up to {self._max_packet_bytes} bytes, not {len(packet)}")
        if packet_id:
            self._in_flight.add(packet_id, (topic, payload))
        self._published += 1
        connection.send(packet)
        return True

    def drop(self) -> None:
        """Breaks the connection, as a bad line does, and opens it again at once: that is no sign of a broker in trouble."""
        if self._connection is not None:
            self._dropped = True
            self._connection.abort()

    async def drain(self) -> None:
        """Waits until every QoS 1 publication is acknowledged or refused; bound it with `asyncio.timeout`.

        Raises:
            SessionTakenOverError: another client uses our client id.
        """
        while self._in_flight.waiting:
            if self._failure is not None:
                raise self._failure
            self._changed.clear()
            await self._changed.wait()

    def _room(self, qos: int) -> BrokerConnection | None:
        """The connection, when it can take a publication of this QoS now."""
        if self._failure is not None:
            raise self._failure
        connection = self._connection
        if connection is None or not connection.writable or self._in_flight.resend:
            return None
        if qos and len(self._in_flight.waiting) >= self._limit:
            return None
        return connection

    async def _connect(self, *, clean_start: bool) -> BrokerConnection:
        connection = await open_connection(
            self._address,
            client_id=self._client_id,
            clean_start=clean_start,
            keep_alive_seconds=self._keep_alive_seconds,
            on_puback=self._take_puback,
            on_progress=self._take_progress,
            tls=self._tls,
        )
        connack = connection.connack.result()
        self._limit = min(self._window, connack.receive_max)
        self._max_packet_bytes = connack.max_packet_size
        self._session_present = connack.session_present
        self._resend_limit = 1
        self._in_flight.start_again()
        self._connection = connection
        self._take_progress()
        return connection

    async def _stay_connected(self, connection: BrokerConnection) -> None:
        """Replaces lost connections for ever.

        One that lived shortly counts as a failed attempt, so that a broker that accepts us only to throw us out, or a
        twin with our client id, is not fought in a busy loop.
        """
        try:
            while True:
                async for attempt in stamina.retry_context(
                    on=BrokerUnavailableError,
                    attempts=None,
                    timeout=None,
                    wait_initial=0.1,
                    wait_jitter=0.4,
                    wait_max=RECONNECT_CAP_SECONDS,
                ):
                    with attempt:
                        if connection.lost.is_set():
                            connection = await self._connect(clean_start=False)
                            self._reconnects += 1
                            if not self._quiet:
                                log.info("broker_reconnected", endpoint=self._address.endpoint)
                        await self._outlive(connection)
        except Exception as error:  # noqa: BLE001 - whoever publishes or drains raises it
            self._failure = error
            self._changed.set()

    async def _outlive(self, connection: BrokerConnection) -> None:
        """Waits for the end of a connection; raises BrokerUnavailableError when that came soon.

        A broker says why it ends a connection if it likes: mosquitto 2.0.11 only closes the one that is taken over.
        """
        opened = time.monotonic()
        await connection.lost.wait()
        if self._dropped:
            self._dropped = False
            return
        if connection.goodbye is mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER:
            raise SessionTakenOverError(
                f"another client connected to {self._address.endpoint} as {self._client_id}: stop one of the two"
            )
        reason = "closed" if connection.goodbye is None else connection.goodbye.name.lower()
        if not self._quiet:
            log.warning("broker_connection_lost", endpoint=self._address.endpoint, reason=reason)
        if time.monotonic() - opened < RECONNECT_CAP_SECONDS:
            raise BrokerUnavailableError(f"the broker at {self._address.endpoint} ended the connection ({reason})")

    def _take_puback(self, packet_id: int, reason: int) -> None:
        publication = self._in_flight.settle(packet_id)
        if publication is None:
            return
        self._resend_limit += 1
        if reason < FIRST_REFUSAL:
            self._acknowledged += 1
            if self._on_acknowledged is not None:
                self._on_acknowledged(*publication)
        else:
            self._refused += 1
            self._refusal = puback_reason(reason)

    def _take_progress(self) -> None:
        """Sends again what a new connection has not carried yet, as far as there is room, and wakes who waits.

        It starts with one and goes on with two for each PUBACK: mosquitto 2.0.11 closes after a negative PUBACK, and
        packets that it then has not read make the kernel throw that PUBACK away. Alone, it arrives.
        """
        connection = self._connection
        while (
            self._in_flight.resend
            and connection is not None
            and connection.writable
            and self._in_flight.outstanding < min(self._limit, self._resend_limit)
        ):
            packet_id, (topic, payload) = self._in_flight.next_resend()
            connection.send(encode(topic, payload, packet_id, duplicate=self._session_present))
            self._resent += 1
        self._changed.set()
