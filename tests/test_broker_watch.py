"""What the broker drops is seen: in the log and in the metrics."""

from pathlib import Path

import asyncpg
import pytest

from fault_harness import Numbered, flood
from gateway_harness import Gateway, eventually
from joulegate_cli.local.broker import LocalBroker, find_mosquitto
from process_harness import launching, until_status

DROPPED = "joulegate_broker_dropped_messages"


async def test_an_overflowing_queue_is_seen(database_url: str, db: asyncpg.Connection, tmp_path: Path) -> None:
    if find_mosquitto() is None:
        pytest.skip("the count is mosquitto's")
    small = LocalBroker(tmp_path / "small", kind="mosquitto", extra="max_queued_messages 100\nsys_interval 1").start()
    numbered, gateway = Numbered(), Gateway(small, database_url)
    async with launching(gateway, tmp_path) as launch:
        first = await launch()
        await until_status(gateway, "/readyz", first)
        assert (await gateway.metrics())[DROPPED] == 0
        await first.kill()
        await flood(small, numbered, 1000)
        second = await launch()
        await until_status(gateway, "/readyz", second)

        async def has_seen_it() -> bool:
            return (await gateway.metrics())[DROPPED] > 0

        await eventually(has_seen_it)
        dropped = (await gateway.metrics())[DROPPED]
        events = [event for event in second.events() if event["event"] == "broker_dropped_messages"]
        await gateway.settle(1)
        assert sum(event["more"] for event in events) == dropped
        assert await db.fetchval("select count(*) from meter_history") == numbered.count - dropped
        assert [event["level"] for event in events] == ["error"] * len(events)
    small.stop()
