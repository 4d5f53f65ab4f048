"""One client of the stream: what it wants, and what waits for it. Bounded: a client that does not take what it is given is let go."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Literal

from joulegate_db.changes import Cursor

Kind = Literal["vehicles", "meters", "fleet", "alerts", "gateways"]

MOST_WAITING_BYTES = 1024 * 1024
"""A client that still has more than this to take when there is something new is too slow; it comes again and resumes."""

HEARTBEAT_SECONDS = 15.0
"""So that neither side nor what stands between takes silence for a dead connection."""

HEARTBEAT = b": still here\n\n"

SLICE_BYTES = 64 * 1024
"""What is handed to the connection at a time: it buffers about as much again."""


class StreamClient:
    """What waits for one client.

    Args:
        kinds: what it wants.
        vehicle: only this vehicle's changes; None: all.
        since: where it was, when it comes again.

    Attributes:
        joining: it has not been greeted yet.
        told_down: it knows that the database is away.
        lost: it was too slow.
    """

    def __init__(self, kinds: frozenset[Kind], vehicle: str | None, since: Cursor | None) -> None:
        self.kinds = kinds
        self.vehicle = vehicle
        self.since = since
        self.joining = True
        self.told_down = False
        self.lost = False
        self._chunks: deque[bytes] = deque()
        self._waiting = 0
        self._ended = False
        self._news = asyncio.Event()

    def give(self, chunk: bytes) -> None:
        """Adds to what waits. What a client still has to take must fit the bound first: one large piece of news is nobody's fault."""
        if self._ended or not chunk:
            return
        if self._waiting > MOST_WAITING_BYTES:
            self.lost = True
            self.end()
            return
        self._chunks.append(chunk)
        self._waiting += len(chunk)
        self._news.set()

    def end(self) -> None:
        """Nothing more will come; what waits is dropped. What is half sent ends with the connection (`TAKE_SECONDS`)."""
        self._ended = True
        self._chunks.clear()
        self._news.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """What is to be sent, until the end. What was handed out counts as taken when the next is asked for."""
        while not self._ended:
            if not await self._has_news():
                yield HEARTBEAT
            while self._chunks:
                whole = memoryview(self._chunks.popleft())
                for start in range(0, len(whole), SLICE_BYTES):
                    part = whole[start : start + SLICE_BYTES]
                    yield bytes(part)
                    self._waiting -= len(part)
                    if self._is_over():
                        return

    def _is_over(self) -> bool:
        return self._ended

    async def _has_news(self) -> bool:
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True
