"""The publisher against a real broker: accounts, windows, refusals, logins."""

import asyncio
import re
import subprocess
from pathlib import Path

import aiomqtt
import mqtt5
import pytest

from joulegate_cli.local.broker import LocalBroker
from joulegate_cli.local.ports import free_port
from joulegate_core.broker import BrokerAddress
from joulegate_core.errors import BrokerUnavailableError
from joulegate_simulator import connection
from joulegate_simulator.counts import PublisherCounts
from joulegate_simulator.publisher import Publisher
from simulator_support import Mailbox, Tap, a_name, address_of, mosquitto, numbered, until


async def test_every_publication_arrives_in_order_and_is_accounted_for(broker: LocalBroker) -> None:
    topic, ledger = a_name(), list[tuple[str, bytes]]()
    mailbox = Mailbox(broker, topic)
    await mailbox.open()
    note = ledger.append
    async with Publisher(
        address_of(broker), client_id=a_name(), on_acknowledged=lambda topic, payload: note((topic, payload))
    ) as publisher:
        for payload in numbered(3000):
            await publisher.publish(topic, payload)
        await publisher.drain()
        assert publisher.counts == PublisherCounts(published=3000, acknowledged=3000)
    assert ledger == [(topic, payload) for payload in numbered(3000)]
    assert [packet.payload for packet in await mailbox.collect(3000)] == numbered(3000)


async def test_several_tasks_may_publish_at_once(broker: LocalBroker) -> None:
    topic = a_name()
    mailbox = Mailbox(broker, topic)
    await mailbox.open()
    async with Publisher(address_of(broker), client_id=a_name(), window=3) as publisher:
        await asyncio.gather(*(publisher.publish(topic, payload) for payload in numbered(200)))
        await publisher.drain()
    assert {packet.payload for packet in await mailbox.collect(200)} == set(numbered(200))


async def test_publish_waits_only_when_the_window_is_full(broker: LocalBroker) -> None:
    tap = Tap(broker)
    tap.swallow_pubacks = True
    async with tap.open() as address, Publisher(address, client_id=a_name(), window=5) as publisher:
        for payload in numbered(5):
            await publisher.publish("t", payload)
        sixth = asyncio.create_task(publisher.publish("t", b"5"))
        await until(lambda: len(tap.wires[0].answered) == 6)  # CONNACK and five PUBACKs, which the tap keeps
        assert not sixth.done()
        assert publisher.counts == PublisherCounts(published=5, pending=5)
        sixth.cancel()


async def test_a_packet_id_in_use_is_passed_over(broker: LocalBroker) -> None:
    tap = Tap(broker)
    async with tap.open() as address, Publisher(address, client_id=a_name()) as publisher:
        tap.swallow_pubacks = True
        await publisher.publish("t", b"never acknowledged")
        await until(lambda: len(tap.wires[0].answered) == 2)
        tap.swallow_pubacks = False
        for _ in range(65_540):
            await publisher.publish("t", b"")
        await until(lambda: publisher.counts.pending == 1)
        ids = [packet.packet_id for packet in tap.wires[0].publications]
        assert ids[:2] == [1, 2]
        assert ids[65_534:] == [65_535, 2, 3, 4, 5, 6, 7]


