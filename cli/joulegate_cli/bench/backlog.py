"""Fills a persistent session at the broker with readings, as an outage of the gateway would."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import aiomqtt

from joulegate_cli.bench.messages import message
from joulegate_core.broker import parse_broker_url
from joulegate_core.telemetry import READING_INTERVAL_SECONDS, TOPIC_FILTERS
from joulegate_simulator.publisher import Publisher

REPORT_EVERY = 5000


def readings(devices: int, count: int, end: datetime, *, first_slot: int = 0) -> Iterator[tuple[str, bytes]]:
    """`count` topics and payloads: rounds of one reading a device, half meters and half vehicles, a minute apart, up to `end`."""
    slots = devices // 2 * 2
    rounds = -(-count // slots)
    made = 0
    for number in range(rounds):
        ts = end - timedelta(seconds=(rounds - number) * READING_INTERVAL_SECONDS)
        stamp = ts.astimezone(UTC).strftime('"%Y-%m-%dT%H:%M:%SZ"')
        for slot in range(first_slot, first_slot + min(slots, count - made)):
            yield message(slot, number, stamp)
        made += slots


def create_session(broker_url: str, client_id: str, share_group: str = "") -> None:
    """Subscribes as `client_id` and leaves: from then on the broker queues for it, its share of the messages if there is a group."""
    asyncio.run(_create_session(broker_url, client_id, f"$share/{share_group}/" if share_group else ""))


def publish(
    broker_url: str, client_id: str, messages: Iterator[tuple[str, bytes]], progress: Callable[[int], None]
) -> float:
    """Publishes `messages` with QoS 1, as fast as the broker acknowledges them.

    Args:
        progress: called with the number of messages acknowledged by the broker, now and then.

    Returns:
        the messages acknowledged per second.
    """
    started = time.perf_counter()
    count = asyncio.run(_publish(broker_url, client_id, messages, progress))
    return count / (time.perf_counter() - started)


async def _create_session(broker_url: str, client_id: str, prefix: str) -> None:
    address = parse_broker_url(broker_url)
    client = aiomqtt.Client(
        hostname=address.host,
        port=address.port,
        identifier=client_id,
        clean_start=True,
        session_expiry_interval=86_400,
    )
    async with client:
        for topic_filter in TOPIC_FILTERS.values():
            await client.subscribe(prefix + topic_filter, max_qos=aiomqtt.QoS.AT_LEAST_ONCE)


async def _publish(
    broker_url: str, client_id: str, messages: Iterator[tuple[str, bytes]], progress: Callable[[int], None]
) -> int:
    async with Publisher(parse_broker_url(broker_url), client_id=client_id, window=10_000) as publisher:
        for number, (topic, payload) in enumerate(messages, start=1):
            await publisher.publish(topic, payload)
            if number % REPORT_EVERY == 0:
                progress(publisher.counts.acknowledged)
        await publisher.drain()
        progress(publisher.counts.acknowledged)
        return publisher.counts.acknowledged
