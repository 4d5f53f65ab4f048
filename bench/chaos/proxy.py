"""A TCP proxy that does what networks do: it cuts, resets, swallows, delays and trickles."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Self

from joulegate_cli.local.ports import free_port

CHUNK_BYTES = 65536
ABORT_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: closing sends RST instead of FIN (socket(7))."""


class Proxy:
    """Forwards TCP connections to a port, on this machine by default, until it is told otherwise."""

    def __init__(self, target_port: int, target_host: str = "127.0.0.1") -> None:
        self.port = free_port()
        self.connections = 0
        """How many were accepted so far."""
        self.refusing = False
        """While true, new connections are accepted and left without an answer."""
        self.last_words = b""
        """What a client hears when the target ends its connection."""
        self.delay_seconds = 0.0
        """How much later everything arrives, each way."""
        self.bytes_per_second = 0
        """How much passes at most, each way and connection; 0 is no limit."""
        self.first_words: Callable[[bytes], bytes] | None = None
        """What to make of the first that the other side says on each connection."""
        self._target_host = target_host
        self._target_port = target_port
        self._generation = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def stall(self) -> None:
        """Turns the connections of this moment into black holes; new ones work."""
        self._generation += 1

    def cut(self) -> None:
        """Ends the connections of this moment."""
        for task in self._tasks:
            task.cancel()

    def reset(self) -> None:
        """Ends the connections of this moment with RST on both sides."""
        for writer in self._writers:
            sock: socket.socket | None = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):  # that one has just ended by itself
                if sock is not None:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT_ON_CLOSE)
        self.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        generation = -1 if self.refusing else self._generation
        try:
            target_reader, target_writer = await asyncio.open_connection(self._target_host, self._target_port)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            return
        ends = {writer, target_writer}
        self._writers |= ends
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await asyncio.gather(
                    self._pump(reader, target_writer, generation),
                    self._pump(target_reader, writer, generation, is_answer=True),
                )
        finally:
            self._writers -= ends
            for each in ends:
                each.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, generation: int, *, is_answer: bool = False
    ) -> None:
        edit = self.first_words if is_answer else None
        while data := await reader.read(self._chunk()):
            if edit is not None:
                data, edit = edit(data), None
            if generation == self._generation:
                await self._pass_on(data, writer)
        if generation == self._generation:
            if is_answer:
                writer.write(self.last_words)
            writer.close()
        else:
            await asyncio.Future()  # the other side's end is swallowed too

    def _chunk(self) -> int:
        return max(1, min(CHUNK_BYTES, self.bytes_per_second // 20)) if self.bytes_per_second else CHUNK_BYTES

    async def _pass_on(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        if self.bytes_per_second:
            await asyncio.sleep(len(data) / self.bytes_per_second)
        writer.write(data)
        await writer.drain()
