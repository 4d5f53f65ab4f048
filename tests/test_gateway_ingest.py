"""Readings go in over a real broker and come out in a real database."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from gateway_harness import Gateway, meter, now_ms, publisher, vehicle


async def test_a_pair_lands_in_history_live_presence_and_devices(gateway: Gateway, db: asyncpg.Connection) -> None:
    await gateway.start()
    ts = now_ms()
    async with publisher(gateway.broker) as publish:
        await publish("fleet/cp-x/meter", meter(ts=ts))
        await publish("fleet/cp-x/vehicle", vehicle(ts=ts))
    assert await gateway.settle(2) == {"committed": 2, "duplicate": 0, "quarantined": 0}

    row = await db.fetchrow("select * from meter_history")
    assert (row["device"], row["charge_point"], row["ts"], row["kwh"], row["late"]) == ("m-1", "cp-x", ts, 1.0, False)
    assert row["voltage"] == pytest.approx(230.1)
    row = await db.fetchrow("select * from vehicle_live")
    assert (row["device"], row["ts"], row["soc"], row["battery_temp"], row["charging"]) == ("v-1", ts, 55.5, 31.2, True)
    assert {tuple(r) for r in await db.fetch("select charge_point, kind, device from presence")} == {
        ("cp-x", "meter", "m-1"),
        ("cp-x", "vehicle", "v-1"),
    }
    assert {tuple(r) for r in await db.fetch("select device, kind from devices")} == {
        ("m-1", "meter"),
        ("v-1", "vehicle"),
    }


async def test_the_same_reading_again_is_a_duplicate_and_other_content_a_conflict(
    gateway: Gateway, db: asyncpg.Connection
) -> None:
    await gateway.start()
    ts = now_ms()
    async with publisher(gateway.broker) as publish:
        for kwh in (1.0, 1.0, 2.0):
            await publish("fleet/cp-1/meter", meter(ts=ts, kwhConsumedAc=kwh))
            await asyncio.sleep(0.05)  # a batch each
    assert await gateway.settle(3) == {"committed": 1, "duplicate": 1, "quarantined": 1}
    assert await db.fetchval("select kwh from meter_history") == 1.0
    row = await db.fetchrow("select topic, payload, reason, count from quarantine")
    assert (row["topic"], row["reason"], row["count"]) == ("fleet/cp-1/meter", "conflict", 1)
    assert b'"kwhConsumedAc": 2.0' in row["payload"]


async def test_a_device_twice_in_a_batch_with_the_same_time(gateway: Gateway, db: asyncpg.Connection) -> None:
    await gateway.start(linger_ms=500)
    ts = now_ms()
    async with publisher(gateway.broker) as publish:
        for kwh in (1.0, 2.0, 1.0, 2.0):
            await publish("fleet/cp-1/vehicle", vehicle(ts=ts, kwhDeliveredDc=kwh))
    assert await gateway.settle(4) == {"committed": 1, "duplicate": 1, "quarantined": 2}
    assert (await gateway.metrics())["joulegate_batch_size_count"] == 1
    assert await db.fetchval("select kwh from vehicle_history") == 1.0
    assert await db.fetchval("select count from quarantine where reason = 'conflict'") == 2


async def test_another_charge_point_is_other_content(gateway: Gateway, db: asyncpg.Connection) -> None:
    await gateway.start()
    ts = now_ms()
    async with publisher(gateway.broker) as publish:
        await publish("fleet/cp-1/meter", meter(ts=ts))
        await publish("fleet/cp-2/meter", meter(ts=ts))
    assert await gateway.settle(2) == {"committed": 1, "duplicate": 0, "quarantined": 1}
    assert [r["charge_point"] for r in await db.fetch("select charge_point from presence")] == ["cp-1"]


@pytest.mark.parametrize("linger_ms", [10, 500], ids=["a batch each", "one batch"])
async def test_live_holds_the_newest_measured_not_the_last_received(
    gateway: Gateway, db: asyncpg.Connection, linger_ms: int
) -> None:
    await gateway.start(linger_ms=linger_ms)
    now = now_ms()
    async with publisher(gateway.broker) as publish:
        for minutes, kwh in ((3, 3.0), (1, 0.0), (2, 2.0)):
            await publish("fleet/cp-1/meter", meter(ts=now - timedelta(minutes=minutes), kwhConsumedAc=kwh))
            await asyncio.sleep(0.03)
    await gateway.settle(3)
    row = await db.fetchrow("select ts, kwh, charging from meter_live")
    assert (row["ts"], row["kwh"], row["charging"]) == (now - timedelta(minutes=1), 0.0, False)
    assert await db.fetchval("select count(*) from meter_history") == 3


async def test_a_late_reading_is_marked(gateway: Gateway, db: asyncpg.Connection) -> None:
    await gateway.start()
    async with publisher(gateway.broker) as publish:
        await publish("fleet/cp-1/meter", meter(ts=now_ms() - timedelta(seconds=301)))
        await publish("fleet/cp-1/meter", meter(ts=now_ms() - timedelta(seconds=200)))
    await gateway.settle(2)
    assert [r["late"] for r in await db.fetch("select late from meter_history order by ts")] == [True, False]


async def test_qos_0_is_taken_too(gateway: Gateway, db: asyncpg.Connection) -> None:
    await gateway.start()
    async with publisher(gateway.broker) as publish:
        for n in range(50):
            await publish(f"fleet/cp-{n}/meter", meter(f"m-{n}"), qos=0)
    assert (await gateway.settle(50))["committed"] == 50


async def test_retained_messages_are_taken_when_published_and_not_again_on_a_restart(
    gateway: Gateway, db: asyncpg.Connection
) -> None:
    await gateway.start()
    async with publisher(gateway.broker) as publish:
        await publish("fleet/cp-retained/meter", meter(), retain=True)
        assert (await gateway.settle(1))["committed"] == 1
        await gateway.stop()
        await gateway.start()
        await publish("fleet/cp-1/meter", meter("m-2"))
        assert await gateway.settle(1) == {"committed": 1, "duplicate": 0, "quarantined": 0}
        await publish("fleet/cp-retained/meter", b"", retain=True)


@pytest.mark.parametrize("receive_maximum", [1, 3])
async def test_a_batch_does_not_wait_for_more_than_can_be_in_flight(
    gateway: Gateway, db: asyncpg.Connection, receive_maximum: int
) -> None:
    # with a linger of ten seconds, forty messages would take minutes if batches waited to fill
    await gateway.start(receive_maximum=receive_maximum, linger_ms=10_000, batch_max=1000)
    async with publisher(gateway.broker) as publish:
        for n in range(39):
            await publish("fleet/cp-1/meter", meter(ts=now_ms() - timedelta(seconds=n)))
    await gateway.settle(39, seconds=9)


async def test_what_arrives_while_the_gateway_is_down_waits_in_its_session(
    gateway: Gateway, db: asyncpg.Connection
) -> None:
    if gateway.broker.kind == "rumqttd":
        pytest.skip("rumqttd's sessions are not the ones shipped for production")
    await gateway.start()
    await gateway.stop()
    async with publisher(gateway.broker) as publish:
        for n in range(500):
            await publish(f"fleet/cp-{n}/vehicle", vehicle(f"v-{n}"))
    await gateway.start()
    assert await gateway.settle(500) == {"committed": 500, "duplicate": 0, "quarantined": 0}
