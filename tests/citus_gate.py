"""Stands between a coordinator and a worker, and holds what the coordinator says at a moment of the test's choice."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg

NO_ENCRYPTION = (bytes.fromhex("0000000804d2162f"), bytes.fromhex("0000000804d21630"))
"""Requests for TLS and for GSSAPI; what is encrypted cannot be read here."""


class Gate:
    """Passes everything on until told to hold.

    Attributes:
        port: where the coordinator is to find the worker.
        holding: set as soon as something is held.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.holding = asyncio.Event()
        self._worker = (host, port)
        self._word: bytes | None = None
        self._open = asyncio.Event()
        self._open.set()

    def hold(self, word: bytes) -> None:
        """From now on, a connection on which the coordinator says this gets stuck before it."""
        self._word = word
        self._open.clear()

    def release(self) -> None:
        """Passes on what was held, and all else."""
        self._word = None
        self._open.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the coordinator's."""
        there, onward = await asyncio.open_connection(*self._worker)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._there(reader, onward, writer))
            both.create_task(_pass_on(there, writer))

    async def _there(
        self, reader: asyncio.StreamReader, onward: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if data in NO_ENCRYPTION:
                    back.write(b"N")
                    continue
                if self._word and self._word in data:
                    self.holding.set()
                    await self._open.wait()
                onward.write(data)
                await onward.drain()
        onward.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def gate_before(worker: asyncpg.Record) -> AsyncIterator[Gate]:
    """A gate in front of the worker, a row of `citus_harness.NODES`, for the length of the block."""
    gate = Gate(worker["nodename"], worker["nodeport"])
    server = await asyncio.start_server(gate.serve, "127.0.0.1", 0)
    gate.port = server.sockets[0].getsockname()[1]
    try:
        yield gate
    finally:
        gate.release()
        server.close()
