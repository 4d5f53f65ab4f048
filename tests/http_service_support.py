"""The sidecar as a service on a real port, and a PostgreSQL that can be stopped under it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from gateway_harness import eventually
from http_support import TEN
from joulegate_cli.local.ports import free_port
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_cli.replaying import replayer_of
from joulegate_core.clock import utc_now
from joulegate_core.settings import load_settings
from joulegate_db.connect import MIGRATION_SETTINGS, connect
from joulegate_db.migrate import migrate
from joulegate_db.partitions import ensure_partitions
from joulegate_http.service import run_http

PERFORMANCE = "/v1/analytics/performance/v-1"


def environ(port: int, url: str, **more: str) -> dict[str, str]:
    """The sidecar's environment."""
    return {"JOULEGATE_HTTP_PORT": str(port), "JOULEGATE_DATABASE_URL": url, **more}


@asynccontextmanager
async def sidecar(
    url: str, *, now: datetime = TEN + timedelta(hours=1), **more: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running sidecar."""
    port = free_port()
    stop = asyncio.Event()
    settings = load_settings(environ(port, url, **more))
    replayer = replayer_of(settings, lambda: now)
    running = asyncio.create_task(run_http(settings, stop, clock=lambda: now, replayer=replayer))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        await eventually(lambda: answers(client, running))
        try:
            yield client
        finally:
            stop.set()
            await running


async def answers(client: httpx.AsyncClient, running: asyncio.Task[None]) -> bool:
    """Whether the sidecar is up; raises what it ended with."""
    if running.done():
        running.result()
    try:
        return (await client.get("/healthz")).status_code == 200
    except httpx.TransportError:
        return False


async def status(client: httpx.AsyncClient, path: str) -> int:
    """The status that the route answers with."""
    return (await client.get(path)).status_code


async def becomes(client: httpx.AsyncClient, path: str, expected: int) -> None:
    """Waits until the route answers with this status."""

    async def reached() -> bool:
        return await status(client, path) == expected

    await eventually(reached)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[LocalPostgres]:
    """A PostgreSQL of the test's own, with the schema, to be stopped and started."""
    server = LocalPostgres(tmp_path / "pg", options={"fsync": "off"}).start()
    try:
        asyncio.run(prepare(server.url()))
        yield server
    finally:
        server.stop("immediate")


async def prepare(url: str) -> None:
    """Makes the schema and the partitions."""
    connection = await connect(url, MIGRATION_SETTINGS)
    await migrate(connection)
    await ensure_partitions(connection, utc_now(), max_age_days=3)
    await connection.close()
