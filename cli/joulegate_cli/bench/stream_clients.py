"""Clients of the stream that read what comes, and come again when they are let go.

A program of its own (`child.Program`): it takes `Readers` and, after a SIGTERM, gives `Streamed`.
"""

import asyncio
import contextlib
import signal
import sys

import msgspec
import uvloop

CHUNK = 1 << 18


class Readers(msgspec.Struct, frozen=True):
    """So many clients of the sidecar on `port`, all with the default kinds and meters."""

    port: int
    clients: int


class Streamed(msgspec.Struct, frozen=True):
    """What came to all clients together. `ended`: streams that the sidecar ended."""

    megabytes: float
    events: int
    ended: int


class Counts(msgspec.Struct):
    """The same, while it grows."""

    octets: int = 0
    events: int = 0
    ended: int = 0


async def read(readers: Readers, counts: Counts) -> None:
    """One client."""
    request = b"GET /v1/stream?kinds=vehicles,meters,fleet,alerts,gateways HTTP/1.1\r\nHost: bench\r\n\r\n"
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", readers.port)
            writer.write(request)
            while data := await reader.read(CHUNK):
                counts.octets += len(data)
                counts.events += data.count(b"\nevent: ") + data.startswith(b"event: ")
            writer.close()
        counts.ended += 1
        await asyncio.sleep(1)


async def run(readers: Readers) -> Streamed:
    """Runs all clients until SIGTERM."""
    counts, stop = Counts(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    tasks = [asyncio.create_task(read(readers, counts)) for _ in range(readers.clients)]
    await stop.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return Streamed(counts.octets / 1e6, counts.events, counts.ended)


def main() -> None:
    """Entry point of the child process."""
    readers = msgspec.json.decode(sys.argv[1], type=Readers)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        streamed = runner.run(run(readers))
    sys.stdout.buffer.write(msgspec.json.encode(streamed))


if __name__ == "__main__":
    main()
