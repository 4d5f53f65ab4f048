"""Whatever is published: none raises, none blocks, none is logged; each is quarantined with its reason, and neighbours are stored."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from bad_messages import BAD, TOKEN
from fault_harness import require_mosquitto
from gateway_harness import Gateway, meter, publisher, status_of
from joulegate_cli.local.broker import LocalBroker
from joulegate_core.reasons import Reason
from process_harness import Launch, launching, until_status
from raw_publisher import raw_publisher

TOPIC = "fleet/cp-1/meter"
PUBACK, DISCONNECT = b"\x40", b"\xe0"


@pytest.fixture
async def launch(gateway: Gateway, tmp_path: Path) -> AsyncIterator[Launch]:
    async with launching(gateway, tmp_path) as launch:
        yield launch


def good(device: str) -> bytes:
    """A valid payload."""
    return json.dumps(meter(device)).encode()


def test_the_table_has_every_reason_a_device_can_cause_and_names_each_message_once() -> None:
    assert {bad.reason for bad in BAD} == set(Reason) - {Reason.CONFLICT, Reason.DATABASE_REFUSED, Reason.WRONG_PLACE}
    assert max(Counter((bad.topic, bad.payload) for bad in BAD).values()) == 1
    assert sum(TOKEN.encode() in bad.payload for bad in BAD) > 0.9 * len(BAD)


async def test_every_kind_of_bad_message_is_quarantined_for_its_reason_and_none_is_logged(
    gateway: Gateway, launch: Launch, db: asyncpg.Connection
) -> None:
    process = await launch(linger_ms=200)
    await until_status(gateway, "/readyz", process)
    async with publisher(gateway.broker) as publish:
        for n, bad in enumerate(BAD):
            await publish(bad.topic, bad.payload)
            await publish(f"fleet/cp-{n}/meter", good(f"m-{n}").ljust(8192))  # the largest payload that is accepted
            await publish(bad.topic, bad.payload, qos=0)
    settled = await gateway.settle(3 * len(BAD))
    assert settled == {"committed": len(BAD), "duplicate": 0, "quarantined": 2 * len(BAD)}

    rows = await db.fetch("select reason, topic, payload, count from quarantine")
    kept = Counter({(row["reason"], row["topic"], row["payload"]): row["count"] for row in rows})
    expected = Counter({(str(bad.reason), bad.topic, bad.payload): 2 for bad in BAD})
    assert kept - expected == expected - kept == Counter()
    assert await db.fetchval("select count(*) from meter_history") == len(BAD)
    assert not await db.fetch("select from quarantine where detail like '%' || $1 || '%'", TOKEN)

    assert await status_of(gateway.metrics_port, "/readyz") == 200
    assert {event["level"] for event in process.events()} == {"info"}
    assert not [line for line in process.errors() if TOKEN in line]
    samples = await gateway.metrics()
    assert samples["joulegate_reconnects_total"] == 0
    assert not [name for name in samples if TOKEN in name]


PROPERTIES: dict[str, dict[str, Any]] = {
    "payload format: bytes": {"payload_format_indicator": 0},
    "payload format: UTF-8": {"payload_format_indicator": 1},
    "message expiry": {"message_expiry_interval": 3600},
    "longest message expiry": {"message_expiry_interval": 2**32 - 1},
    "content type": {"content_type": "application/json"},
    "long content type": {"content_type": "x" * 50_000},
    "response topic and correlation data": {"response_topic": "a/b", "correlation_data": bytes(range(256))},
    "user properties": {"user_properties": [("k", TOKEN), ("k", ""), ("", "\U0001f50c")]},
    "a thousand user properties": {"user_properties": [("k", TOKEN)] * 1000},
    "topic alias": {"topic_alias": 1},
    "QoS 0": {"qos": 0},
    "QoS 2": {"qos": 2},
    "retain": {"retain": True},
}


async def test_properties_of_mqtt_5_change_nothing(gateway: Gateway, db: asyncpg.Connection) -> None:
    require_mosquitto(gateway.broker)
    await gateway.start()
    async with raw_publisher(gateway.broker) as raw:
        for n, properties in enumerate(PROPERTIES.values()):
            await raw.send(TOPIC, good(f"m-{n}"), **properties)
        assert (await raw.send("", good("m-alias"), topic_alias=1))[:1] == PUBACK
        await raw.send(TOPIC, b"\xff", payload_format_indicator=1)  # mosquitto does not look
        await raw.send(TOPIC, b"", retain=True)  # takes the retained message away, and is a publication like any other
    settled = await gateway.settle(len(PROPERTIES) + 3)
    assert settled == {"committed": len(PROPERTIES) + 1, "duplicate": 0, "quarantined": 2}
    rows = await db.fetch("select reason, topic from quarantine order by id")
    assert [tuple(row) for row in rows] == [("not_utf8", TOPIC), ("empty", TOPIC)]


@pytest.mark.parametrize(
    ("topic", "properties"),
    [
        ("fleet/+/meter", {}),
        ("fleet/#", {}),
        ("fleet/a\0b/meter", {}),
        (b"fleet/\xff/meter", {}),
        (b"fleet/\xed\xa0\x80/meter", {}),
        ("fleet/\x01/meter", {}),
        ("", {"topic_alias": 5}),
        (TOPIC, {"topic_alias": 60_000}),
    ],
)
async def test_what_mosquitto_refuses_does_not_reach_the_gateway(
    gateway: Gateway, topic: str | bytes, properties: dict[str, Any]
) -> None:
    require_mosquitto(gateway.broker)
    await gateway.start()
    async with raw_publisher(gateway.broker) as raw:
        assert (await raw.send(topic, good("m-1"), **properties))[:1] in {DISCONNECT, b""}
    async with publisher(gateway.broker) as publish:
        await publish(TOPIC, good("m-2"))
    assert await gateway.settle(1) == {"committed": 1, "duplicate": 0, "quarantined": 0}


async def test_a_topic_that_a_lax_broker_lets_through_is_quarantined(
    database_url: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    """rumqttd forwards wildcards and NUL, against MQTT 5 (3.3.2.1, 1.5.4); a text column of PostgreSQL holds no NUL."""
    broker = LocalBroker(tmp_path / "broker", kind="rumqttd").start()
    gateway = Gateway(broker, database_url)
    try:
        await gateway.start()
        async with raw_publisher(broker) as raw:
            for topic in ("fleet/a\0b/meter", "fleet/+/meter", "fleet/\x01/vehicle", TOPIC):
                assert (await raw.send(topic, good("m-1")))[:1] == PUBACK
        assert await gateway.settle(4) == {"committed": 1, "duplicate": 0, "quarantined": 3}
        rows = await db.fetch("select reason, topic from quarantine")
        topics = {"fleet/a\ufffdb/meter", "fleet/+/meter", "fleet/\x01/vehicle"}
        assert {tuple(row) for row in rows} == {("bad_topic", topic) for topic in topics}
    finally:
        await gateway.close()
        broker.stop()


OTHER_TOPICS = [
    "fleet/meter",
    "fleet/a/b/meter",
    "fleet/a/other",
    "fleet/a/meter/",
    "/fleet/a/meter",
    "Fleet/a/meter",
    "fleet/a/Meter",
]


async def test_topics_of_another_shape_are_not_subscribed_to(gateway: Gateway) -> None:
    await gateway.start()
    async with publisher(gateway.broker) as publish:
        for topic in OTHER_TOPICS:
            await publish(topic, good("m-1"))
        await publish(TOPIC, good("m-2"))
    await gateway.settle(1)
    assert (await gateway.ledger())[0] == 1


async def test_a_bad_retained_message_comes_once_and_only_when_it_is_published(
    gateway: Gateway, db: asyncpg.Connection
) -> None:
    topics = ["fleet/cp-retained-1/meter", "fleet/cp-retained-2/meter"]
    async with publisher(gateway.broker) as publish:
        await publish(topics[0], TOKEN.encode(), retain=True)  # nobody is subscribed yet
        try:
            await gateway.start()
            await publish(topics[1], TOKEN.encode(), retain=True)
            assert (await gateway.settle(1))["quarantined"] == 1
            await gateway.stop()
            await gateway.start()
            await publish(TOPIC, good("m-1"))
            assert await gateway.settle(1) == {"committed": 1, "duplicate": 0, "quarantined": 0}
            rows = await db.fetch("select topic, reason, count from quarantine")
            assert [tuple(row) for row in rows] == [(topics[1], "bad_json", 1)]
        finally:
            for topic in topics:
                await publish(topic, b"", retain=True)
