"""Plain and shared subscriptions of one session: changed without a gap, and without delivering anything twice for long."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from chaos.proxy import Proxy
from fault_harness import Numbered, require_mosquitto, streaming
from gateway_harness import Gateway, eventually, meter, publisher, vehicle
from joulegate_cli.local.broker import LocalBroker
from joulegate_gateway.connection import Connection

NOTED = "select share_group from gateway_subscriptions order by 1"


@pytest.fixture
async def member(gateway: Gateway) -> Gateway:
    """The gateway of a test, on mosquitto."""
    require_mosquitto(gateway.broker)
    return gateway


def group(gateway: Gateway, name: str) -> str:
    """A share group of the test's own: the session's broker has other subscribers."""
    return f"{name}-{gateway.client_id}" if name else ""


async def noted(db: asyncpg.Connection) -> list[str]:
    """The forms that the database knows of."""
    return [row[0] for row in await db.fetch(NOTED)]


async def assert_delivered_once(gateway: Gateway, numbered: Numbered) -> None:
    """What is published now reaches the gateway, once."""
    received, settled, _ = await at_rest(gateway)
    async with publisher(gateway.broker) as publish:
        await asyncio.gather(*(publish(topic, payload) for topic, payload in numbered.take(100)))
    await gateway.settle(sum(settled.values()) + 100)
    now_received, now_settled, _ = await at_rest(gateway)
    assert now_received == received + 100
    assert now_settled == settled | {"committed": settled["committed"] + 100}


async def at_rest(gateway: Gateway) -> tuple[int, dict[str, int], int]:
    """The ledger, when nothing has come for a while and everything is settled."""
    before, ledger = -1, await gateway.ledger()
    while before != ledger[0] or ledger[2]:
        before = ledger[0]
        await asyncio.sleep(0.4)
        ledger = await gateway.ledger()
    return ledger


async def test_the_form_changes_under_a_stream(member: Gateway, db: asyncpg.Connection) -> None:
    numbered = Numbered()
    await member.start()
    for form in ("a", "", "b", "a", ""):
        async with streaming(member.broker, numbered):
            await asyncio.sleep(0.2)
            await member.stop()
            await asyncio.sleep(0.2)
            await member.start(share_group=group(member, form))
            await asyncio.sleep(0.2)
        await assert_delivered_once(member, numbered)
        assert await noted(db) == [group(member, form)]
    await numbered.until_all_there(db)
    await numbered.assert_each_once(db)


def hold_up(monkeypatch: pytest.MonkeyPatch, request: str, after: int) -> asyncio.Event:
    """From now on a connection's `request` is sent `after` times, and no further; the event says that it came to this."""
    reached, sent, genuine = asyncio.Event(), 0, getattr(Connection, request)

    async def held_up(self: Connection, topic_filter: str, **options: object) -> object:
        nonlocal sent
        sent += 1
        if sent > after:
            reached.set()
            await asyncio.Future()
        return await genuine(self, topic_filter, **options)

    monkeypatch.setattr(Connection, request, held_up)
    return reached


@pytest.mark.parametrize("then", ["b", "", "c"])
@pytest.mark.parametrize(
    ("request_", "after"), [("subscribe", 0), ("subscribe", 1), ("unsubscribe", 0), ("unsubscribe", 1)]
)
async def test_a_crash_in_the_middle_of_a_change(
    member: Gateway, db: asyncpg.Connection, request_: str, after: int, then: str
) -> None:
    numbered = Numbered()
    await member.start()
    await member.stop()
    await member.start(share_group=group(member, "a"))
    async with streaming(member.broker, numbered):
        await member.stop()
        with pytest.MonkeyPatch.context() as patch:
            reached = hold_up(patch, request_, after)
            await member.start(ready=False, share_group=group(member, "b"))
            async with asyncio.timeout(20):
                await reached.wait()
            assert await noted(db) == sorted(group(member, form) for form in ("a", "b"))
            await member.crash()
        await member.start(share_group=group(member, then))
    await assert_delivered_once(member, numbered)
    assert await noted(db) == [group(member, then)]
    await numbered.until_all_there(db)
    await numbered.assert_each_once(db)