async def test_the_brokers_receive_maximum_is_kept(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker", "max_inflight_messages 7") as broker:
        tap = Tap(broker)
        async with tap.open() as address, Publisher(address, client_id=a_name(), window=1000) as publisher:
            for payload in numbered(500):
                await publisher.publish("t", payload)
            await publisher.drain()
            assert publisher.counts == PublisherCounts(published=500, acknowledged=500)
    connack = tap.wires[0].answered[0]
    assert isinstance(connack, mqtt5.ConnAckPacket)
    assert connack.receive_max == 7
    assert tap.wires[0].most_outstanding == 7


async def test_qos_0_leaves_before_the_connection_closes(broker: LocalBroker) -> None:
    tap = Tap(broker)
    async with tap.open() as address:
        async with Publisher(address, client_id=a_name()) as publisher:
            for payload in numbered(2000):
                await publisher.publish("t", payload, qos=0)
            assert publisher.counts == PublisherCounts(published=2000)
        await until(lambda: isinstance(tap.wires[0].sent[-1], mqtt5.DisconnectPacket))
    assert [packet.payload for packet in tap.wires[0].publications] == numbered(2000)


async def test_a_payload_over_the_brokers_limit_is_refused_once_and_the_next_one_accepted(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as broker:  # its message_size_limit is 64 KiB
        ledger = list[bytes]()
        async with Publisher(
            address_of(broker), client_id=a_name(), on_acknowledged=lambda _, payload: ledger.append(payload)
        ) as publisher:
            # mosquitto acknowledges with a code that MQTT 5 does not list for PUBACK, and closes
            await publisher.publish("t", bytes(70_000))
            await publisher.drain()
            await publisher.publish("t", b"next")
            await publisher.drain()
            counts = publisher.counts
        assert (counts.published, counts.acknowledged, counts.refused) == (2, 1, 1)
        assert counts.refusal == "reason code 0x95"
        assert ledger == [b"next"]


async def test_a_topic_that_is_not_allowed_is_counted_as_refused(tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("topic write mine/#\n")
    with mosquitto(tmp_path / "broker", f"acl_file {tmp_path / 'acl'}") as broker:
        async with Publisher(address_of(broker), client_id=a_name()) as publisher:
            await publisher.publish("mine/a", b"1")
            await publisher.publish("theirs/a", b"2")
            await publisher.drain()
            expected = PublisherCounts(published=2, acknowledged=1, refused=1, refusal="not authorized")
            assert publisher.counts == expected


async def test_a_message_over_the_brokers_packet_size_is_not_sent(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker", "max_packet_size 1000") as broker:
        async with Publisher(address_of(broker), client_id=a_name()) as publisher:
            with pytest.raises(ValueError, match="up to 1000 bytes"):
                await publisher.publish("t", bytes(1000))
            await publisher.publish("t", bytes(900))
            await publisher.drain()
            assert publisher.counts == PublisherCounts(published=1, acknowledged=1)


async def test_leaving_ends_the_session(broker: LocalBroker) -> None:
    client_id = a_name()
    async with Publisher(address_of(broker), client_id=client_id):
        pass
    async with aiomqtt.Client(hostname="127.0.0.1", port=broker.port, identifier=client_id, keep_alive=60) as client:
        assert not (await client.connected()).session_present


async def test_it_works_only_inside_its_block(broker: LocalBroker) -> None:
    publisher = Publisher(address_of(broker), client_id=a_name())
    with pytest.raises(RuntimeError, match="async with"):
        await publisher.publish("t", b"")
    async with publisher:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        await publisher.publish("t", b"")


@pytest.mark.parametrize("window", [0, 65_536])
def test_a_window_that_packet_ids_cannot_number_is_refused(window: int) -> None:
    with pytest.raises(ValueError, match="1 to 65535"):
        Publisher(BrokerAddress("127.0.0.1", 1883), client_id="x", window=window)


async def test_nobody_listens() -> None:
    port = free_port()
    expected = (
        f"the broker at 127.0.0.1:{port} cannot be reached (connection refused): "
        "start it, or set JOULEGATE_MQTT_URL to where it is"
    )
    with pytest.raises(BrokerUnavailableError, match=f"^{re.escape(expected)}$"):
        await enter(BrokerAddress("127.0.0.1", port))


async def test_no_such_host() -> None:
    with pytest.raises(BrokerUnavailableError, match=r"no-such-host.invalid:1883 .*\(the host name is unknown\)"):
        await enter(BrokerAddress("no-such-host.invalid", 1883))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"", "it closed the connection before it answered"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it closed the connection before it answered"),
        (None, "no answer in time"),
    ],
)
async def test_something_else_listens(monkeypatch: pytest.MonkeyPatch, answer: bytes | None, expected: str) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_SECONDS", 0.3)

    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            await reader.read()  # CONNECT, and the end that the publisher puts to it
        else:
            writer.write(answer)
        writer.close()
        await writer.wait_closed()
        closed.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        with pytest.raises(BrokerUnavailableError, match=expected):
            await enter(BrokerAddress("127.0.0.1", server.sockets[0].getsockname()[1]))
        await closed.wait()


async def test_passwords(tmp_path: Path) -> None:
    subprocess.run(["mosquitto_passwd", "-b", "-c", tmp_path / "passwords", "sim", "right"], check=True)
    with mosquitto(tmp_path / "broker", "allow_anonymous false", f"password_file {tmp_path / 'passwords'}") as broker:
        await enter(BrokerAddress("127.0.0.1", broker.port, username="sim", password="right"))
        for username, password in ((None, None), ("sim", "wrong"), ("who", "right")):
            with pytest.raises(BrokerUnavailableError, match=r"refused the login .*check user and password") as caught:
                await enter(BrokerAddress("127.0.0.1", broker.port, username=username, password=password))
            assert "wrong" not in str(caught.value)
            assert f"127.0.0.1:{broker.port}" in str(caught.value)


async def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=broker -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    with mosquitto(tmp_path / "broker", f"certfile {certificate}", f"keyfile {key}") as broker:
        address = BrokerAddress("127.0.0.1", broker.port, tls=True)
        with pytest.raises(BrokerUnavailableError, match="its certificate is not trusted: self-signed"):
            await enter(address)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with Publisher(address, client_id=a_name()) as publisher:
            for payload in numbered(1000):
                await publisher.publish("t", payload)
            await publisher.drain()
            assert publisher.counts == PublisherCounts(published=1000, acknowledged=1000)


async def enter(address: BrokerAddress) -> None:
    """Connects, and leaves."""
    async with Publisher(address, client_id=a_name()):
        pass
