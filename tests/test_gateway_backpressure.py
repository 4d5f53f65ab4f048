"""A batch that cannot be committed is held, no more is taken than can be settled, and a stop settles what was taken."""

import asyncio

import asyncpg
import pytest

from fault_harness import (
    Numbered,
    assert_all_arrived,
    flood,
    is_connected,
    missing,
    require_mosquitto,
    streaming,
    until_listening,
)
from gateway_harness import Gateway, eventually, meter, publisher
from joulegate_cli.local.broker import LocalBroker
from joulegate_gateway import pipeline

TERMINATE_WRITERS = """
select count(pg_terminate_backend(pid)) from pg_stat_activity
where application_name = 'joulegate-gateway' and datname = current_database()
"""


async def test_the_writer_s_backend_is_terminated_again_and_again(
    gateway: Gateway, database_url: str, db: asyncpg.Connection
) -> None:
    numbered = Numbered()
    await gateway.start(linger_ms=1)
    async with streaming(gateway.broker, numbered, pause=0.005):
        for _ in range(3):
            await eventually(lambda: db.fetchval(TERMINATE_WRITERS))
    await assert_all_arrived(gateway, database_url, numbered)


async def test_a_missing_partition_is_made_again(gateway: Gateway, database_url: str, db: asyncpg.Connection) -> None:
    numbered = Numbered()
    await gateway.start()
    for row in await db.fetch(
        "select relname as name from pg_class where relispartition and relkind = 'r' and relname like '%_history_%'"
    ):
        await db.execute(f"drop table {row['name']}")
    async with streaming(gateway.broker, numbered):
        await asyncio.sleep(0.3)
    await assert_all_arrived(gateway, database_url, numbered)


async def test_a_lock_on_history_is_waited_for(gateway: Gateway, database_url: str, db: asyncpg.Connection) -> None:
    numbered = Numbered()
    await gateway.start()
    async with streaming(gateway.broker, numbered):
        await asyncio.sleep(0.2)
        async with db.transaction():
            await db.execute("lock table meter_history in access exclusive mode")
            await asyncio.sleep(2)
            assert (await gateway.ledger())[2] > 0
    await assert_all_arrived(gateway, database_url, numbered)
    assert (await gateway.metrics())["joulegate_reconnects_total"] == 0


async def test_the_inbox_stays_bounded_while_fifty_thousand_messages_wait(
    gateway: Gateway, db: asyncpg.Connection
) -> None:
    require_mosquitto(gateway.broker)
    capacity, numbered = 1000, Numbered()
    await gateway.start(receive_maximum=capacity, batch_max=500)
    await gateway.stop()
    await flood(gateway.broker, numbered, 50_000)
    most = 0
    async with db.transaction():
        await db.execute("lock table meter_history in access exclusive mode")
        await gateway.start(ready=False, receive_maximum=capacity, batch_max=500)
        await until_listening(gateway.metrics_port)
        for _ in range(50):
            most = max(most, (await gateway.ledger())[2])
            await asyncio.sleep(0.02)
    assert most == capacity

    async def all_there() -> bool:
        nonlocal most
        _, settled, pending = await gateway.ledger()
        most = max(most, pending)
        return settled["committed"] == numbered.count

    await eventually(all_there, 40)
    assert most == capacity
    await numbered.assert_each_once(db)


async def test_an_outage_before_suback_leaves_the_queue_to_the_broker(
    gateway: Gateway, db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_mosquitto(gateway.broker)
    monkeypatch.setattr(pipeline, "OUTAGE_SECONDS", 0.5)
    numbered = Numbered()
    await gateway.start(receive_maximum=10)
    await gateway.stop()
    await flood(gateway.broker, numbered, 1000)
    async with db.transaction():
        await db.execute("lock table meter_history in access exclusive mode")
        await gateway.start(ready=False, receive_maximum=10)
        await until_listening(gateway.metrics_port)

        async def is_full() -> bool:
            return (await gateway.ledger())[2] >= 10

        async def has_left() -> bool:
            return not is_connected(gateway.broker, gateway.client_id)

        await eventually(is_full)
        await eventually(has_left, 5)
        await asyncio.sleep(0.5)
        assert await has_left()  # and it stays away until the database is back
    await numbered.until_all_there(db)
    await numbered.assert_each_once(db)


async def test_a_stop_without_a_broker_still_commits_what_was_taken(
    own_broker: LocalBroker, database_url: str, db: asyncpg.Connection
) -> None:
    gateway = Gateway(own_broker, database_url)
    await gateway.start(linger_ms=10_000)
    async with publisher(own_broker) as publish:
        for n in range(20):
            await publish(f"fleet/cp-{n}/meter", meter(f"m-{n}"), qos=0)

    async def all_taken() -> bool:
        return (await gateway.ledger())[2] == 20

    await eventually(all_taken)
    own_broker.kill()

    async def is_gone() -> bool:
        return "not subscribed" in await missing(gateway)

    await eventually(is_gone)
    await gateway.stop()
    assert await db.fetchval("select count(*) from meter_history") == 20
