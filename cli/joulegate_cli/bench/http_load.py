"""Asks a server over keep-alive connections, each with one request at a time, on raw sockets: it takes a fraction of what answering takes.

A program of its own (`child.Program`): it takes a `Load` and gives `Answers`.
"""

import asyncio
import os
import random
import signal
import sys
import time

import msgspec
import uvloop

from joulegate_cli.bench.report import percentile


class Load(msgspec.Struct, frozen=True):
    """`clients` ask for `path`, whose %06d is one of `devices` numbers, during `seconds`, after `warm_seconds` that do not count.

    A SIGTERM ends the load early. `rate`: requests a second of all clients together; 0: each asks again as soon as it has its answer.
    `core`: the processor core that the program keeps to.
    """

    port: int
    clients: int
    seconds: float
    path: str
    devices: int = 0
    rate: float = 0
    warm_seconds: float = 1
    core: int = 0


class Answers(msgspec.Struct, frozen=True, rename="camel"):
    """What came: delays in ms. With a rate a delay is from when the request was due, so that a slow server cannot hide it."""

    requests: int
    asked: int
    failures: int
    per_second: float
    p50: float
    p99: float
    cpu_seconds: float


class Tally:
    """Delays in seconds of the answers that count, and how many were not 200."""

    def __init__(self, load: Load) -> None:
        self.begin = time.perf_counter() + load.warm_seconds
        self.end = self.begin + load.seconds
        self.asked = 0
        self.delays: list[float] = []
        self.failures = 0

    @property
    def seconds(self) -> float:
        """How long answers counted, or will."""
        return self.end - self.begin

    def stop(self) -> None:
        """Asks nothing more."""
        self.end = min(self.end, time.perf_counter())

    def add(self, due: float, *, ok: bool) -> None:
        """An answer came now, to a request that was due at `due`."""
        now = time.perf_counter()
        self.asked += 1
        if self.begin <= due and now <= self.end:
            self.delays.append(now - due)
            self.failures += not ok


async def client(load: Load, tally: Tally, number: int) -> None:
    """One connection's questions, one after the other."""
    rnd = random.Random(number)  # noqa: S311 - which vehicle is asked for
    reader, writer = await asyncio.open_connection("127.0.0.1", load.port)
    period = load.clients / load.rate if load.rate else 0
    due = time.perf_counter() + period * number / load.clients
    while due < tally.end:
        if period:
            await asyncio.sleep(max(0, due - time.perf_counter()))
        path = load.path % rnd.randrange(load.devices) if load.devices else load.path
        writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        tally.add(due, ok=head.startswith(b"HTTP/1.1 200"))
        due = due + period if period else time.perf_counter()
    writer.close()


async def ask(load: Load) -> Answers:
    """Runs all clients."""
    tally = Tally(load)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, tally.stop)
    await asyncio.gather(*(client(load, tally, number) for number in range(load.clients)))
    return Answers(
        requests=len(tally.delays),
        asked=tally.asked,
        failures=tally.failures,
        per_second=len(tally.delays) / tally.seconds,
        p50=percentile(tally.delays, 0.5) * 1000,
        p99=percentile(tally.delays, 0.99) * 1000,
        cpu_seconds=time.process_time(),
    )


def main() -> None:
    """Entry point of the child process."""
    load = msgspec.json.decode(sys.argv[1], type=Load)
    os.sched_setaffinity(0, {load.core})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answers = runner.run(ask(load))
    sys.stdout.buffer.write(msgspec.json.encode(answers))


if __name__ == "__main__":
    main()
