"""A simulated fleet with a past: written through the gateway's own writer, then published live, by the same devices."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import aiomqtt
from aiomqtt import QoS

from joulegate_core.clock import utc_now
from joulegate_core.telemetry import Message, MeterReading, Stream, VehicleReading
from joulegate_db.writer import Writer
from joulegate_simulator.fleet import build_fleet, meter_message, vehicle_message
from joulegate_simulator.pair import Pair, PairReading

STEP_SECONDS = 60.0
LIVE_SECONDS = 5.0
BATCH = 10_000
SILENT_MINUTES = 90
SILENT_EVERY, SILENT_OFFSET = 5, 2
"""Vehicles 2, 7, 12 ... were silent for so long in the middle of the past; some of them are those that waste energy."""

REFUSED = (
    ("fleet/cp-00003/meter", "{"),
    ("fleet/cp-00004/meter", '{"meterId":"m-00004","kwhConsumedAc":-0.2,"voltage":230,"timestamp":"2026-01-01T00:00:00Z"}'),
    ("fleet/cp-00009/vehicle", '{"vehicleId":"v-00009","soc":71,"kwhDeliveredDc":0.1,"timestamp":"2026-01-01T00:00:00Z"}'),
    ("fleet/cp-00012/vehicle", '{"meterId":"m-00012","kwhConsumedAc":0.2,"voltage":230,"timestamp":"2026-01-01T00:00:00Z"}'),
)  # fmt: skip
"""What a fleet publishes that cannot be accepted."""


class LiveFleet:
    """`devices` meter-vehicle pairs, the same for the same number."""

    def __init__(self, devices: int) -> None:
        self._pairs = build_fleet(devices, seed=1)

    async def write_past(self, url: str, hours: float) -> int:
        """A reading a minute of each device over the last `hours`; returns how many were written."""
        writer = await Writer.open(url)
        written = 0
        batch: list[Message] = []
        try:
            for message in self._past(hours, utc_now()):
                batch.append(message)
                if len(batch) == BATCH:
                    await writer.write(batch, utc_now())
                    written, batch = written + len(batch), []
            await writer.write(batch, utc_now())
        finally:
            writer.terminate()
        return written + len(batch)

    def _past(self, hours: float, until: datetime) -> Iterator[Message]:
        steps = int(hours * 3600 / STEP_SECONDS)
        silent = range(steps // 2, steps // 2 + SILENT_MINUTES)
        for step in range(steps):
            before = timedelta(seconds=(steps - step) * STEP_SECONDS)
            for number, pair in enumerate(self._pairs, 1):
                at = until - before + timedelta(seconds=STEP_SECONDS * number / len(self._pairs))
                reading = pair.step(int(at.timestamp() * 1000), STEP_SECONDS)
                yield _metered(pair, reading, at)
                if step not in silent or number % SILENT_EVERY != SILENT_OFFSET:
                    yield _received(pair, reading, at)

    async def publish(self, port: int) -> None:
        """Publishes to the broker until it is cancelled; at the start also what is to be refused."""
        async with aiomqtt.Client(hostname="127.0.0.1", port=port, identifier="screenshots") as client:
            for topic, payload in REFUSED:
                await _publish(client, topic, payload.encode())
            while True:
                now = int(datetime.now(UTC).timestamp() * 1000)
                for pair in self._pairs:
                    reading = pair.step(now, LIVE_SECONDS)
                    for topic, body in (meter_message(pair, reading), vehicle_message(pair, reading)):
                        await _publish(client, topic, body)
                await asyncio.sleep(LIVE_SECONDS)


async def _publish(client: aiomqtt.Client, topic: str, payload: bytes) -> None:
    await client.publish(topic, payload, qos=QoS.AT_LEAST_ONCE, packet_id=next(client.packet_ids))


def _metered(pair: Pair, reading: PairReading, at: datetime) -> Message:
    content = MeterReading(
        device=pair.meter_id,
        charge_point=pair.charge_point,
        ts=at,
        kwh=reading.kwh_ac,
        voltage=reading.voltage,
        late=False,
    )
    return Message(stream=Stream.METER, topic=f"fleet/{pair.charge_point}/meter", payload=b"", content=content)


def _received(pair: Pair, reading: PairReading, at: datetime) -> Message:
    content = VehicleReading(
        device=pair.vehicle_id,
        charge_point=pair.charge_point,
        ts=at,
        kwh=reading.kwh_dc,
        soc=reading.soc,
        battery_temp=reading.battery_temp,
        late=False,
    )
    return Message(stream=Stream.VEHICLE, topic=f"fleet/{pair.charge_point}/vehicle", payload=b"", content=content)
