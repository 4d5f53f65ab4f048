"""The sidecar as a process, on its own event loop: it ends in time whatever its clients do, and tells those who wait."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from gateway_harness import eventually, http_get, status_of
from http_support import vehicle, write
from joulegate_cli.local.ports import free_port
from process_harness import Process

BODY = b"PUT /v1/links HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
QUESTION = b"GET /v1/vehicles/v-1 HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"

Send = Callable[[bytes], Awaitable[asyncio.StreamReader]]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
async def process(database_url: str, tmp_path: Path, port: int) -> AsyncIterator[Process]:
    """`joulegate http`, ready."""
    await write(database_url, [vehicle(1, 1.0)])
    environ = {"JOULEGATE_HTTP_PORT": str(port), "JOULEGATE_DATABASE_URL": database_url}
    running = await Process.start(tmp_path, environ, "http")

    async def is_ready() -> bool:
        assert running.is_running, running.errors()
        return await status_of(port, "/readyz") == 200

    await eventually(is_ready)
    yield running
    await running.kill()


@pytest.fixture
async def send(port: int) -> AsyncIterator[Send]:
    """Opens a connection, sends something and leaves it at that."""
    writers = []

    async def send(sent: bytes) -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writers.append(writer)
        writer.write(sent)
        return reader

    yield send
    for writer in writers:
        writer.transport.abort()


async def end(process: Process) -> None:
    """It ends by itself after SIGTERM, with 0 and without a traceback."""
    process.send(signal.SIGTERM)
    assert await process.end(10) == (0, "")
    assert process.events()[-1]["event"] == "http_stopped"
    assert not [entry for entry in process.events() if "exception" in entry or "Traceback" in str(entry)]


async def test_sigterm_does_not_wait_for_clients_that_are_silent_or_trickle(
    process: Process, port: int, send: Send
) -> None:
    for sent in (b"", b"GET /heal", QUESTION + b"GET /", BODY) * 10:
        await send(sent)
    await send(LARGE * 1000)  # and takes no answer
    assert (await http_get(port, "/readyz"))[0] == 200
    await end(process)


async def test_a_question_that_cannot_be_answered_before_the_end_is_told_so(
    process: Process, send: Send, db: asyncpg.Connection, database_url: str
) -> None:
    looking = await asyncpg.connect(database_url)

    async def waits() -> bool:
        return bool(await looking.fetchval("select count(*) from pg_stat_activity where wait_event_type = 'Lock'"))

    async with db.transaction():
        await db.execute("lock table vehicle_live in access exclusive mode")
        asking = await send(QUESTION)
        await eventually(waits)
        await end(process)
    await looking.close()
    answer = (await asking.read()).decode()
    assert answer.startswith("HTTP/1.1 503")
    assert '"code":"stopping"' in answer
    assert "retry-after: 5" in answer.lower()


async def test_streams_end_at_once_and_properly(process: Process, send: Send) -> None:
    """A stop waits three seconds for open requests, and a stream has no end of its own."""
    streams = [await send(b"GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(20)]
    for one in streams:
        await one.readuntil(b"event: hello")
    started = time.monotonic()
    await end(process)
    assert time.monotonic() - started < 2.5
    for one in streams:
        assert (await one.read()).endswith(b"\r\n0\r\n\r\n")
