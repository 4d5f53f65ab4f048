"""`joulegate gateway --leave`: a gateway goes for good, and takes nothing with it."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import asyncpg
import mqtt5
import pytest
from structlog.testing import capture_logs

from chaos.proxy import Proxy
from fault_harness import Numbered, flood, require_mosquitto, streaming
from gateway_harness import Gateway, eventually, status_of
from joulegate_cli.local.broker import LocalBroker
from joulegate_core.errors import SessionTakenOverError
from joulegate_core.settings import load_settings
from joulegate_gateway import errands, forms, pipeline
from joulegate_gateway.connection import Connection
from joulegate_gateway.errands import NotLeftError
from joulegate_gateway.service import run_gateway
from process_harness import Launch, launching

SLOW: dict[str, Any] = {"batch_max": 10, "receive_maximum": 20, "linger_ms": 0}
"""Some thousand messages then take long enough to be interrupted."""


@pytest.fixture
async def goes(gateway: Gateway) -> Gateway:
    """The gateway that leaves, not started yet."""
    require_mosquitto(gateway.broker)
    return gateway


@pytest.fixture
async def stays(goes: Gateway, database_url: str) -> AsyncIterator[Gateway]:
    """Another one."""
    harness = Gateway(goes.broker, database_url)
    yield harness
    await harness.close()


@pytest.fixture
async def launch(goes: Gateway, tmp_path: Path) -> AsyncIterator[Launch]:
    async with launching(goes, tmp_path) as launch:
        yield launch


def group(gateway: Gateway) -> dict[str, Any]:
    """The setting of a share group of the test's own: the session's broker has other subscribers."""
    return {"share_group": f"group-{gateway.client_id}"}


async def leave(gateway: Gateway, stop: asyncio.Event | None = None, **overrides: object) -> None:
    """`joulegate gateway --leave` in this process."""
    await run_gateway(load_settings(gateway.environ(**overrides)), stop or asyncio.Event(), leave=True)


@asynccontextmanager
async def leaving(gateway: Gateway, stop: asyncio.Event | None = None, **overrides: object) -> AsyncIterator[None]:
    """It goes on beside the block, and must have left some time after it."""
    task = asyncio.create_task(leave(gateway, stop, **overrides))
    try:
        yield
        async with asyncio.timeout(30):
            await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def has_session(gateway: Gateway) -> bool:
    """Whether the broker holds a session of the gateway's client id. The look itself ends it."""
    async with aiomqtt.Client(
        hostname="127.0.0.1", port=gateway.broker.port, identifier=gateway.client_id, clean_start=False
    ) as client:
        return (await client.connected()).session_present


async def assert_gone(gateway: Gateway, db: asyncpg.Connection) -> None:
    """Nothing is left of the gateway."""
    assert not await has_session(gateway)
    assert await db.fetchval("select count(*) from gateway_subscriptions") == 0


async def subscribe_and_stop(gateway: Gateway, **overrides: Any) -> None:
    """From now on the broker queues for the gateway."""
    await gateway.start(**overrides)
    await gateway.stop()


async def until_stored(db: asyncpg.Connection, count: int) -> None:
    """Waits until history holds so many readings."""

    async def are_there() -> bool:
        return bool(await db.fetchval("select count(*) from meter_history") >= count)

    await eventually(are_there)


async def until_pending(gateway: Gateway, count: int) -> None:
    """Waits until the gateway has taken so many messages that are not settled."""

    async def are_pending() -> bool:
        return await status_of(gateway.metrics_port, "/metrics") == 200 and (await gateway.ledger())[2] == count

    await eventually(are_pending)


async def test_one_of_two_leaves_under_a_stream(
    goes: Gateway, stays: Gateway, launch: Launch, db: asyncpg.Connection
) -> None:
    numbered = Numbered()
    for each in (goes, stays):
        await each.start(**group(goes))
    async with streaming(goes.broker, numbered):
        await asyncio.sleep(0.3)
        await goes.stop()
        await asyncio.sleep(0.5)  # its share of the stream waits for it
        process = await launch("gateway", "--leave", **group(goes))
        assert await process.end() == (0, "")
    await numbered.until_all_there(db)
    await stays.settle(0)
    assert process.events()[-2]["event"] == "left"
    assert process.events()[-2]["drained"] > 0
    assert not await has_session(goes)
    received = (await stays.ledger())[0]
    await flood(goes.broker, numbered, 200)
    await numbered.until_all_there(db)
    await numbered.assert_each_once(db)
    await stays.settle(received + 200)
    assert (await stays.ledger())[0] == received + 200


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "plain"])
async def test_a_backlog_many_times_the_receive_maximum_is_drained(
    goes: Gateway, db: asyncpg.Connection, *, shared: bool
) -> None:
    numbered, settings = Numbered(), SLOW | (group(goes) if shared else {})
    await subscribe_and_stop(goes, **settings)
    await flood(goes.broker, numbered, 1500)
    await leave(goes, **settings)
    await numbered.assert_each_once(db)
    await assert_gone(goes, db)


