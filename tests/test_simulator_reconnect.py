"""The publisher when the line or the broker fails: nothing that was handed over is lost."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import mqtt5
import pytest

from joulegate_cli.local.broker import LocalBroker
from joulegate_core.errors import SessionTakenOverError
from joulegate_simulator.counts import PublisherCounts
from joulegate_simulator.publisher import Publisher
from simulator_support import Mailbox, Tap, Wire, a_name, address_of, mosquitto, numbered, until


def sent_under_ids(wire: Wire) -> list[tuple[int | None, bytes]]:
    return [(packet.packet_id, packet.payload) for packet in wire.publications]


async def test_what_was_not_acknowledged_is_sent_again_as_a_duplicate(own_broker: LocalBroker) -> None:
    topic = a_name()
    mailbox = Mailbox(own_broker, topic)
    await mailbox.open()
    tap = Tap(own_broker)
    async with tap.open() as address, Publisher(address, client_id=a_name()) as publisher:
        await publisher.publish(topic, b"acknowledged")
        await publisher.drain()
        tap.swallow_pubacks = True
        for payload in numbered(10):
            await publisher.publish(topic, payload)
        await until(lambda: len(tap.wires[0].answered) == 12)
        tap.swallow_pubacks = False
        tap.cut()
        await until(lambda: publisher.counts.reconnects == 1)
        await publisher.publish(topic, b"new")
        await publisher.drain()
        expected = PublisherCounts(published=12, acknowledged=12, resent=10, reconnects=1)
        assert publisher.counts == expected
    first, second = tap.wires
    connects = [wire.sent[0] for wire in tap.wires]
    assert [isinstance(packet, mqtt5.ConnectPacket) and packet.clean_start for packet in connects] == [True, False]
    assert sent_under_ids(second)[:10] == sent_under_ids(first)[1:]
    assert [packet.duplicate for packet in second.publications] == [True] * 10 + [False]
    # the broker forwards what it got twice: QoS 1 is at least once
    arrived = [packet.payload for packet in await mailbox.collect(12)]
    assert arrived == [b"acknowledged", *numbered(10), *numbered(10), b"new"]


async def test_a_broker_that_forgot_the_session_gets_new_publications_within_its_receive_maximum(
    broker: LocalBroker, tmp_path: Path
) -> None:
    tap = Tap(broker)
    tap.swallow_pubacks = True
    with mosquitto(tmp_path / "other", "max_inflight_messages 3") as other:
        async with tap.open() as address, Publisher(address, client_id=a_name()) as publisher:
            for payload in numbered(50):
                await publisher.publish("t", payload)
            await until(lambda: len(tap.wires[0].answered) == 51)
            tap.swallow_pubacks, tap.broker = False, other
            tap.cut()
            await publisher.drain()
            expected = PublisherCounts(published=50, acknowledged=50, resent=50, reconnects=1)
            assert publisher.counts == expected
    assert sent_under_ids(tap.wires[1]) == sent_under_ids(tap.wires[0])
    assert not any(packet.duplicate for packet in tap.wires[1].publications)
    assert tap.wires[1].most_outstanding == 3


@pytest.mark.parametrize("end", [LocalBroker.stop, LocalBroker.kill], ids=["stopped", "killed"])
async def test_a_restart_of_the_broker_loses_nothing(
    own_broker: LocalBroker, end: Callable[[LocalBroker], None]
) -> None:
    topic, ledger, payloads = a_name(), list[bytes](), numbered(20_000)
    mailbox = Mailbox(own_broker, topic)
    await mailbox.open()

    async with Publisher(
        address_of(own_broker),
        client_id=a_name(),
        window=500,
        on_acknowledged=lambda _, payload: ledger.append(payload),
    ) as publisher:

        async def fill() -> None:
            for payload in payloads:
                await publisher.publish(topic, payload)

        filling = asyncio.create_task(fill())
        await until(lambda: publisher.counts.acknowledged > 1000)
        await asyncio.to_thread(end, own_broker)
        await until(lambda: publisher.counts.pending == 500)
        await asyncio.to_thread(own_broker.start)
        await filling
        await publisher.drain()
        counts = publisher.counts
    assert (counts.published, counts.acknowledged, counts.reconnects) == (20_000, 20_000, 1)
    assert counts.resent >= 500
    assert sorted(ledger, key=int) == payloads
    if end is LocalBroker.stop:  # a killed mosquitto loses what it acknowledged: it does not write it down first
        assert {packet.payload for packet in await mailbox.collect(20_000)} == set(payloads)


async def test_the_first_resent_publication_goes_alone(own_broker: LocalBroker) -> None:
    tap = Tap(own_broker)
    tap.swallow_pubacks = True
    async with tap.open() as address, Publisher(address, client_id=a_name()) as publisher:
        for payload in numbered(10):
            await publisher.publish("t", payload)
        await until(lambda: len(tap.wires[0].answered) == 11)
        tap.cut()
        await until(lambda: len(tap.wires) == 2 and len(tap.wires[1].answered) == 2)
        assert len(tap.wires[1].publications) == 1
        tap.say(mqtt5.PubAckPacket(packet_id=1))
        await until(lambda: len(tap.wires[1].answered) == 4)
        assert len(tap.wires[1].publications) == 3


async def test_a_broker_that_closes_after_each_refusal_is_not_asked_for_ever(tmp_path: Path) -> None:
    # its PUBACK can be lost with the connection: what it had not read yet makes the kernel throw it away
    with mosquitto(tmp_path / "broker") as broker:
        async with asyncio.timeout(20), Publisher(address_of(broker), client_id=a_name()) as publisher:
            for payload in [*numbered(5), bytes(70_000), *numbered(5), bytes(70_000), *[bytes(60_000)] * 50]:
                await publisher.publish("t", payload)
            await publisher.drain()
            counts = publisher.counts
    assert (counts.published, counts.acknowledged, counts.refused) == (62, 60, 2)


async def test_one_whose_client_id_was_taken_over_does_not_fight(broker: LocalBroker) -> None:
    client_id = a_name()
    tap = Tap(broker)
    async with tap.open() as address, Publisher(address, client_id=client_id) as publisher:
        await publisher.publish("t", b"")
        await publisher.drain()
        # mosquitto 2.0.11 closes without a word, others say why
        tap.say(mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER))
        with pytest.raises(SessionTakenOverError, match=f"as {client_id}: stop one of the two"):
            await publish_for_ever(publisher)
    assert len(tap.wires) == 1


async def publish_for_ever(publisher: Publisher) -> None:
    async with asyncio.timeout(10):
        while True:
            await publisher.publish("t", b"")
            await asyncio.sleep(0.001)


async def test_an_idle_connection_is_kept_by_pings(own_broker: LocalBroker) -> None:
    tap = Tap(own_broker)
    async with tap.open() as address, Publisher(address, client_id=a_name(), keep_alive_seconds=1) as publisher:
        await asyncio.sleep(2.5)  # mosquitto drops a client that is silent for 1.5 times its keep-alive
        await publisher.publish("t", b"")
        await publisher.drain()
        assert publisher.counts == PublisherCounts(published=1, acknowledged=1)
    assert sum(isinstance(packet, mqtt5.PingRespPacket) for packet in tap.wires[0].answered) >= 4


async def test_a_broker_that_fell_silent_is_given_up(own_broker: LocalBroker) -> None:
    assert own_broker.pid is not None
    async with Publisher(address_of(own_broker), client_id=a_name(), keep_alive_seconds=1) as publisher:
        os.kill(own_broker.pid, signal.SIGSTOP)
        try:
            await publisher.publish("t", b"")
            connection = publisher._connection
            assert connection is not None
            await until(connection.lost.is_set)
        finally:
            os.kill(own_broker.pid, signal.SIGCONT)
        await publisher.drain()
        counts = publisher.counts
    assert (counts.published, counts.acknowledged) == (1, 1)
    assert counts.reconnects >= 1


async def test_leaving_while_the_broker_is_away_does_not_hang(own_broker: LocalBroker) -> None:
    async with asyncio.timeout(5):
        async with Publisher(address_of(own_broker), client_id=a_name()) as publisher:
            await asyncio.to_thread(own_broker.stop)
            waiting = asyncio.create_task(publisher.publish("t", b""))
            await asyncio.sleep(0.2)
            assert not waiting.done()
        with pytest.raises(RuntimeError, match="closed"):
            await waiting
