"""Publishes by a schedule. A program of its own (`child.Program`): it takes a `Schedule` and gives a `Paced`."""

import asyncio
import sys
import time

import msgspec
import uvloop

from joulegate_cli.bench.schedule import Schedule
from joulegate_core.broker import parse_broker_url
from joulegate_simulator.publisher import Publisher

TICK_SECONDS = 0.001


class Paced(msgspec.Struct, frozen=True):
    """What became of it: readings acknowledged by the broker, and the CPU of this program in seconds."""

    acknowledged: int
    cpu_seconds: float


async def publish(schedule: Schedule) -> Paced:
    """Publishes every reading when it is due, or as soon after as the broker lets it."""
    async with Publisher(parse_broker_url(schedule.broker_url), client_id="bench-fleet", window=20_000) as publisher:
        sent = 0
        while sent < schedule.count:
            for index in range(sent, due := schedule.due_before(time.time())):
                await publisher.publish(*schedule.message(index))
            sent = max(sent, due)
            await asyncio.sleep(TICK_SECONDS)
        await publisher.drain()
        return Paced(publisher.counts.acknowledged, time.process_time())


def main() -> None:
    """Entry point of the child process."""
    schedule = msgspec.json.decode(sys.argv[1], type=Schedule)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(publish(schedule))
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
