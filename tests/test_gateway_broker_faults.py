"""Gateways, brokers and connections that break: every reading is in history once, and what waits stays bounded."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import asyncpg
import mqtt5
import pytest

from chaos.proxy import Proxy
from fault_harness import Numbered, flood, require_mosquitto, streaming
from gateway_harness import Gateway, eventually, meter, publisher
from joulegate_cli.local.broker import LocalBroker
from joulegate_cli.local.ports import free_port
from joulegate_core.broker import BrokerAddress
from joulegate_core.errors import BrokerUnavailableError, SessionTakenOverError
from joulegate_gateway import connection
from process_harness import launching, until_status


@pytest.fixture
async def proxied(broker: LocalBroker, database_url: str) -> AsyncIterator[tuple[Gateway, Proxy]]:
    """A gateway, not started yet, and the proxy through which it reaches the session's broker."""
    require_mosquitto(broker)
    async with Proxy(broker.port) as proxy:
        gateway = Gateway(broker, database_url)
        yield gateway, proxy
        await gateway.close()


async def reconnects(gateway: Gateway) -> float:
    """How many connections to the broker have ended."""
    return (await gateway.metrics())["joulegate_reconnects_total"]


async def test_a_gateway_that_crashes_again_and_again_in_mid_stream(gateway: Gateway, db: asyncpg.Connection) -> None:
    require_mosquitto(gateway.broker)
    numbered = Numbered()
    settings: dict[str, Any] = {"batch_max": 100, "receive_maximum": 250, "linger_ms": 1}
    await gateway.start(**settings)
    await gateway.stop()
    await flood(gateway.broker, numbered, 5000)
    for crash in range(1, 6):
        await gateway.start(ready=False, **settings)
        goal = 700 * crash

        async def is_in_mid_stream(goal: int = goal) -> bool:
            return bool(await db.fetchval("select count(*) from meter_history") >= goal)

        await eventually(is_in_mid_stream)
        await gateway.crash()
        assert await db.fetchval("select count(*) from meter_history") < numbered.count
    await gateway.start(**settings)
    await numbered.until_all_there(db)
    await gateway.settle(0)
    await numbered.assert_each_once(db)


async def test_a_broker_that_is_stopped_in_mid_stream_and_started_again(
    own_broker: LocalBroker, database_url: str, db: asyncpg.Connection
) -> None:
    numbered = Numbered()
    gateway = Gateway(own_broker, database_url)
    await gateway.start(batch_max=20, receive_maximum=50)
    await flood(own_broker, numbered, 3000)
    await asyncio.to_thread(own_broker.stop)
    assert await db.fetchval("select count(*) from meter_history") < numbered.count
    await asyncio.to_thread(own_broker.start)
    await gateway.wait_ready()
    await flood(own_broker, numbered, 100)
    await numbered.until_all_there(db)
    await numbered.assert_each_once(db)
    assert await reconnects(gateway) >= 1
    await gateway.close()


async def test_a_broker_that_is_killed(own_broker: LocalBroker, database_url: str, db: asyncpg.Connection) -> None:
    numbered = Numbered()
    gateway = Gateway(own_broker, database_url)
    await gateway.start()
    await flood(own_broker, numbered, 100)
    await gateway.settle(100)
    own_broker.kill()

    async def has_noticed() -> bool:
        return await reconnects(gateway) >= 1

    await eventually(has_noticed)
    await asyncio.sleep(0.5)  # it tries, and is refused
    await asyncio.to_thread(own_broker.start)
    await gateway.wait_ready()
    await flood(own_broker, numbered, 100)
    await numbered.until_all_there(db)
    await numbered.assert_each_once(db)
    await gateway.close()


def an_hour(connack: bytes) -> bytes:
    """CONNACK of a broker that keeps sessions for an hour at most, which mosquitto cannot be told to say."""
    packet, size = mqtt5.read(memoryview(connack))
    assert isinstance(packet, mqtt5.ConnAckPacket)
    return (
        mqtt5.ConnAckPacket(session_present=packet.session_present, session_expiry_interval=3600).write()
        + connack[size:]
    )


async def test_a_session_that_is_kept_for_less_than_asked_is_told(
    proxied: tuple[Gateway, Proxy], capsys: pytest.CaptureFixture[str]
) -> None:
    gateway, proxy = proxied
    proxy.first_words = an_hour
    await gateway.start(mqtt_url=f"mqtt://127.0.0.1:{proxy.port}", session_expiry_seconds=7200)
    assert "session_expires_early" in capsys.readouterr().out
    await gateway.stop()
    await gateway.start(mqtt_url=f"mqtt://127.0.0.1:{proxy.port}", session_expiry_seconds=3600)
    assert "session_expires_early" not in capsys.readouterr().out
    await gateway.stop()


async def test_a_gateway_that_is_told_of_its_twin_ends_and_does_not_fight(proxied: tuple[Gateway, Proxy]) -> None:
    gateway, proxy = proxied
    await gateway.start(mqtt_url=f"mqtt://127.0.0.1:{proxy.port}")
    # mosquitto 2.0.11 closes the connection without a word; the proxy says what MQTT 5 (3.1.4-3) asks for
    proxy.last_words = mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER).write()
    async with aiomqtt.Client(hostname="127.0.0.1", port=gateway.broker.port, identifier=gateway.client_id) as twin:

        async def has_ended() -> bool:
            return gateway.failure is not None

        await eventually(has_ended)
        failure = gateway.failure
        assert isinstance(failure, BaseExceptionGroup)
        assert failure.subgroup(SessionTakenOverError) is not None
        assert "this gateway's client id" in str(failure.exceptions[0])
        await asyncio.sleep(1.2)  # longer than the pause before a reconnection
        async with asyncio.timeout(5):
            await twin.subscribe("other")  # still connected


