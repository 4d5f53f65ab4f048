"""The inbox: deliveries that wait to be settled, first in, first out, and the gate that keeps their number bounded."""

import asyncio
import time
from collections import deque

import msgspec

from joulegate_core.telemetry import Message
from joulegate_gateway.connection import Connection

FEW, READ_SECONDS = 200, 0.003
"""So many messages are read and decoded in so long."""

LONGEST_LULL_SECONDS = 0.25
"""The broker's other packets do not wait for longer, whatever the linger."""


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A message and whom to tell when it is settled. `packet_id` is None for QoS 0; `arrived` is monotonic seconds."""

    message: Message
    connection: Connection
    packet_id: int | None
    arrived: float


class Inbox:
    """Unsettled deliveries in order of arrival, handed out in batches by size or linger, whichever is first.

    Args:
        batch_max: a batch is at most this large.
        linger_seconds: how long the oldest delivery waits for a batch to fill.
        capacity: the gate closes when so many deliveries are unsettled. When it is less than `batch_max` a batch does
            not wait for more than can come.
    """

    def __init__(self, *, batch_max: int, linger_seconds: float, capacity: int) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self._batch_max = batch_max
        self._linger = linger_seconds
        self._capacity = capacity
        self._target = min(batch_max, capacity)
        self._waiting: deque[Delivery] = deque()
        self._unsettled = 0
        self._last_batch = 0
        self._closed = False
        self._changed = asyncio.Event()

    def put(self, delivery: Delivery) -> None:
        """Adds a delivery. Never blocks: the gate is what bounds the inbox."""
        self._waiting.append(delivery)
        self._unsettled += 1
        if self._unsettled >= self._capacity:
            self.gate.clear()
        if len(self._waiting) == 1 or len(self._waiting) >= self._target:
            self._changed.set()

    async def next_batch(self) -> list[Delivery] | None:
        """The next batch, in order of arrival; None when the inbox is closed and empty."""
        while not self._waiting:
            if self._closed:
                return None
            await self._wait(None)
        deadline = self._waiting[0].arrived + self._linger
        while len(self._waiting) < self._target and not self._closed:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not await self._wait(remaining):
                break
        self._last_batch = min(len(self._waiting), self._batch_max)
        return [self._waiting.popleft() for _ in range(self._last_batch)]

    def lull(self) -> float:
        """For how many seconds nothing more need be put in, because a small batch lingers, as the one before it did."""
        few = max(len(self._waiting), self._last_batch) <= FEW < self._target
        if not self._waiting or not few or self._closed:
            return 0.0
        lingers = self._waiting[0].arrived + self._linger - time.monotonic()
        return max(0.0, min(lingers - READ_SECONDS, LONGEST_LULL_SECONDS))

    def settled(self, count: int) -> None:
        """`count` deliveries are done with; opens the gate when there is room."""
        self._unsettled -= count
        if self._unsettled < self._capacity and not self._closed:
            self.gate.set()

    def close(self) -> None:
        """Takes nothing more in: the gate stays shut; what waits is still handed out, without lingering."""
        self._closed = True
        self.gate.clear()
        self._changed.set()

    async def _wait(self, seconds: float | None) -> bool:
        """Waits for a change; False when `seconds` passed first."""
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True
