"""Asks the broker: does it answer, what does it allow, and what does it say of itself under $SYS?"""

import asyncio
import secrets
from collections.abc import Iterator

import aiomqtt
import msgspec
from aiomqtt import QoS

from joulegate_cli.doctor.finding import Finding, critical, note, ok, warning
from joulegate_core.broker import broker_address
from joulegate_core.settings import Settings
from joulegate_core.telemetry import MAX_PACKET_BYTES
from joulegate_gateway.broker_watch import DROPPED_TOPIC
from joulegate_gateway.connection import Connection

VERSION_TOPIC = "$SYS/broker/version"
STORED_TOPIC = "$SYS/broker/store/messages/count"
TOPICS = (VERSION_TOPIC, STORED_TOPIC, DROPPED_TOPIC)
QUEUE_TOO_SMALL = "the queue is too small for the outages: raise max_queued_messages; see --mosquitto-conf"
RETAINED_SECONDS = 0.5
"""Retained messages come at once; the broker that has none, or may not tell, says nothing."""


class BrokerFacts(msgspec.Struct, frozen=True):
    """What the broker told: CONNACK's limits (None: it did not say), and $SYS by topic."""

    shared: bool
    session_expiry: int | None
    max_packet: int | None
    told: dict[str, str]


async def ask_broker(settings: Settings) -> BrokerFacts:
    """Connects under a name of its own, which leaves no session behind.

    Raises:
        BrokerUnavailableError: it does not answer, or refuses.
    """
    told: dict[str, str] = {}

    def keep(_: Connection, packet: aiomqtt.PublishPacket) -> None:
        told[packet.topic] = packet.payload.decode(errors="replace")

    gate = asyncio.Event()
    gate.set()
    connection = Connection(
        broker_address(settings),
        deliver=keep,
        gate=gate,
        client_id=f"joulegate-doctor-{secrets.token_hex(4)}",
        receive_maximum=100,
        session_expiry_seconds=settings.session_expiry_seconds,  # a broker says how long when it is less than asked for
    )
    await connection.open()
    try:
        connack = await connection.connected()
        if settings.subscribe == "always":  # the built-in broker closes the connection of who asks for a $ topic
            await _listen(connection)
    finally:
        await connection.end_session()
        await connection.close()
    return BrokerFacts(
        shared=connack.shared_subscription_available is not False,
        session_expiry=connack.session_expiry_interval,
        max_packet=connack.max_packet_size,
        told=told,
    )


async def _listen(connection: Connection) -> None:
    for topic in TOPICS:
        try:
            await connection.subscribe(topic, max_qos=QoS.AT_MOST_ONCE)
        except aiomqtt.NegativeAckError:
            continue
        except aiomqtt.ConnectError:
            return
    await asyncio.sleep(RETAINED_SECONDS)


def judge_broker(facts: BrokerFacts, settings: Settings) -> Iterator[Finding]:
    """Limits and losses."""
    version = facts.told.get(VERSION_TOPIC, "it does not say what it is")
    waiting = facts.told.get(STORED_TOPIC, "")
    yield ok("broker", f"{version}{f', {int(waiting):,} messages stored' if waiting.isdigit() else ''}")
    yield _losses(facts.told.get(DROPPED_TOPIC), is_mosquitto=version.startswith("mosquitto"))
    if settings.share_group and not facts.shared:
        yield critical("broker", "no shared subscriptions", "leave JOULEGATE_SHARE_GROUP empty, or use another broker")
    if facts.session_expiry is not None and facts.session_expiry < settings.session_expiry_seconds:
        text = f"it keeps a session for {facts.session_expiry:,} s at most, the gateway asks for {settings.session_expiry_seconds:,}"
        yield warning("broker session", text, "raise the broker's limit: what is published after that is lost")
    if facts.max_packet is not None and facts.max_packet > MAX_PACKET_BYTES:
        text = f"it takes packets of {facts.max_packet:,} bytes; the gateway takes {MAX_PACKET_BYTES:,}, and larger ones vanish"
        yield warning("broker", text, "limit its packets as mosquitto/mosquitto.conf does with max_packet_size")


def _losses(dropped: str | None, *, is_mosquitto: bool) -> Finding:
    if dropped is None and is_mosquitto:
        # mosquitto 2.0 retains what it counts with an expiry of 60 s (measured on 2.0.11), and says it again when it has changed
        return ok("broker losses", "none in the last minute")
    if dropped is None:
        return note("broker losses", "it does not say what it drops", "ask the broker's own tools for it")
    if dropped.isdigit() and int(dropped):
        text = f"{int(dropped):,} messages were acknowledged and dropped since its start"
        return critical("broker losses", text, QUEUE_TOO_SMALL)
    return ok("broker losses", "none since its start")
