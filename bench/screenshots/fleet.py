"""A simulated fleet: a day of its past, then live, as `joulegate simulate` publishes them; and what cannot be accepted."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiomqtt
from aiomqtt import QoS

PROGRAM = (sys.executable, "-c", "from joulegate_cli.main import main; main()", "simulate", "--quiet")

REFUSED = (
    ("fleet/cp-00003/meter", "{"),
    ("fleet/cp-00004/meter", '{"meterId":"m-00004","kwhConsumedAc":-0.2,"voltage":230,"timestamp":"2026-01-01T00:00:00Z"}'),
    ("fleet/cp-00009/vehicle", '{"vehicleId":"v-00009","soc":71,"kwhDeliveredDc":0.1,"timestamp":"2026-01-01T00:00:00Z"}'),
    ("fleet/cp-00012/vehicle", '{"meterId":"m-00012","kwhConsumedAc":0.2,"voltage":230,"timestamp":"2026-01-01T00:00:00Z"}'),
)  # fmt: skip


async def publish_past(url: str, devices: int, hours: float) -> None:
    """A reading a minute of each device over the last `hours`; returns when the broker has all."""
    process = await _simulate(url, "--devices", str(devices), "--backfill", f"{hours:g}h")
    if await process.wait():
        sys.exit("screenshots: the simulator failed")


@asynccontextmanager
async def publishing(url: str, devices: int) -> AsyncIterator[None]:
    """The same fleet, live, while the block runs."""
    process = await _simulate(url, "--devices", str(devices), "--interval", "5s")
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def publish_refused(port: int) -> None:
    """What lands in quarantine."""
    async with aiomqtt.Client(hostname="127.0.0.1", port=port, identifier="screenshots") as client:
        for topic, payload in REFUSED:
            await client.publish(topic, payload.encode(), qos=QoS.AT_LEAST_ONCE, packet_id=next(client.packet_ids))


async def _simulate(url: str, *arguments: str) -> asyncio.subprocess.Process:
    environ = {**os.environ, "JOULEGATE_MQTT_URL": url}
    return await asyncio.create_subprocess_exec(*PROGRAM, *arguments, env=environ)
