"""A session that the broker has forgotten is told: what was published meanwhile found no subscriber."""

import asyncio
from pathlib import Path

import pytest

from fault_harness import require_mosquitto
from gateway_harness import Gateway
from process_harness import Launch, launching, until_status


async def told_after(gateway: Gateway, launch: Launch, *, expiry: int, away: float) -> tuple[int, float]:
    """Starts and stops a gateway twice, the second time after `away` seconds; returns how often the second one says `session_lost`
    in its log and in its metrics.
    """
    for pause in (0.0, away):
        await asyncio.sleep(pause)
        process = await launch(session_expiry_seconds=expiry)
        await until_status(gateway, "/readyz", process)
        counted = (await gateway.metrics())["joulegate_sessions_lost_total"]
        process.send(15)
        await process.end()
    return [event["event"] for event in process.events()].count("session_lost"), counted


@pytest.mark.parametrize(("expiry", "away", "expected"), [(60, 0.0, 0), (1, 3.5, 1)], ids=["kept", "expired"])
async def test_a_session_that_expired_is_told(
    gateway: Gateway, tmp_path: Path, expiry: int, away: float, expected: int
) -> None:
    require_mosquitto(gateway.broker)
    async with launching(gateway, tmp_path) as launch:
        assert await told_after(gateway, launch, expiry=expiry, away=away) == (expected, expected)
