"""The baseline: a bare loop on aiomqtt's public interface that receives, decodes and acknowledges, and stores nothing.

Run as a program of its own: `python -m joulegate_cli.bench.bare_loop PORT CLIENT_ID COUNT`; prints seconds and CPU seconds.
"""

import asyncio
import sys
import time

import aiomqtt
import msgspec
import uvloop

from joulegate_core.telemetry import MeterMessage, VehicleMessage


async def drain(port: int, client_id: str, count: int) -> tuple[float, float]:
    """Takes `count` messages from the waiting session. Returns wall seconds and CPU seconds."""
    meter = msgspec.json.Decoder(MeterMessage).decode
    vehicle = msgspec.json.Decoder(VehicleMessage).decode
    started, cpu = time.perf_counter(), time.process_time()
    client = aiomqtt.Client(
        hostname="127.0.0.1", port=port, identifier=client_id, session_expiry_interval=86_400, receive_max=20_000
    )
    async with client:
        taken = 0
        async for packet in client.messages():
            assert isinstance(packet, aiomqtt.PublishPacket)  # noqa: S101 - QoS 1 only, no PUBREL
            (meter if packet.topic.endswith("/meter") else vehicle)(packet.payload)
            await client.puback(packet.packet_id or 0)
            taken += 1
            if taken == count:
                break
    return time.perf_counter() - started, time.process_time() - cpu


def main() -> None:
    """Entry point of the child process."""
    port, client_id, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        seconds, cpu = runner.run(drain(port, client_id, count))
    sys.stdout.write(msgspec.json.encode({"seconds": seconds, "cpu": cpu}).decode())


if __name__ == "__main__":
    main()
