"""Fills a persistent session at the broker with readings, as an outage of the gateway would."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import aiomqtt

from joulegate_core.broker import parse_broker_url
from joulegate_core.telemetry import READING_INTERVAL_SECONDS, TOPIC_FILTERS
from joulegate_simulator.publisher import Publisher

REPORT_EVERY = 5000


def readings(devices: int, count: int, end: datetime) -> Iterator[tuple[str, bytes]]:
    """`count` topics and payloads: rounds of one reading a device, half meters and half vehicles, a minute apart, up to `end`."""
    pairs = devices // 2
    rounds = -(-count // (2 * pairs))
    made = 0
    for number in range(rounds):
        ts = end - timedelta(seconds=(rounds - number) * READING_INTERVAL_SECONDS)
        stamp = ts.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for pair in range(pairs):
            kwh = 0.1 + (pair * 7 + number) % 100 / 1000
            meter = f'{{"meterId":"m-{pair:06d}","kwhConsumedAc":{kwh:.4f},"voltage":{229 + pair % 5}.4,"timestamp":"{stamp}"}}'
            vehicle = (
                f'{{"vehicleId":"v-{pair:06d}","soc":{20 + number % 70}.5,"kwhDeliveredDc":{kwh * 0.92:.4f},'
                f'"batteryTemp":{24 + pair % 9}.25,"timestamp":"{stamp}"}}'
            )
            for stream, payload in (("meter", meter), ("vehicle", vehicle)):
                if made == count:
                    return
                made += 1
                yield f"fleet/cp-{pair:06d}/{stream}", payload.encode()


async def fill_session(
    broker_url: str, client_id: str, messages: Iterator[tuple[str, bytes]], progress: Callable[[int], None]
) -> None:
    """Creates the session of `client_id`, leaves it, and publishes `messages` with QoS 1 into its queue.

    Args:
        progress: called with the number of messages acknowledged by the broker, now and then.
    """
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
            await client.subscribe(topic_filter, max_qos=aiomqtt.QoS.AT_LEAST_ONCE)
    async with Publisher(address, client_id=f"{client_id}-filler", window=10_000) as publisher:
        for number, (topic, payload) in enumerate(messages, start=1):
            await publisher.publish(topic, payload)
            if number % REPORT_EVERY == 0:
                progress(publisher.counts.acknowledged)
        await publisher.drain()
        progress(publisher.counts.acknowledged)
