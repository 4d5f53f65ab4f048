"""One connection to the broker: how it asks, and how it ends."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import aiomqtt
import pytest

from chaos.proxy import Proxy
from fault_harness import require_mosquitto
from joulegate_cli.local.broker import LocalBroker
from joulegate_core.broker import BrokerAddress
from joulegate_gateway import connection as connection_module
from joulegate_gateway.connection import Connection


@pytest.fixture
async def proxy(broker: LocalBroker) -> AsyncIterator[Proxy]:
    """The way to the session's broker."""
    require_mosquitto(broker)
    async with Proxy(broker.port) as proxy:
        yield proxy


def connection_to(proxy: Proxy, client_id: str | None = None) -> Connection:
    """A connection, not open yet, with a session that stays for an hour."""
    gate = asyncio.Event()
    gate.set()
    return Connection(
        BrokerAddress("127.0.0.1", proxy.port),
        deliver=lambda _connection, _packet: None,
        gate=gate,
        client_id=client_id or f"connection-{secrets.token_hex(6)}",
        receive_maximum=10,
        session_expiry_seconds=3600,
    )


async def test_the_session_stays_until_it_is_ended(proxy: Proxy) -> None:
    client_id = f"connection-{secrets.token_hex(6)}"
    first = await connection_to(proxy, client_id).open()
    await first.close()
    second = await connection_to(proxy, client_id).open()
    assert (first.session_present, second.session_present) == (False, True)
    proxy.delay_seconds = 0.3
    assert await second.end_session()
    proxy.cut()  # it has arrived
    proxy.delay_seconds = 0
    third = await connection_to(proxy, client_id).open()
    assert not third.session_present
    await third.end_session()


async def test_an_end_that_the_broker_does_not_confirm_is_told(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "CLOSE_TIMEOUT_SECONDS", 0.5)
    connection = await connection_to(proxy).open()
    proxy.stall()
    assert not await connection.end_session()
    assert not await connection.end_session()


@pytest.mark.parametrize("ending", [Connection.close, Connection.end_session])
async def test_a_cancellation_while_it_closes_is_not_lost(
    proxy: Proxy, ending: Callable[[Connection], Coroutine[Any, Any, object]]
) -> None:
    connection = await connection_to(proxy).open()
    closing = asyncio.create_task(ending(connection))
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert connection.lost.done()


async def test_pings_at_the_same_time_are_all_answered(proxy: Proxy) -> None:
    connection = await connection_to(proxy).open()
    async with asyncio.timeout(5):
        await asyncio.gather(*(connection.ping() for _ in range(5)))
    await connection.end_session()


async def test_a_ping_that_is_given_up_does_no_harm(proxy: Proxy) -> None:
    connection = await connection_to(proxy).open()
    proxy.delay_seconds = 0.2
    pinging = asyncio.create_task(connection.ping())
    await asyncio.sleep(0.05)
    pinging.cancel()
    async with asyncio.timeout(5):
        await connection.ping()
    await asyncio.sleep(0.8)  # two answers have come, and one was enough
    assert not connection.lost.done()
    await connection.end_session()


async def test_a_ping_over_a_connection_that_ends(proxy: Proxy) -> None:
    connection = await connection_to(proxy).open()
    await connection.ping()
    proxy.cut()
    await connection.lost
    with pytest.raises(aiomqtt.ConnectError):
        async with asyncio.timeout(5):
            await connection.ping()
    await connection.close()
