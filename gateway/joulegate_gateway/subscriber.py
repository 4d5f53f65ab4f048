"""The subscriber: keeps one connection to the broker, feeds the inbox, and leaves the queue to the broker during an outage."""

import asyncio
import contextlib
import random
import time
from collections.abc import Iterable
from typing import Any

import aiomqtt
import stamina
import structlog
from aiomqtt import QoS, RetainHandling

from joulegate_core.broker import BrokerAddress
from joulegate_core.clock import Clock
from joulegate_core.errors import BrokerUnavailableError, SessionTakenOverError
from joulegate_core.settings import Settings
from joulegate_core.telemetry import TOPIC_FILTERS
from joulegate_gateway.connection import Connection
from joulegate_gateway.decoder import Decoder
from joulegate_gateway.inbox import Delivery, Inbox
from joulegate_gateway.ledger import Metrics
from joulegate_gateway.pipeline import Pipeline

log = structlog.get_logger()

MAX_BACKOFF_SECONDS = 5.0
SETTLED_CONNECTION_SECONDS = 5.0
"""A connection that ends sooner than this is followed by a pause, so that a broker that throws us out is not hammered."""

CLOCK_SECONDS = 0.01
"""Messages that arrive within this share one look at the clock: their times are compared with minutes and days."""


class Subscriber:
    """Connects, subscribes, delivers; reconnects with jittered backoff. `subscribed` is true while both SUBACKs are in."""

    def __init__(
        self,
        settings: Settings,
        address: BrokerAddress,
        *,
        inbox: Inbox,
        pipeline: Pipeline,
        decoder: Decoder,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self.subscribed = False
        self._settings = settings
        self._address = address
        self._inbox = inbox
        self._pipeline = pipeline
        self._decoder = decoder
        self._metrics = metrics
        self._clock = clock
        self._now = clock()
        self._looked_at_clock = time.monotonic()

    async def run(self, stop: asyncio.Event, *, drained: asyncio.Event) -> None:
        """Runs until `stop`; then takes nothing more in, waits for `drained`, and disconnects. The session stays.

        Raises:
            SessionTakenOverError: another client connected with our client id.
        """
        while not stop.is_set():
            connection = await self._connect(stop)
            if connection is None:
                break
            started = time.monotonic()
            try:
                await self._serve(connection, stop, drained)
            finally:
                self.subscribed = False
                await connection.close()
            if not stop.is_set():
                self._metrics.reconnects.inc()
                await self._pause(time.monotonic() - started, stop)
        self._inbox.close()
        if self._pipeline.healthy.is_set():  # what was taken with QoS 0 is nowhere else
            await drained.wait()

    async def _connect(self, stop: asyncio.Event) -> Connection | None:
        """Connects and subscribes, for as long as it takes; None when `stop` came first."""
        connecting = asyncio.create_task(self._connect_retrying(), name="mqtt-connect")
        stopping = asyncio.create_task(stop.wait(), name="mqtt-connect-stop")
        try:
            await _first({connecting, stopping})
            return await connecting if connecting.done() else None
        finally:
            for task in (connecting, stopping):
                task.cancel()
            await asyncio.gather(connecting, stopping, return_exceptions=True)

    async def _connect_retrying(self) -> Connection:
        async for attempt in stamina.retry_context(
            on=BrokerUnavailableError, attempts=None, timeout=None, wait_initial=0.1, wait_max=MAX_BACKOFF_SECONDS
        ):
            with attempt:
                await self._pipeline.healthy.wait()
                try:
                    return await self._open()
                except BrokerUnavailableError as error:
                    log.warning("broker_unavailable", error=str(error))
                    raise
        raise AssertionError("unreachable: retries are not limited")

    async def _open(self) -> Connection:
        connection = Connection(
            self._address,
            deliver=self._deliver,
            gate=self._inbox.gate,
            client_id=self._settings.client_id,
            receive_maximum=self._settings.receive_maximum,
            session_expiry_seconds=self._settings.session_expiry_seconds,
        )
        await connection.open()
        try:
            if self._settings.subscribe == "always" or not connection.session_present:
                await self._subscribe(connection)
        except BaseException:
            await connection.close()
            raise
        self.subscribed = True
        log.info("subscribed", broker=self._address.endpoint, session_present=connection.session_present)
        return connection

    async def _subscribe(self, connection: Connection) -> None:
        """Subscribes to both streams. A resumed session must not get retained messages again: Retain Handling 2."""
        prefix = f"$share/{self._settings.share_group}/" if self._settings.share_group else ""
        for topic_filter in TOPIC_FILTERS.values():
            subscribing = asyncio.create_task(
                connection.subscribe(
                    prefix + topic_filter, max_qos=QoS.AT_LEAST_ONCE, retain_handling=RetainHandling.SEND_NEVER
                )
            )
            # a resumed session's backlog comes before SUBACK, and an outage of the database shuts the gate to both
            outage = asyncio.create_task(self._pipeline.outage.wait(), name="mqtt-subscribe-outage")
            try:
                await _first({subscribing, connection.lost, outage})
                if not subscribing.done():
                    why = connection.lost.result() if connection.lost.done() else "the database is out"
                    raise BrokerUnavailableError(f"the connection ended before the answer to SUBSCRIBE: {why}")
                await subscribing
            except aiomqtt.NegativeAckError as error:
                raise BrokerUnavailableError(
                    f"the broker refused the subscription to {prefix}{topic_filter}: {error}"
                ) from error
            except (aiomqtt.ConnectError, aiomqtt.ProtocolError) as error:
                raise BrokerUnavailableError(f"the connection ended before the answer to SUBSCRIBE: {error}") from error
            finally:
                subscribing.cancel()
                outage.cancel()

    async def _serve(self, connection: Connection, stop: asyncio.Event, drained: asyncio.Event) -> None:
        """Returns when the connection is lost, the database is out, or `stop` came and what was taken is settled."""
        stopping = asyncio.create_task(stop.wait(), name="mqtt-stop")
        outage = asyncio.create_task(self._pipeline.outage.wait(), name="mqtt-outage")
        try:
            await _first({connection.lost, stopping, outage})
        finally:
            stopping.cancel()
            outage.cancel()
        if stop.is_set():
            self._inbox.close()
            await drained.wait()
        elif connection.lost.done():
            if connection.taken_over:
                raise SessionTakenOverError(  # the id itself is not named: whoever knows it can take the session
                    f"another client connected to {self._address.endpoint} with this gateway's client id: "
                    "give each gateway a JOULEGATE_CLIENT_ID of its own"
                )
            log.warning("connection_lost", reason=connection.lost.result())
        else:
            log.warning("queue_left_to_broker", reason="the database is out")

    def _deliver(self, connection: Connection, packet: aiomqtt.PublishPacket) -> None:
        arrived = time.monotonic()
        if arrived - self._looked_at_clock > CLOCK_SECONDS:
            self._looked_at_clock, self._now = arrived, self._clock()
        message = self._decoder.decode(packet.topic, packet.payload, self._now)
        self._metrics.ledger.received[message.stream] += 1
        self._inbox.put(Delivery(message, connection, packet.packet_id, arrived))

    async def _pause(self, lived_seconds: float, stop: asyncio.Event) -> None:
        if lived_seconds < SETTLED_CONNECTION_SECONDS:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(0.1, 1.0)):  # noqa: S311 - jitter
                    await stop.wait()


async def _first(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Waits until one of `futures` is done; cancels none."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