async def test_a_plain_session_from_before_the_record(member: Gateway, db: asyncpg.Connection) -> None:
    await member.start()
    await member.stop()
    await db.execute("delete from gateway_subscriptions")
    await member.start(share_group=group(member, "a"))
    await assert_delivered_once(member, Numbered())


async def test_a_session_that_is_gone_takes_its_forms_with_it(member: Gateway, db: asyncpg.Connection) -> None:
    await member.start(share_group=group(member, "a"))
    await member.stop()
    await member.close()  # ends the session
    await member.start()
    assert await noted(db) == [""]
    await assert_delivered_once(member, Numbered())


async def test_a_form_that_another_process_subscribed_again_is_unsubscribed_again(
    member: Gateway, database_url: str, db: asyncpg.Connection
) -> None:
    async with Proxy(member.broker.port) as proxy:
        through: dict[str, Any] = {"mqtt_url": f"mqtt://127.0.0.1:{proxy.port}"}
        await member.start(share_group=group(member, "a"))
        await member.stop()
        await member.start(share_group=group(member, "b"), **through)
        late = Gateway(
            member.broker, database_url
        )  # as in a deployment where the old process ends after the new one began
        late.client_id = member.client_id
        proxy.refusing = True
        await late.start(share_group=group(member, "a"))
        await late.stop()
        proxy.refusing = False
        proxy.cut()
        await member.wait_ready()
        await assert_delivered_once(member, Numbered())


async def test_a_reconnection_does_not_need_the_record(member: Gateway, db: asyncpg.Connection) -> None:
    async with Proxy(member.broker.port) as proxy:
        await member.start(mqtt_url=f"mqtt://127.0.0.1:{proxy.port}", share_group=group(member, "a"))
        await db.execute("alter table gateway_subscriptions rename to away")
        proxy.cut()

        async def was_cut() -> bool:
            return (await member.metrics())["joulegate_reconnects_total"] == 1

        await eventually(was_cut)
        await member.wait_ready()
        await assert_delivered_once(member, Numbered())


async def test_a_record_that_cannot_be_written_is_waited_for(member: Gateway, db: asyncpg.Connection) -> None:
    await db.execute("alter table gateway_subscriptions rename to away")
    await member.start(ready=False)
    await asyncio.sleep(0.5)
    assert member.failure is None
    await db.execute("alter table away rename to gateway_subscriptions")
    await member.wait_ready()
    assert await noted(db) == [""]


async def test_the_record_holds_a_digest_of_the_client_id(member: Gateway, db: asyncpg.Connection) -> None:
    await member.start()
    digest = hashlib.sha256(member.client_id.encode()).digest()
    assert await db.fetchval("select client from gateway_subscriptions") == digest


@pytest.fixture
async def on_built_in(tmp_path: Path, database_url: str) -> AsyncIterator[Gateway]:
    """A gateway, not started yet, on the built-in broker."""
    server = LocalBroker(tmp_path / "built-in", kind="rumqttd").start()
    gateway = Gateway(server, database_url)
    yield gateway
    await gateway.close()
    server.stop()


@pytest.mark.parametrize("after", [0, 1])
async def test_a_session_whose_first_subscribe_failed_half_way_does_not_stay_deaf(
    on_built_in: Gateway, db: asyncpg.Connection, after: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        reached = hold_up(patch, "subscribe", after)
        await on_built_in.start(ready=False)
        async with asyncio.timeout(20):
            await reached.wait()
        await on_built_in.crash()
    await on_built_in.start()
    async with publisher(on_built_in.broker) as publish:
        await publish("fleet/cp-1/meter", meter())
        await publish("fleet/cp-1/vehicle", vehicle())
    assert await on_built_in.settle(2) == {"committed": 2, "duplicate": 0, "quarantined": 0}
