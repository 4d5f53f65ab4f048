"""The gateway as a process: it drains on SIGTERM and SIGINT, and kill -9 loses and doubles nothing."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from fault_harness import Numbered, flood, require_mosquitto
from gateway_harness import Gateway, eventually, meter, publisher, status_of
from joulegate_cli.local.broker import LocalBroker
from process_harness import Launch, launching, until_status

NO_SERVER = 1  # a port on which nothing listens
STREAM = 10_000
"""Readings at once: in batches of fifty they take a second or two, so that what happens meanwhile happens in the middle."""


@pytest.fixture
async def launch(gateway: Gateway, tmp_path: Path) -> AsyncIterator[Launch]:
    async with launching(gateway, tmp_path) as launch:
        yield launch


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains(gateway: Gateway, launch: Launch, db: asyncpg.Connection, signum: int) -> None:
    process = await launch(linger_ms=10_000)
    await until_status(gateway, "/readyz", process)
    async with publisher(gateway.broker) as publish:
        for n in range(20):
            await publish("fleet/cp-1/meter", meter(f"m-{n}"), qos=n % 2)

    async def all_taken() -> bool:
        return (await gateway.ledger())[2] == 20  # a batch that still lingers

    await eventually(all_taken)
    process.send(signum)
    assert await process.end(5) == (0, "")
    assert await db.fetchval("select count(*) from meter_history") == 20
    assert process.events()[-1]["event"] == "gateway_stopped"
    assert process.events()[-1]["pending"] == 0
    await gateway.start()
    await asyncio.sleep(0.2)
    assert (await gateway.ledger())[0] == 0  # everything was acknowledged before it left


async def test_sigterm_in_mid_stream_loses_and_doubles_nothing(
    gateway: Gateway, launch: Launch, db: asyncpg.Connection
) -> None:
    require_mosquitto(gateway.broker)
    numbered = Numbered()
    process = await launch(batch_max=50, receive_maximum=200)
    await until_status(gateway, "/readyz", process)
    flooding = asyncio.create_task(flood(gateway.broker, numbered, STREAM))
    await until_in_mid_stream(db)
    process.send(signal.SIGTERM)
    assert await process.end(10) == (0, "")
    assert 0 < await db.fetchval("select count(*) from meter_history") < STREAM
    await flooding
    await gateway.start()
    await numbered.until_all_there(db)
    await numbered.assert_each_once(db)


async def test_kill_9_in_mid_stream_loses_and_doubles_nothing(
    gateway: Gateway, launch: Launch, db: asyncpg.Connection
) -> None:
    require_mosquitto(gateway.broker)
    numbered = Numbered()
    for _ in range(2):
        process = await launch(batch_max=50, receive_maximum=200)
        await until_status(gateway, "/readyz", process)
        flooding = asyncio.create_task(flood(gateway.broker, numbered, STREAM))
        await until_in_mid_stream(db)
        process.send(signal.SIGKILL)
        assert (await process.end())[0] == -signal.SIGKILL
        assert await db.fetchval("select count(*) from meter_history") < numbered.count
        await flooding
    await gateway.start()
    await numbered.until_all_there(db)
    await gateway.settle(0)
    await numbered.assert_each_once(db)


async def test_a_broker_that_is_stopped_under_a_process(
    own_broker: LocalBroker, gateway: Gateway, launch: Launch, db: asyncpg.Connection
) -> None:
    """Other tests run in asyncio's event loop; uvloop, the one of production, raises where asyncio does not."""
    numbered = Numbered()
    process = await launch(mqtt_url=own_broker.url, batch_max=20, receive_maximum=50)
    for stop in (own_broker.stop, own_broker.stop, own_broker.kill):
        await until_status(gateway, "/readyz", process)
        await flood(own_broker, numbered, 2000)
        if stop == own_broker.kill:
            await numbered.until_all_there(db)  # a broker that is killed forgets what it has not saved
        await asyncio.to_thread(stop)
        await asyncio.to_thread(own_broker.start)
    await until_status(gateway, "/readyz", process)
    await numbered.until_all_there(db)
    await numbered.assert_each_once(db)
    process.send(signal.SIGTERM)
    assert await process.end(10) == (0, "")


async def until_in_mid_stream(db: asyncpg.Connection) -> None:
    """Waits until some hundred readings more than now are in history."""
    before = await db.fetchval("select count(*) from meter_history")

    async def has_begun() -> bool:
        return bool(await db.fetchval("select count(*) from meter_history") >= before + 300)

    await eventually(has_begun)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "overrides",
    [
        {"mqtt_url": f"mqtt://127.0.0.1:{NO_SERVER}"},
        {"database_url": f"postgresql://u@127.0.0.1:{NO_SERVER}/d"},
    ],
    ids=["broker", "database"],
)
async def test_a_signal_while_a_server_cannot_be_reached(
    gateway: Gateway, launch: Launch, overrides: dict[str, str], signum: int
) -> None:
    process = await launch(**overrides)
    await until_status(gateway, "/healthz", process)

    async def has_tried() -> bool:
        return any("unavailable" in line for line in process.errors())

    await eventually(has_tried)
    assert await status_of(gateway.metrics_port, "/readyz") == 503
    process.send(signum)
    assert await process.end(4) == (0, "")
