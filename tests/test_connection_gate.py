"""When a connection takes nothing: while the gate before it is shut, and while a lull lasts."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable

from aiomqtt import QoS

from gateway_harness import eventually, publisher
from joulegate_cli.local.broker import LocalBroker
from joulegate_core.broker import BrokerAddress
from joulegate_gateway.connection import Connection


async def test_what_comes_after_the_gate_was_shut_is_not_taken(broker: LocalBroker) -> None:
    gate, taken, topic = asyncio.Event(), [], f"gate/{secrets.token_hex(6)}"
    gate.set()
    connection = await Connection(
        BrokerAddress("127.0.0.1", broker.port),
        deliver=lambda _connection, packet: taken.append(packet.payload),
        gate=gate,
        client_id=f"gate-{secrets.token_hex(6)}",
        receive_maximum=10,
        session_expiry_seconds=0,
    ).open()
    await connection.subscribe(topic, max_qos=QoS.AT_LEAST_ONCE)
    gate.clear()  # as a stop does, while the connection waits for the next packet
    async with publisher(broker) as publish:
        await publish(topic, b"1")
        await asyncio.sleep(0.3)
        assert taken == []
        gate.set()

        async def is_taken() -> bool:
            return taken == [b"1"]

        await eventually(is_taken)
    await connection.close()


async def test_what_comes_in_a_lull_is_taken_at_its_end_all_at_once(broker: LocalBroker) -> None:
    gate, topic = asyncio.Event(), f"lull/{secrets.token_hex(6)}"
    taken: list[tuple[bytes | None, float]] = []
    gate.set()
    connection = await Connection(
        BrokerAddress("127.0.0.1", broker.port),
        deliver=lambda _connection, packet: taken.append((packet.payload, time.monotonic())),
        gate=gate,
        lull=lambda: 0.4 if len(taken) == 1 else 0,
        client_id=f"lull-{secrets.token_hex(6)}",
        receive_maximum=10,
        session_expiry_seconds=0,
    ).open()
    await connection.subscribe(topic, max_qos=QoS.AT_LEAST_ONCE)

    def are_taken(count: int) -> Callable[[], Awaitable[bool]]:
        async def is_so() -> bool:
            return len(taken) == count

        return is_so

    async with publisher(broker) as publish:
        await publish(topic, b"0")
        await eventually(are_taken(1))
        for number in (1, 2, 3):
            await publish(topic, b"%d" % number)
        await eventually(are_taken(4))
    assert [payload for payload, _ in taken] == [b"0", b"1", b"2", b"3"]
    times = [at for _, at in taken]
    assert times[1] - times[0] > 0.39
    assert times[3] - times[1] < 0.2
    await connection.close()
