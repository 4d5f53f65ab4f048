"""Posts readings over a bounded number of keep-alive connections. A device that gets no 204 posts its reading again.

A program of its own (`child.Program` finds it as a module): it takes a `Posting` and gives a `Posted`.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import uvloop

from joulegate_cli.bench.backlog import readings

CONNECTIONS = 32
AGAIN_SECONDS = 0.05
LONGEST_SECONDS = 120.0


class Posting(msgspec.Struct, frozen=True):
    """`count` readings of `devices` devices; `rate`: so many a second, 0: as fast as they are answered."""

    port: int
    devices: int
    count: int
    rate: float = 0


class Posted(msgspec.Struct, frozen=True):
    """How many were answered with 204, and how often one had to be posted again."""

    stored: int
    again: int


class Fleet:
    """All devices: their readings, in order, over whichever connection is free."""

    def __init__(self, posting: Posting) -> None:
        self._posting = posting
        self._started = time.monotonic()
        self._numbered: Iterator[tuple[int, tuple[str, bytes]]] = enumerate(
            readings(posting.devices, posting.count, datetime.now(UTC))
        )
        self.stored = self.again = 0

    async def connection(self) -> None:
        """One connection's readings, one after the other."""
        writer: asyncio.StreamWriter | None = None
        for number, (topic, payload) in self._numbered:
            if self._posting.rate:
                due = self._started + number / self._posting.rate
                await asyncio.sleep(max(0, due - time.monotonic()))
            while True:
                try:
                    if writer is None:
                        reader, writer = await asyncio.open_connection("127.0.0.1", self._posting.port)
                    if await _post(reader, writer, topic, payload):
                        break
                except (OSError, asyncio.IncompleteReadError):
                    writer = None
                self.again += 1
                await asyncio.sleep(AGAIN_SECONDS)
            self.stored += 1
        if writer is not None:
            writer.close()


async def _post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, topic: str, payload: bytes) -> bool:
    head = f"POST /{topic} HTTP/1.1\r\nHost: rival\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
    writer.write(head.encode() + payload)
    answer = await reader.readuntil(b"\r\n\r\n")
    if answer.startswith(b"HTTP/1.1 204"):
        return True
    raise OSError("not stored")  # whatever follows the head is not read: begin anew


async def post(posting: Posting) -> Posted:
    """Posts everything.

    Raises:
        TimeoutError: it takes too long.
    """
    fleet = Fleet(posting)
    async with asyncio.timeout(LONGEST_SECONDS), asyncio.TaskGroup() as connections:
        for _ in range(CONNECTIONS):
            connections.create_task(fleet.connection())
    return Posted(fleet.stored, fleet.again)


def main() -> None:
    """Entry point of the child process."""
    posting = msgspec.json.decode(sys.argv[1], type=Posting)
    result = uvloop.run(post(posting))
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
