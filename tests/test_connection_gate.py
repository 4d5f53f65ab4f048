"""The gate before a connection: while it is shut nothing is taken, not even what was waited for when it was shut."""

import asyncio
import secrets

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
