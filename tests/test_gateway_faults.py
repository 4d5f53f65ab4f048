"""The database fails in every way that passes: nothing is lost, nothing is doubled, and the gateway resumes by itself."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from chaos.proxy import Proxy
from fault_harness import Numbered, assert_all_arrived, missing, require_mosquitto, streaming
from gateway_harness import Gateway, eventually, meter, now_ms, publisher
from joulegate_cli.local.broker import LocalBroker
from joulegate_cli.local.ports import free_port
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.clock import utc_now
from joulegate_db.connect import MIGRATION_SETTINGS, WRITER_SETTINGS, connect
from joulegate_db.migrate import migrate
from joulegate_db.partitions import ensure_partitions
from joulegate_gateway import pipeline, service

SHORT_IDLE = ("idle_in_transaction_session_timeout", "1s")
"""After this the server ends a transaction whose client is gone, and with it the locks on the rows of the batch."""


@pytest.fixture(scope="module")
def crash_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def crash_server(tmp_path_factory: pytest.TempPathFactory, crash_port: int) -> Iterator[LocalPostgres]:
    """A PostgreSQL to be stopped and crashed, with fsync on: what was committed must be there afterwards."""
    server = LocalPostgres(
        tmp_path_factory.mktemp("crash"), port=crash_port, options={"recovery_init_sync_method": "syncfs"}
    )
    server.start()
    yield server
    server.stop("immediate")


@pytest.fixture
async def crash_url(crash_server: LocalPostgres) -> AsyncIterator[str]:
    """A database of the test's own on `crash_server`, which runs when the test begins."""
    name = f"t_{secrets.token_hex(6)}"
    maintenance = await asyncpg.connect(crash_server.tcp_url())
    await maintenance.execute(f"create database {name}")
    await maintenance.close()
    url = crash_server.tcp_url(name)
    connection = await connect(url, MIGRATION_SETTINGS)
    await migrate(connection)
    await ensure_partitions(connection, utc_now(), max_age_days=7)
    await connection.close()
    yield url
    crash_server.start()


@pytest.fixture
async def crash_gateway(broker: LocalBroker, crash_url: str) -> AsyncIterator[Gateway]:
    """A gateway on the database that is crashed."""
    require_mosquitto(broker)
    harness = Gateway(broker, crash_url)
    yield harness
    await harness.close()