async def test_what_is_published_while_it_leaves_goes_to_the_others(
    goes: Gateway, stays: Gateway, db: asyncpg.Connection
) -> None:
    numbered = Numbered()
    await subscribe_and_stop(goes, **group(goes))
    await stays.start(**group(goes))
    await flood(goes.broker, numbered, 2000)
    async with streaming(goes.broker, numbered), leaving(goes, **SLOW, **group(goes)):
        pass
    await numbered.until_all_there(db)
    await numbered.assert_each_once(db)
    await assert_gone_beside(goes, stays, db)


async def assert_gone_beside(goes: Gateway, stays: Gateway, db: asyncpg.Connection) -> None:
    """Nothing is left of the one, and the other is still known."""
    assert not await has_session(goes)
    assert [row[0] for row in await db.fetch("select share_group from gateway_subscriptions")] == list(
        group(goes).values()
    )


async def test_a_leave_that_is_killed_can_be_run_again(goes: Gateway, launch: Launch, db: asyncpg.Connection) -> None:
    numbered = Numbered()
    await subscribe_and_stop(goes, **group(goes))
    await flood(goes.broker, numbered, 3000)
    for killed in (1, 2):
        process = await launch("gateway", "--leave", **SLOW, **group(goes))
        await until_stored(db, 300 * killed)
        await process.kill()
        assert await db.fetchval("select count(*) from meter_history") < numbered.count
    process = await launch("gateway", "--leave", **group(goes))
    assert await process.end() == (0, "")
    await numbered.assert_each_once(db)
    await assert_gone(goes, db)


async def test_a_signal_while_it_leaves_drains_what_was_taken_and_says_how_to_finish(
    goes: Gateway, launch: Launch, db: asyncpg.Connection
) -> None:
    numbered = Numbered()
    await subscribe_and_stop(goes)
    await flood(goes.broker, numbered, 3000)
    process = await launch("gateway", "--leave", **SLOW)
    await until_stored(db, 300)
    process.send(signal.SIGTERM)
    assert await process.end() == (1, "")
    process.assert_one_line("`joulegate gateway --leave`", "again")
    before = await db.fetchval("select count(*) from meter_history")
    assert before < numbered.count
    with capture_logs() as logs:
        await leave(goes)
    assert [event["drained"] for event in logs if event["event"] == "left"] == [numbered.count - before]
    await numbered.assert_each_once(db)
    await assert_gone(goes, db)


async def test_one_that_never_was_has_nothing_to_leave(goes: Gateway, launch: Launch) -> None:
    process = await launch("gateway", "--leave")
    assert await process.end() == (0, "")
    assert [event["event"] for event in process.events()].count("no_session_to_leave") == 1
    assert not await has_session(goes)


async def test_a_gateway_that_left_can_come_back(goes: Gateway, db: asyncpg.Connection) -> None:
    await subscribe_and_stop(goes)
    await leave(goes)
    numbered = Numbered()
    await flood(goes.broker, numbered, 10)  # for nobody
    await goes.start()
    await flood(goes.broker, numbered, 10)
    assert (await goes.settle(10))["committed"] == 10
    assert (await goes.ledger())[0] == 10


