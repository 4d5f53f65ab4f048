"""What the gateway needs of a broker, asked of the suite's mosquitto, or of the broker that JOULEGATE_TEST_BROKER_URL names.

It must be a broker for tests, without TLS and without a login: readings are published under fleet/. docs/brokers.md says what was found.
"""

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import asyncpg
import pytest

from chaos.proxy import Proxy
from fault_harness import Numbered, assert_ledger_at_rest, require_mosquitto, streaming
from gateway_harness import Gateway, eventually, meter, publisher, vehicle
from joulegate_cli.doctor.broker import ask_broker, judge_broker
from joulegate_cli.doctor.finding import Severity
from joulegate_cli.local.broker import LocalBroker
from joulegate_core.broker import BrokerAddress, parse_broker_url
from joulegate_core.errors import SessionTakenOverError
from joulegate_core.settings import load_settings
from joulegate_core.telemetry import MAX_PACKET_BYTES
from joulegate_gateway.connection import Connection
from process_harness import launching, until_status

BACKLOG = 1000
"""Readings that wait for a gateway that is away: the broker's queue must hold so many (docs/brokers.md)."""

SMALL: dict[str, Any] = {
    "batch_max": 20,
    "receive_maximum": int(os.environ.get("JOULEGATE_TEST_BROKER_RECEIVE_MAXIMUM", "50")),
}
"""Then a kill finds some taken and not acknowledged, and some still at the broker."""


class Named(LocalBroker):
    """The broker under test as the harnesses know brokers, behind a proxy on this machine; nobody here starts or stops it."""

    def __init__(self, directory: Path, port: int) -> None:
        super().__init__(directory, port=port, kind="mosquitto")

    @property
    def pid(self) -> int | None:
        """Its own process is not ours; it runs."""
        return os.getpid()


@pytest.fixture
async def tested(broker: LocalBroker, tmp_path: Path) -> AsyncIterator[LocalBroker]:
    """The broker that is asked."""
    url = os.environ.get("JOULEGATE_TEST_BROKER_URL")
    if not url:
        require_mosquitto(broker)
        yield broker
        return
    address = parse_broker_url(url)
    if address.tls or address.username:
        pytest.fail("JOULEGATE_TEST_BROKER_URL: give a listener without TLS and without a login")
    async with Proxy(address.port, address.host) as proxy:
        yield Named(tmp_path, proxy.port)


@pytest.fixture
async def gateways(tested: LocalBroker, database_url: str) -> AsyncIterator[list[Gateway]]:
    """Two, not started yet; their sessions end with the test."""
    pair = [Gateway(tested, database_url) for _ in range(2)]
    yield pair
    for each in pair:
        await each.close()


def shared() -> dict[str, Any]:
    """A share group of the test's own."""
    return {"share_group": f"group-{secrets.token_hex(6)}"}