async def test_a_database_that_is_away_for_eight_seconds(
    crash_gateway: Gateway, crash_server: LocalPostgres, crash_url: str
) -> None:
    numbered = Numbered()
    await crash_gateway.start()
    async with streaming(crash_gateway.broker, numbered):
        await asyncio.sleep(0.5)
        stopped = time.monotonic()
        await asyncio.to_thread(crash_server.stop, "fast")
        await asyncio.sleep(3)
        assert "not subscribed" not in await missing(crash_gateway)  # the grace

        async def has_left_the_queue_to_the_broker() -> bool:
            return "not subscribed" in await missing(crash_gateway)

        await eventually(has_left_the_queue_to_the_broker)
        assert (
            time.monotonic() - stopped > pipeline.OUTAGE_SECONDS - 0.5
        )  # from the start of the batch that was cut off
        pending = (await crash_gateway.ledger())[2]
        await asyncio.sleep(max(0, stopped + 8 - time.monotonic()))
        assert (await crash_gateway.ledger())[2] == pending  # nothing is taken during the outage
        await asyncio.to_thread(crash_server.start)
        await crash_gateway.wait_ready()
        await asyncio.sleep(0.3)
    assert (await crash_gateway.metrics())["joulegate_reconnects_total"] >= 1
    await assert_all_arrived(crash_gateway, crash_url, numbered)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_short_outage_and_a_crash_in_mid_stream(
    crash_gateway: Gateway, crash_server: LocalPostgres, crash_url: str, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(pipeline, "OUTAGE_SECONDS", 60)  # short, whatever this machine does besides
    numbered = Numbered()
    await crash_gateway.start(linger_ms=1)
    async with streaming(crash_gateway.broker, numbered, pause=0.005):
        for _ in range(2):
            await asyncio.sleep(0.4)
            await asyncio.to_thread(crash_server.stop, mode)
            await asyncio.sleep(0.4)
            await asyncio.to_thread(crash_server.start)
    await assert_all_arrived(crash_gateway, crash_url, numbered)
    metrics = await crash_gateway.metrics()
    assert metrics["joulegate_database_failures_total"] >= 1
    assert metrics["joulegate_reconnects_total"] == 0


async def test_a_half_open_connection_to_the_database_is_given_up(
    broker: LocalBroker, crash_url: str, crash_port: int, crash_server: LocalPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "TRANSACTION_TIMEOUT_SECONDS", 2.0)
    monkeypatch.setitem(WRITER_SETTINGS, *SHORT_IDLE)
    numbered = Numbered()
    async with Proxy(crash_port) as proxy, half_open_gateway(broker, crash_server, crash_url, proxy) as gateway:
        async with streaming(broker, numbered):
            await asyncio.sleep(0.3)
            await stall_in_mid_transaction(gateway, crash_url, proxy)
            await asyncio.sleep(1)
        await assert_all_arrived(gateway, crash_url, numbered)


async def test_a_stop_while_the_database_does_not_answer(
    broker: LocalBroker, crash_url: str, crash_port: int, crash_server: LocalPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "DRAIN_SECONDS", 0.5)
    monkeypatch.setitem(WRITER_SETTINGS, *SHORT_IDLE)
    numbered = Numbered()
    async with Proxy(crash_port) as proxy, half_open_gateway(broker, crash_server, crash_url, proxy) as gateway:
        async with streaming(broker, numbered):
            await asyncio.sleep(0.3)
            await stall_in_mid_transaction(gateway, crash_url, proxy)
        proxy.refusing = True  # nor does it answer new connections
        async with asyncio.timeout(8):
            await gateway.stop()
        proxy.refusing = False
        await gateway.start()
        await assert_all_arrived(gateway, crash_url, numbered)


@asynccontextmanager
async def half_open_gateway(
    broker: LocalBroker, server: LocalPostgres, url: str, proxy: Proxy
) -> AsyncIterator[Gateway]:
    """A gateway that reaches its database through `proxy`."""
    require_mosquitto(broker)
    gateway = Gateway(broker, server.tcp_url(url.rsplit("/", 1)[1], port=proxy.port))
    try:
        await gateway.start()
        yield gateway
    finally:
        await gateway.close()


async def stall_in_mid_transaction(gateway: Gateway, url: str, proxy: Proxy) -> None:
    """Makes the writer's connection a black hole while a lock keeps a batch in the middle of its transaction."""
    db = await asyncpg.connect(url)
    async with db.transaction():
        await db.execute("lock table meter_history in access exclusive mode")

        async def is_waiting() -> bool:
            return bool(await db.fetchval("select exists (select from pg_locks where not granted)"))

        await eventually(is_waiting)
        proxy.stall()
    await db.close()


async def test_a_stop_during_an_outage_ends_within_the_drain_limit(
    crash_gateway: Gateway, crash_server: LocalPostgres, crash_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "DRAIN_SECONDS", 0.5)
    numbered = Numbered()
    await crash_gateway.start()
    await asyncio.to_thread(crash_server.stop, "fast")
    async with streaming(crash_gateway.broker, numbered):
        await asyncio.sleep(0.3)
    async with asyncio.timeout(5):
        await crash_gateway.stop()
    await asyncio.to_thread(crash_server.start)
    await crash_gateway.start()  # what was taken and not committed comes again
    await assert_all_arrived(crash_gateway, crash_url, numbered)


async def test_a_stop_in_a_declared_outage_is_prompt(
    crash_gateway: Gateway, crash_server: LocalPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "OUTAGE_SECONDS", 0.3)
    await crash_gateway.start()
    await asyncio.to_thread(crash_server.stop, "fast")
    async with publisher(crash_gateway.broker) as publish:
        await publish("fleet/cp-1/meter", meter())

    async def has_left_the_queue_to_the_broker() -> bool:
        return "not subscribed" in await missing(crash_gateway)

    await eventually(has_left_the_queue_to_the_broker)
    async with asyncio.timeout(service.DRAIN_SECONDS / 3):
        await crash_gateway.stop()


async def test_a_gateway_starts_before_its_database(
    crash_gateway: Gateway, crash_server: LocalPostgres, crash_url: str
) -> None:
    await asyncio.to_thread(crash_server.stop, "fast")
    await crash_gateway.start(ready=False)

    async def says_what_is_missing() -> bool:
        try:
            return "database" in await missing(crash_gateway)
        except OSError:
            return False

    await eventually(says_what_is_missing)
    await asyncio.to_thread(crash_server.start)
    await crash_gateway.wait_ready()
    async with publisher(crash_gateway.broker) as publish:
        await publish("fleet/cp-1/meter", meter(ts=now_ms()))
    assert (await crash_gateway.settle(1))["committed"] == 1
