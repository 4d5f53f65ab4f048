"""A session that the broker has forgotten is told: what was published meanwhile found no subscriber."""

import asyncio
from pathlib import Path

import pytest

from fault_harness import require_mosquitto
from gateway_harness import Gateway
from process_harness import Launch, launching, until_status


async def events_after(gateway: Gateway, launch: Launch, *, away: float = 0.0) -> list[str]:
    """Starts and stops a gateway twice, the second time after `away` seconds; returns the names of the second one's events."""
    for pause in (0.0, away):
        await asyncio.sleep(pause)
        process = await launch(session_expiry_seconds=1)
        await until_status(gateway, "/readyz", process)
        process.send(15)
        await process.end()
    return [event["event"] for event in process.events()]


@pytest.mark.parametrize(("away", "expected"), [(0.0, 0), (3.5, 1)], ids=["kept", "expired"])
async def test_a_session_that_expired_is_told(gateway: Gateway, tmp_path: Path, away: float, expected: int) -> None:
    require_mosquitto(gateway.broker)
    async with launching(gateway, tmp_path) as launch:
        assert (await events_after(gateway, launch, away=away)).count("session_lost") == expected