async def publish_all(broker: LocalBroker, numbered: Numbered, count: int) -> None:
    """Publishes so many readings by fifties, within the broker's Receive Maximum; returns when all are acknowledged."""
    async with publisher(broker) as publish:
        for _ in range(count // 50):
            await asyncio.gather(*(publish(topic, payload) for topic, payload in numbered.take(50)))


async def assert_all_once(gateways: list[Gateway], db: asyncpg.Connection, numbered: Numbered) -> None:
    """History holds every number once, and each ledger is at rest."""
    await numbered.until_all_there(db)
    for each in gateways:
        await each.settle(0)
        await assert_ledger_at_rest(each)
    await numbered.assert_each_once(db)


class Listener:
    """A connection of the gateway's class that notes what it gets, and acknowledges nothing by itself."""

    def __init__(self, broker: LocalBroker, client_id: str, *, receive_maximum: int = 10) -> None:
        self.payloads: list[int] = []
        self.packet_ids: list[int] = []
        gate = asyncio.Event()
        gate.set()
        self.connection = Connection(
            BrokerAddress("127.0.0.1", broker.port),
            deliver=self._take,
            gate=gate,
            client_id=client_id,
            receive_maximum=receive_maximum,
            session_expiry_seconds=600,
        )

    def _take(self, _: Connection, packet: aiomqtt.PublishPacket) -> None:
        self.payloads.append(int(packet.payload))
        if packet.packet_id is not None:
            self.packet_ids.append(packet.packet_id)

    async def until(self, count: int) -> None:
        """Waits until so many have come."""

        async def have_come() -> bool:
            return len(self.payloads) >= count

        await eventually(have_come)

    def acknowledge(self) -> None:
        """Acknowledges what has come and is not acknowledged yet."""
        self.connection.acknowledge(self.packet_ids)
        self.packet_ids.clear()


async def test_a_session_is_kept_and_delivered_in_order_until_it_is_acknowledged(tested: LocalBroker) -> None:
    client_id, topic = f"order-{secrets.token_hex(6)}", f"joulegate-test/{secrets.token_hex(6)}"
    first = Listener(tested, client_id)
    await first.connection.open()
    assert not first.connection.session_present
    await first.connection.subscribe(topic, max_qos=aiomqtt.QoS.AT_LEAST_ONCE)
    async with publisher(tested) as publish:
        for number in range(40):
            await publish(topic, b"%d" % number)
    await first.until(10)
    await asyncio.sleep(0.3)
    assert first.payloads == list(range(10)), "Receive Maximum is kept"
    first.connection.acknowledge(first.packet_ids[:4])
    await first.until(14)
    # more than fourteen is the broker's fault, and no harm: mosquitto 2.0.11 forgets Receive Maximum at the first acknowledgement
    assert first.payloads == list(range(len(first.payloads)))
    await first.connection.ping()
    await first.connection.close()
    second = Listener(tested, client_id)
    await second.connection.open()
    assert second.connection.session_present
    while len(second.payloads) < 36:
        await second.until(min(len(second.payloads) + len(second.packet_ids) + 1, 36))
        second.acknowledge()
    assert second.payloads == list(range(4, 40)), "what was not acknowledged comes again, in order"
    await second.connection.ping()
    assert await second.connection.end_session()
    third = Listener(tested, client_id)
    await third.connection.open()
    assert not third.connection.session_present
    await third.connection.end_session()


async def test_two_gateways_share_and_nothing_is_lost_or_doubled(
    gateways: list[Gateway], db: asyncpg.Connection
) -> None:
    numbered, group = Numbered(), shared()
    for each in gateways:
        await each.start(**group)
    await publish_all(gateways[0].broker, numbered, 1000)
    await assert_all_once(gateways, db, numbered)
    parts = [(await each.ledger())[0] for each in gateways]
    assert sum(parts) == numbered.count
    assert min(parts) >= numbered.count / 10, parts


async def test_a_member_that_is_killed_under_load_loses_nothing(
    gateways: list[Gateway], db: asyncpg.Connection, tmp_path: Path
) -> None:
    numbered, group = Numbered(), shared() | SMALL
    killed, other = gateways
    await other.start(**group)
    async with launching(killed, tmp_path) as launch:
        process = await launch(**group)
        await until_status(killed, "/readyz", process)
        async with streaming(killed.broker, numbered, pause=0.01):

            async def takes_part() -> bool:
                return (await killed.ledger())[0] >= 100

            await eventually(takes_part)
            process.send(signal.SIGKILL)
            await process.kill()
            await asyncio.sleep(0.5)
        process = await launch(**group)
        await until_status(killed, "/readyz", process)
        await assert_all_once(gateways, db, numbered)


async def test_a_lone_gateway_that_is_killed_under_load_gets_the_rest_again(
    gateways: list[Gateway], db: asyncpg.Connection, tmp_path: Path
) -> None:
    numbered, gateway = Numbered(), gateways[0]
    async with launching(gateway, tmp_path) as launch:
        for _ in range(2):
            process = await launch(**SMALL)
            await until_status(gateway, "/readyz", process)
            async with streaming(gateway.broker, numbered, pause=0.01):
                await asyncio.sleep(0.4)
                process.send(signal.SIGKILL)
                await process.kill()
        await gateway.start(**SMALL)
        await assert_all_once([gateway], db, numbered)


@pytest.mark.parametrize("form", ["plain", "shared"])
async def test_what_came_while_no_gateway_ran_is_delivered(
    gateways: list[Gateway], db: asyncpg.Connection, form: str
) -> None:
    numbered, gateway = Numbered(), gateways[0]
    settings = shared() if form == "shared" else {}
    await gateway.start(**settings)
    await gateway.stop()
    await publish_all(gateway.broker, numbered, BACKLOG)
    await gateway.start(**settings)
    await assert_all_once([gateway], db, numbered)
    assert (await gateway.metrics())["joulegate_sessions_lost_total"] == 0


async def test_both_streams_at_both_qualities_of_service(gateways: list[Gateway], db: asyncpg.Connection) -> None:
    gateway = gateways[0]
    await gateway.start()
    async with publisher(gateway.broker) as publish:
        for number in range(20):
            await publish("fleet/cp-1/meter", meter(f"m-{number}"), qos=number % 2)
            await publish("fleet/cp-1/vehicle", vehicle(f"v-{number}"), qos=number % 2)
    assert await gateway.settle(40) == {"committed": 40, "duplicate": 0, "quarantined": 0}
    assert await db.fetchval("select count(*) from vehicle_history") == 20


async def test_a_twin_is_told_or_at_least_closes_the_connection(gateways: list[Gateway]) -> None:
    """MQTT 5 (3.1.4-3) asks for DISCONNECT 0x8E; mosquitto 2.0.11 only closes, and then the gateway takes its session back."""
    gateway = gateways[0]
    await gateway.start()
    async with aiomqtt.Client(
        hostname="127.0.0.1",
        port=gateway.broker.port,
        identifier=gateway.client_id,
        clean_start=False,
        session_expiry_interval=600,
    ):

        async def has_lost_it() -> bool:
            with contextlib.suppress(OSError):  # it is ending
                return gateway.failure is not None or (await gateway.metrics())["joulegate_reconnects_total"] >= 1
            return False

        await eventually(has_lost_it)
    if (failure := gateway.failure) is not None:
        assert isinstance(failure, BaseExceptionGroup)
        assert failure.subgroup(SessionTakenOverError) is not None
        await gateway.crash()
        await gateway.start()
    await gateway.wait_ready()
    async with publisher(gateway.broker) as publish:
        await publish("fleet/cp-1/meter", meter())
    await gateway.settle(1)


async def test_a_packet_over_the_gateways_size_does_not_hold_up_the_next(
    gateways: list[Gateway], db: asyncpg.Connection
) -> None:
    """The broker refuses it, or takes it and must not send it (MQTT 5, 3.1.2-24)."""
    gateway, large = gateways[0], b"x" * (MAX_PACKET_BYTES + 1000)
    await gateway.start()
    for qos in (0, 1):
        try:
            async with publisher(gateway.broker) as publish, asyncio.timeout(5):
                await publish("fleet/cp-1/meter", large, qos=qos)
        except (aiomqtt.ConnectError, aiomqtt.NegativeAckError, aiomqtt.ProtocolError, ValueError, ExceptionGroup):
            pass  # refused, one way or another
        async with publisher(gateway.broker) as publish:
            await publish("fleet/cp-1/meter", meter(f"m-{qos}"))
        await gateway.settle(qos + 1)
    assert await db.fetchval("select count(*) from meter_history") == 2
    assert (await gateway.metrics())["joulegate_reconnects_total"] == 0


async def test_leaving_drains_the_session_and_ends_it(
    gateways: list[Gateway], db: asyncpg.Connection, tmp_path: Path
) -> None:
    numbered, group, gateway = Numbered(), shared(), gateways[0]
    await gateway.start(**group)
    await gateway.stop()
    await publish_all(gateway.broker, numbered, 200)
    async with launching(gateway, tmp_path) as launch:
        process = await launch("gateway", "--leave", **group)
        assert await process.end() == (0, ""), process.errors()
    await numbered.assert_each_once(db)
    look = Listener(gateway.broker, gateway.client_id)
    await look.connection.open()
    assert not look.connection.session_present
    await look.connection.end_session()


async def test_the_doctor_says_what_is_true_of_it(gateways: list[Gateway]) -> None:
    settings = load_settings(gateways[0].environ(**shared()))
    found = list(judge_broker(await ask_broker(settings), settings))
    assert [one.check for one in found[:2]] == ["broker", "broker losses"]
    assert "broker session" not in {one.check for one in found}, "what we asked for is no limit of the broker's"
    assert not [one for one in found if one.severity is Severity.CRITICAL], found
    assert all(one.text and (one.action or not one.needs_action) for one in found)
