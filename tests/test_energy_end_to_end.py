"""Registers from the broker to the answer: declared by a setting, rolled by the gateway, asked for through the reader."""

from datetime import timedelta

import asyncpg
import pytest

from gateway_harness import Gateway, eventually, meter, now_ms, publisher, vehicle
from joulegate_db.reader import open_reader
from joulegate_db.windows import Window, bucket_of


@pytest.mark.parametrize("kind", ["interval", "register"])
async def test_energies_follow_the_setting(
    gateway: Gateway, database_url: str, db: asyncpg.Connection, kind: str
) -> None:
    now = now_ms()
    first = bucket_of(now) - timedelta(minutes=30)
    await gateway.start(meter_energy=kind, vehicle_energy=kind)
    async with publisher(gateway.broker) as publish:
        for minute in range(30):
            ts = first + timedelta(minutes=minute)
            await publish("fleet/cp-1/meter", meter(ts=ts, kwhConsumedAc=1000 + minute))
            await publish("fleet/cp-1/vehicle", vehicle(ts=ts, kwhDeliveredDc=500 + 0.9 * minute))
        await publish("fleet/cp-1/vehicle", vehicle(ts=now, kwhDeliveredDc=500 + 0.9 * 29))
    await gateway.settle(61)
    gateway.clock = lambda: now + timedelta(minutes=20)
    await gateway.stop()
    await gateway.start(meter_energy=kind, vehicle_energy=kind)
    await eventually(lambda: db.fetchval("select rolled_until >= $1 from roll_state", bucket_of(now)))
    async with open_reader(database_url) as reader:
        answer = await reader.performance("v-1", Window(first, bucket_of(now)))
        state = await reader.vehicle("v-1", now)
    assert answer is not None
    assert state is not None
    if kind == "register":
        assert answer.total_kwh_consumed_ac == pytest.approx(29)
        assert answer.efficiency_ratio == pytest.approx(0.9)
        assert not state.charging  # the counter stands still
    else:
        assert answer.total_kwh_consumed_ac == pytest.approx(sum(range(1000, 1030)))
        assert state.charging