async def test_it_leaves_the_forms_of_former_settings_too(
    goes: Gateway, stays: Gateway, db: asyncpg.Connection
) -> None:
    numbered, changing = Numbered(), asyncio.Event()

    async def never(*_: object) -> None:
        changing.set()
        await asyncio.Future()

    await subscribe_and_stop(goes, **group(goes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forms, "_unsubscribe", never)
        await goes.start(ready=False, share_group=f"other-{goes.client_id}")
        async with asyncio.timeout(20):
            await changing.wait()
        await goes.crash()
    await stays.start()
    async with streaming(goes.broker, numbered), asyncio.timeout(20):
        await leave(
            goes, share_group=f"third-{goes.client_id}"
        )  # were anything subscribed still, it would never be drained
    await numbered.until_all_there(db)
    await numbered.assert_each_once(db)
    assert not await has_session(goes)
    assert [row[0] for row in await db.fetch("select share_group from gateway_subscriptions")] == [""]  # the other's


async def test_an_outage_of_the_database_is_waited_for(
    goes: Gateway, db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "OUTAGE_SECONDS", 0.3)
    numbered = Numbered()
    await subscribe_and_stop(goes)
    await flood(goes.broker, numbered, 3000)
    with capture_logs() as logs:
        async with leaving(goes, **SLOW):
            await until_stored(db, 300)
            async with db.transaction():
                await db.execute("lock table meter_history in access exclusive mode")
                assert await db.fetchval("select count(*) from meter_history") < numbered.count

                async def has_left_the_queue_to_the_broker() -> bool:
                    return any(event["event"] == "queue_left_to_broker" for event in logs)

                await eventually(has_left_the_queue_to_the_broker)
    await numbered.assert_each_once(db)
    await assert_gone(goes, db)


async def test_the_session_does_not_end_before_everything_is_committed(goes: Gateway, db: asyncpg.Connection) -> None:
    numbered = Numbered()
    await subscribe_and_stop(goes)
    await flood(goes.broker, numbered, 50)
    task = asyncio.create_task(leave(goes, linger_ms=1500))
    await until_pending(goes, 50)
    async with db.transaction():
        await db.execute("lock table meter_history in access exclusive mode")
        await asyncio.sleep(2.5)  # the broker has long been silent
        task.cancel()  # a crash
        await asyncio.gather(task, return_exceptions=True)
    await leave(goes)
    await numbered.assert_each_once(db)


async def test_a_long_way_to_the_broker_does_not_look_like_silence(goes: Gateway, db: asyncpg.Connection) -> None:
    numbered = Numbered()
    await subscribe_and_stop(goes)
    await flood(goes.broker, numbered, 20)
    async with Proxy(goes.broker.port) as proxy:
        proxy.delay_seconds = 0.1
        await leave(goes, receive_maximum=1, linger_ms=0, mqtt_url=f"mqtt://127.0.0.1:{proxy.port}")
    await numbered.assert_each_once(db)
    await assert_gone(goes, db)


async def test_a_broker_that_goes_away_meanwhile_is_waited_for(
    own_broker: LocalBroker, database_url: str, db: asyncpg.Connection
) -> None:
    numbered, goes = Numbered(), Gateway(own_broker, database_url)
    await subscribe_and_stop(goes)
    await flood(own_broker, numbered, 3000)
    async with leaving(goes, **SLOW):
        await until_stored(db, 300)
        await asyncio.to_thread(own_broker.stop)
        assert await db.fetchval("select count(*) from meter_history") < numbered.count
        await asyncio.to_thread(own_broker.start)
    await numbered.assert_each_once(db)
    await assert_gone(goes, db)


async def test_an_end_that_the_broker_did_not_hear_of_is_told_again(
    goes: Gateway, db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine, calls = Connection.end_session, 0

    async def lost_on_the_way(self: Connection) -> bool:
        nonlocal calls
        calls += 1
        if calls > 1:
            return await genuine(self)
        await self.close()
        return False

    monkeypatch.setattr(Connection, "end_session", lost_on_the_way)
    await subscribe_and_stop(goes)
    await leave(goes)
    assert calls == 2
    await assert_gone(goes, db)


async def test_it_tells_how_far_it_is(goes: Gateway, db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errands, "PROGRESS_SECONDS", 0.2)
    await subscribe_and_stop(goes)
    await flood(goes.broker, Numbered(), 3000)
    with capture_logs() as logs:
        await leave(goes, **SLOW)
    told = [event["drained"] for event in logs if event["event"] == "leaving"]
    assert told == sorted(told)
    assert any(0 < drained < 3000 for drained in told)


async def test_the_port_of_a_gateway_that_still_runs_keeps_it_from_leaving(goes: Gateway, launch: Launch) -> None:
    await goes.start()
    process = await launch("gateway", "--leave")
    assert await process.end() == (1, "")
    process.assert_one_line("JOULEGATE_METRICS_PORT")
    await goes.settle(0)  # it runs on, undisturbed
    assert (await goes.metrics())["joulegate_reconnects_total"] == 0


async def test_a_twin_that_takes_the_session_back_ends_the_leave(goes: Gateway) -> None:
    await subscribe_and_stop(goes)
    await flood(goes.broker, Numbered(), 20)
    async with Proxy(goes.broker.port) as proxy:
        # mosquitto 2.0.11 closes the connection without a word; the proxy says what MQTT 5 (3.1.4-3) asks for
        proxy.last_words = mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER).write()
        through = f"mqtt://127.0.0.1:{proxy.port}"
        task = asyncio.create_task(leave(goes, linger_ms=10_000, mqtt_url=through))
        await until_pending(goes, 20)
        async with aiomqtt.Client(hostname="127.0.0.1", port=goes.broker.port, identifier=goes.client_id):
            with pytest.raises(ExceptionGroup) as caught:
                await task
    assert caught.group_contains(SessionTakenOverError, match="`joulegate gateway --leave` again")


async def test_a_stop_before_the_broker_was_reached_does_not_pass_for_leaving(goes: Gateway) -> None:
    stop = asyncio.Event()
    async with Proxy(goes.broker.port) as proxy:
        proxy.refusing = True
        task = asyncio.create_task(leave(goes, stop, mqtt_url=f"mqtt://127.0.0.1:{proxy.port}"))

        async def is_connecting() -> bool:
            return proxy.connections >= 2

        await eventually(is_connecting)
        stop.set()
        with pytest.raises(NotLeftError, match="again to finish"):
            await task


async def test_the_built_in_broker_cannot_be_left(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "UNSUBACK_SECONDS", 0.5)
    server = LocalBroker(tmp_path / "built-in", kind="rumqttd").start()
    try:
        goes = Gateway(server, database_url)
        await subscribe_and_stop(goes)
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.timeout(20):
                await leave(goes)
        assert caught.group_contains(forms.UnsubscribeError, match="has no UNSUBSCRIBE")
        await goes.start()  # nothing has changed
    finally:
        await goes.close()
        server.stop()
