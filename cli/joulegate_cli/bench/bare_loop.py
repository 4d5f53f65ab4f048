"""The baseline: a bare loop on aiomqtt's public interface that receives, decodes and acknowledges, and stores nothing.

A program of its own (`child.Program`): it takes a `BareLoop` and gives a `BareLoopResult`.
"""

import asyncio
import sys
import time

import aiomqtt
import msgspec
import uvloop

from joulegate_core.telemetry import MeterMessage, VehicleMessage


class BareLoop(msgspec.Struct, frozen=True):
    """Whose waiting session is drained of how many messages."""

    port: int
    client_id: str
    count: int


class BareLoopResult(msgspec.Struct, frozen=True):
    """What it took."""

    seconds: float
    cpu_seconds: float


async def drain(task: BareLoop) -> BareLoopResult:
    """Takes the messages from the waiting session."""
    meter = msgspec.json.Decoder(MeterMessage).decode
    vehicle = msgspec.json.Decoder(VehicleMessage).decode
    started, cpu = time.perf_counter(), time.process_time()
    client = aiomqtt.Client(
        hostname="127.0.0.1",
        port=task.port,
        identifier=task.client_id,
        session_expiry_interval=86_400,
        receive_max=20_000,
    )
    async with client:
        taken = 0
        async for packet in client.messages():
            assert isinstance(packet, aiomqtt.PublishPacket)  # noqa: S101 - QoS 1 only, no PUBREL
            (meter if packet.topic.endswith("/meter") else vehicle)(packet.payload)
            await client.puback(packet.packet_id or 0)
            taken += 1
            if taken == task.count:
                break
    return BareLoopResult(time.perf_counter() - started, time.process_time() - cpu)


def main() -> None:
    """Entry point of the child process."""
    task = msgspec.json.decode(sys.argv[1], type=BareLoop)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(drain(task))
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
