"""What the broker drops is seen: in the log and in the metrics."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from fault_harness import Numbered, flood
from gateway_harness import Gateway, eventually
from joulegate_cli.doctor.finding import Severity
from joulegate_cli.doctor.gateway import ask_gateway, judge_gateway
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
        address = f"http://127.0.0.1:{gateway.metrics_port}"
        found = judge_gateway(await asyncio.to_thread(ask_gateway, address), address)
        losses = [(one.severity, one.text) for one in found if one.check == "broker losses"]
        text = (
            f"{dropped:,.0f} messages were acknowledged and dropped since the broker's start, by what the gateway heard"
        )
        assert losses == [(Severity.CRITICAL, text)]
    small.stop()
