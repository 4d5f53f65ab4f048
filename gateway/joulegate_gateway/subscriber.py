"""The subscriber: keeps one connection to the broker, feeds the inbox, and leaves the queue to the broker during an outage."""

import asyncio
import contextlib
import random
import time
from collections.abc import Coroutine, Iterable
from typing import Any

import aiomqtt
import stamina
import structlog

from joulegate_core.broker import BrokerAddress
from joulegate_core.clock import Clock
from joulegate_core.errors import (
    BrokerUnavailableError,
    DatabaseUnavailableError,
    JoulegateError,
    SessionTakenOverError,
)
from joulegate_core.settings import Settings
from joulegate_gateway.broker_watch import DROPPED_TOPIC, BrokerWatch
from joulegate_gateway.connection import Connection
from joulegate_gateway.decoder import Decoder
from joulegate_gateway.errands import Errand, Leaving, Staying
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
    """Connects, subscribes, delivers; reconnects with jittered backoff.

    A gateway that leaves for good does the same, but unsubscribes, and ends the session when nothing more comes.

    Attributes:
        subscribed: true while both SUBACKs are in.
        left: true once the session was drained and ended.
    """

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
        leave: bool = False,
    ) -> None:
        self.subscribed = False
        self.left = False
        self._settings = settings
        self._address = address
        self._inbox = inbox
        self._pipeline = pipeline
        self._decoder = decoder
        self._metrics = metrics
        self._watch = BrokerWatch(metrics.broker_dropped)
        self._clock = clock
        self._errand: Errand = (
            Leaving(settings, metrics.ledger) if leave else Staying(settings, self._watch, metrics.sessions_lost)
        )
        self._now = clock()
        self._looked_at_clock = time.monotonic()

    async def run(self, stop: asyncio.Event, *, drained: asyncio.Event) -> None:
        """Runs until `stop`; then takes nothing more in, waits for `drained`, and disconnects. The session stays.

        Raises:
            SessionTakenOverError: another client connected with our client id.
            UnsubscribeError: the session cannot be left.
        """
        while not (stop.is_set() or self.left):
            connection = await self._connect(stop)
            if connection is None:
                break
            started = time.monotonic()
            try:
                await self._serve(connection, stop, drained)
            finally:
                self.subscribed = False
                await connection.close()
            if not (stop.is_set() or self.left):
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
            on=(BrokerUnavailableError, DatabaseUnavailableError),
            attempts=None,
            timeout=None,
            wait_initial=0.1,
            wait_max=MAX_BACKOFF_SECONDS,
        ):
            with attempt:
                await self._pipeline.healthy.wait()
                try:
                    return await self._open()
                except BrokerUnavailableError as error:
                    log.warning("broker_unavailable", error=str(error))
                    raise
                except DatabaseUnavailableError as error:
                    log.warning("database_unavailable", error=str(error))
                    raise
        raise AssertionError("unreachable: retries are not limited")

    async def _open(self) -> Connection:
        await self._errand.prepare()
        connection = Connection(
            self._address,
            deliver=self._deliver,
            gate=self._inbox.gate,
            lull=self._inbox.lull,
            client_id=self._settings.client_id,
            receive_maximum=self._settings.receive_maximum,
            session_expiry_seconds=self._settings.session_expiry_seconds,
        )
        await connection.open()
        try:
            await self._answered(connection, self._errand.begin(connection))
        except BaseException:
            await connection.close()
            raise
        self.subscribed = self._errand.stays
        self._pipeline.backlog.connected(session_present=connection.session_present)
        log.info(
            "subscribed" if self.subscribed else "unsubscribed",
            broker=self._address.endpoint,
            session_present=connection.session_present,
        )
        granted, asked = connection.session_expiry_seconds, self._settings.session_expiry_seconds
        if granted is not None and granted < asked:
            log.warning("session_expires_early", seconds=granted, asked=asked)
        return connection

    async def _answered(self, connection: Connection, request: Coroutine[Any, Any, None]) -> None:
        """Waits for the broker's answers to `request`, for as long as any can come."""
        asking = asyncio.create_task(request, name="mqtt-request")
        # a resumed session's backlog comes before the answer, and an outage of the database shuts the gate to both
        outage = asyncio.create_task(self._pipeline.outage.wait(), name="mqtt-request-outage")
        try:
            await _first({asking, connection.lost, outage})
            if not asking.done():
                why = connection.lost.result() if connection.lost.done() else "the database is out"
                raise self._ended(connection, why)
            await asking
        except (aiomqtt.ConnectError, aiomqtt.ProtocolError) as error:
            raise self._ended(connection, str(error)) from error
        finally:
            for task in (asking, outage):
                task.cancel()
            await asyncio.gather(asking, outage, return_exceptions=True)

    async def _serve(self, connection: Connection, stop: asyncio.Event, drained: asyncio.Event) -> None:
        """Returns when the connection is lost, the database is out, `stop` came and what was taken is settled, or we have left."""
        stopping = asyncio.create_task(stop.wait(), name="mqtt-stop")
        outage = asyncio.create_task(self._pipeline.outage.wait(), name="mqtt-outage")
        finishing = asyncio.create_task(self._errand.finish(connection), name="mqtt-errand")
        try:
            await _first({connection.lost, stopping, outage, finishing})
        finally:
            for task in (stopping, outage, finishing):
                task.cancel()
        if stop.is_set():
            self._inbox.close()
            await drained.wait()
        elif connection.lost.done():
            reason = connection.lost.result()
            if connection.taken_over:
                raise self._ended(connection, reason)
            log.warning("connection_lost", reason=reason)
        elif outage.done():
            log.warning("queue_left_to_broker", reason="the database is out")
        else:
            await finishing
            # unconfirmed it is tried again: the next CONNACK says whether the session has ended
            self.left = await connection.end_session() or not connection.session_present
            if self.left:
                log.info("left", drained=self._metrics.ledger.settled.total())

    def _ended(self, connection: Connection, reason: str) -> JoulegateError:
        """The error of a connection that ended when it was needed: to be tried again, unless another client took the session."""
        if not connection.taken_over:
            return BrokerUnavailableError(f"the connection ended before the broker's answer: {reason}")
        return SessionTakenOverError(  # the id itself is not named: whoever knows it can take the session
            f"another client connected to {self._address.endpoint} with this gateway's client id: {self._errand.twin_advice}"
        )

    def _deliver(self, connection: Connection, packet: aiomqtt.PublishPacket) -> None:
        topic = packet.topic
        if topic == DROPPED_TOPIC:
            self._watch.take(packet.payload)
            return
        arrived = time.monotonic()
        if arrived - self._looked_at_clock > CLOCK_SECONDS:
            self._looked_at_clock, self._now = arrived, self._clock()
        message = self._decoder.decode(topic, packet.payload, self._now)
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
