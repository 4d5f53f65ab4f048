"""The fleet under chaos: publishers that go on through everything, and the ledger of what the broker acknowledged."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from chaos.plan import TWICE_EVERY, Plan, number_of
from joulegate_core.broker import parse_broker_url
from joulegate_simulator.publisher import Publisher

CONNECTIONS = 4
TICK_SECONDS = 0.02
DRAIN_SECONDS = 90.0


class Fleet:
    """Publishes the plan's readings in order over a few connections, at a steady rate, as far as the broker takes them.

    Attributes:
        sent: how many numbers were handed to a publisher; reading 0 to sent - 1.
        acknowledged: numbers that the broker acknowledged: each of them must be found.
    """

    def __init__(self, plan: Plan, per_second: int) -> None:
        self.plan = plan
        self.sent = 0
        self.acknowledged: set[int] = set()
        self.paused = True
        self._per_tick = max(1, round(per_second * TICK_SECONDS))
        self._publishers: list[Publisher] = []

    async def publish(self, count: int) -> None:
        """Publishes the next `count` readings; waits for room, not for acknowledgements."""
        for number in range(self.sent, self.sent + count):
            reading = self.plan.reading(number)
            publisher = self._publishers[number % CONNECTIONS]
            self.sent = number + 1
            for _ in range(2 if number % TWICE_EVERY == 0 else 1):
                await publisher.publish(reading.topic, reading.payload)

    async def drain(self) -> None:
        """Waits until the broker has acknowledged everything."""
        async with asyncio.timeout(DRAIN_SECONDS):
            await asyncio.gather(*(publisher.drain() for publisher in self._publishers))

    async def run(self) -> None:
        """Publishes for ever."""
        while True:
            if not self.paused:
                await self.publish(self._per_tick)
            await asyncio.sleep(TICK_SECONDS)

    def _acknowledge(self, _topic: str, payload: bytes) -> None:
        self.acknowledged.add(number_of(payload))

    @asynccontextmanager
    async def connected(self, url: str, *, window: int) -> AsyncIterator["Fleet"]:
        """Connects all publishers for the length of the block. `window`: most unacknowledged readings of each."""
        async with AsyncExitStack() as stack:
            for number in range(CONNECTIONS):
                publisher = Publisher(
                    parse_broker_url(url),
                    client_id=f"chaos-publisher-{number}",
                    window=window,
                    on_acknowledged=self._acknowledge,
                )
                self._publishers.append(await stack.enter_async_context(publisher))
            yield self
