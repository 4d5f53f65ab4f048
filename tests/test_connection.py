"""One connection to the broker: how it asks, and how it ends."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import aiomqtt
import pytest

from chaos.proxy import Proxy
from fault_harness import require_mosquitto
from joulegate_cli.local.broker import LocalBroker
from joulegate_core.broker import BrokerAddress
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


@pytest.mark.parametrize("end_session", [False, True])
async def test_the_session_stays_unless_it_is_to_end(proxy: Proxy, *, end_session: bool) -> None:
    client_id = f"connection-{secrets.token_hex(6)}"
    first = await connection_to(proxy, client_id).open()
    assert not first.session_present
    await first.close(end_session=end_session)
    second = await connection_to(proxy, client_id).open()
    assert second.session_present is not end_session
    await second.close(end_session=True)


async def test_a_cancellation_while_it_closes_is_not_lost(proxy: Proxy) -> None:
    connection = await connection_to(proxy).open()
    closing = asyncio.create_task(connection.close(end_session=True))
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing


async def test_pings_at_the_same_time_are_all_answered(proxy: Proxy) -> None:
    connection = await connection_to(proxy).open()
    async with asyncio.timeout(5):
        await asyncio.gather(*(connection.ping() for _ in range(5)))
    await connection.close(end_session=True)


async def test_a_ping_that_is_given_up_does_no_harm(proxy: Proxy) -> None:
    connection = await connection_to(proxy).open()
    proxy.delay_seconds = 0.2
    pinging = asyncio.create_task(connection.ping())
    await asyncio.sleep(0.05)
    pinging.cancel()
    await asyncio.sleep(0.8)  # the answer comes, and nobody waits for it
    assert not connection.lost.done()
    async with asyncio.timeout(5):
        await connection.ping()
    await connection.close(end_session=True)


async def test_a_ping_over_a_connection_that_ends(proxy: Proxy) -> None:
    connection = await connection_to(proxy).open()
    await connection.ping()
    proxy.cut()
    await connection.lost
    with pytest.raises(aiomqtt.ConnectError):
        async with asyncio.timeout(5):
            await connection.ping()
    await connection.close()