async def test_a_half_open_connection_is_noticed_and_replaced(
    proxied: tuple[Gateway, Proxy], db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "KEEP_ALIVE_SECONDS", 1)
    numbered = Numbered()
    gateway, proxy = proxied
    await gateway.start(mqtt_url=f"mqtt://127.0.0.1:{proxy.port}")
    await asyncio.sleep(2.5)
    assert await reconnects(gateway) == 0  # silence alone is no reason: PINGRESP arrives
    proxy.stall()
    async with streaming(gateway.broker, numbered):

        async def is_replaced() -> bool:
            return await reconnects(gateway) >= 1

        await eventually(is_replaced)
    await numbered.until_all_there(db)
    await numbered.assert_each_once(db)


async def test_a_stop_while_the_broker_accepts_and_says_nothing(proxied: tuple[Gateway, Proxy]) -> None:
    gateway, proxy = proxied
    proxy.refusing = True
    await gateway.start(ready=False, mqtt_url=f"mqtt://127.0.0.1:{proxy.port}")

    async def is_connecting() -> bool:
        return proxy.connections >= 2  # the probe, then the client

    await eventually(is_connecting)
    async with asyncio.timeout(5):
        await gateway.stop()


async def test_a_broker_that_does_not_answer_is_told(broker: LocalBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_SECONDS", 0.3)
    async with Proxy(broker.port) as proxy:
        proxy.refusing = True
        for port, reason in ((proxy.port, "it does not answer"), (free_port(), "Connect")):
            attempt = connection.Connection(
                BrokerAddress("127.0.0.1", port, username="u", password="s3cr3t"),
                deliver=lambda _connection, _packet: None,
                gate=asyncio.Event(),
                client_id="x",
                receive_maximum=1,
                session_expiry_seconds=0,
            )
            with pytest.raises(BrokerUnavailableError, match=f"127.0.0.1:{port} cannot be used: .*{reason}") as caught:
                await attempt.open()
            assert "s3cr3t" not in str(caught.value)


async def test_two_gateways_share_the_stream(gateway: Gateway, database_url: str, db: asyncpg.Connection) -> None:
    require_mosquitto(gateway.broker)
    numbered, twin = Numbered(), Gateway(gateway.broker, database_url)
    group = f"group-{gateway.client_id}"  # the session's broker has other subscribers
    for each in (gateway, twin):
        await each.start(share_group=group)
    await flood(gateway.broker, numbered, 1000)
    await numbered.until_all_there(db)
    committed = [(await each.ledger())[1]["committed"] for each in (gateway, twin)]
    assert sum(committed) == 1000
    assert min(committed) > 100
    await numbered.assert_each_once(db)
    await twin.close()


async def test_connections_that_break_all_the_time(proxied: tuple[Gateway, Proxy], db: asyncpg.Connection) -> None:
    numbered = Numbered()
    gateway, proxy = proxied
    await gateway.start(mqtt_url=f"mqtt://127.0.0.1:{proxy.port}", batch_max=10, linger_ms=1)
    async with streaming(gateway.broker, numbered, pause=0.005):
        for _ in range(4):
            before = await reconnects(gateway)
            proxy.cut()

            async def is_back(before: float = before) -> bool:
                return await reconnects(gateway) > before

            await eventually(is_back)
            await gateway.wait_ready()
    await numbered.until_all_there(db)
    await gateway.settle(0)
    await numbered.assert_each_once(db)


async def test_an_acknowledged_message_does_not_come_again(gateway: Gateway) -> None:
    require_mosquitto(gateway.broker)
    await gateway.start()
    async with publisher(gateway.broker) as publish:
        for n in range(50):
            await publish("fleet/cp-1/meter", meter(f"m-{n}"))
    await gateway.settle(50)
    await gateway.stop()
    await gateway.start()
    async with publisher(gateway.broker) as publish:
        await publish("fleet/cp-1/meter", meter("last"))
    await gateway.settle(1)
    assert (await gateway.ledger())[0] == 1


async def test_connections_that_are_reset_leave_no_traceback(
    broker: LocalBroker, database_url: str, tmp_path: Path
) -> None:
    require_mosquitto(broker)
    async with Proxy(broker.port) as proxy:
        gateway = Gateway(broker, database_url)
        async with launching(gateway, tmp_path) as launch:  # a process: uvloop raises where asyncio only warns
            process = await launch(mqtt_url=f"mqtt://127.0.0.1:{proxy.port}")
            await until_status(gateway, "/readyz", process)
            for _ in range(3):
                before = await reconnects(gateway)
                proxy.reset()

                async def is_back(before: float = before) -> bool:
                    return await reconnects(gateway) > before

                await eventually(is_back)
                await until_status(gateway, "/readyz", process)
            assert not any("exception" in event for event in process.events())
        await gateway.close()


async def test_a_connection_that_is_kept_costs_little_memory() -> None:
    tracemalloc.start()
    kept = [
        connection.Connection(
            BrokerAddress("127.0.0.1", 1883),
            deliver=lambda _connection, _packet: None,
            gate=asyncio.Event(),
            client_id="x",
            receive_maximum=1,
            session_expiry_seconds=0,
        )
        for _ in range(20)
    ]
    megabytes = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    assert megabytes / len(kept) < 1
