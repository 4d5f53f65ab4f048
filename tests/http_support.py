"""Readings written as the gateway writes them, and the sidecar's application inside the test's event loop."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import httpx

from gateway_harness import eventually
from joulegate_cli.replaying import replayer_of
from joulegate_core.clock import utc_now
from joulegate_core.settings import load_settings
from joulegate_core.telemetry import Message, MeterReading, Stream, VehicleReading
from joulegate_db.link_store import open_link_store
from joulegate_db.performance import Performance
from joulegate_db.reader import Reader, open_reader
from joulegate_db.windows import Window
from joulegate_db.writer import Writer
from joulegate_http.app import create_app
from joulegate_http.metrics import Metrics
from joulegate_http.stream_hub import Hub

Json = dict[str, Any]
Reading = MeterReading | VehicleReading

TEN = (utc_now() - timedelta(days=2)).replace(hour=10, minute=0, second=0, microsecond=0)
"""Ten o'clock the day before yesterday: the edge of a bucket, far from the edge of the day, and accepted."""


def at(minute: float) -> datetime:
    """So many minutes after ten."""
    return TEN + timedelta(minutes=minute)


def window(start: float, end: float) -> Window:
    """The window between two such minutes."""
    return Window(at(start), at(end))


def meter(minute: float, kwh: float, device: str = "m-1", cp: str = "cp-1") -> MeterReading:
    """A meter's reading at `minute`."""
    return MeterReading(device=device, charge_point=cp, ts=at(minute), kwh=kwh, voltage=230.1, late=False)


def vehicle(minute: float, kwh: float, device: str = "v-1", cp: str = "cp-1", temp: float = 30.0) -> VehicleReading:
    """A vehicle's reading at `minute`."""
    return VehicleReading(
        device=device, charge_point=cp, ts=at(minute), kwh=kwh, soc=55.5, battery_temp=temp, late=False
    )


async def write(url: str, readings: Sequence[Reading]) -> None:
    """Commits the readings in two batches, through a writer of its own."""
    writer = await Writer.open(url)
    try:
        half = len(readings) // 2
        for batch in (readings[:half], readings[half:]):
            await writer.write([_message(reading) for reading in batch], utc_now())
    finally:
        writer.terminate()


async def ask(url: str, start: float = 0, end: float = 60, device: str = "v-1") -> Performance:
    """The reader's answer for a vehicle that is known."""
    async with open_reader(url) as reader:
        answer = await reader.performance(device, window(start, end))
    assert answer is not None
    return answer


@asynccontextmanager
async def client_of(reader: Reader, *, now: datetime) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of an application on `reader` whose clock stands at `now`; no port is used."""
    app = create_app(reader, lambda: now, Metrics())
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://joulegate") as client:
        yield client


@asynccontextmanager
async def api_on(url: str, *, now: datetime) -> AsyncIterator[httpx.AsyncClient]:
    """The same on the database at `url`."""
    async with open_reader(url) as reader, client_of(reader, now=now) as client:
        yield client


@asynccontextmanager
async def links_api(url: str, *, now: datetime = TEN + timedelta(hours=2)) -> AsyncIterator[httpx.AsyncClient]:
    """The same of an application that takes changes, too; its reader is read-only, as in the service."""
    async with open_reader(url) as reader, open_link_store(url) as links:
        metrics = Metrics()
        settings = load_settings({"JOULEGATE_DATABASE_URL": url})
        replayer = replayer_of(settings, lambda: now)
        hub = Hub(reader, url, lambda: now, metrics)  # not running: a stream's events have no place in such a client
        transport = httpx.ASGITransport(app=create_app(reader, lambda: now, metrics, links, hub=hub, replayer=replayer))
        async with httpx.AsyncClient(transport=transport, base_url="http://joulegate") as client:
            yield client
        replayer.close()


def _message(reading: Reading) -> Message:
    stream = Stream.METER if isinstance(reading, MeterReading) else Stream.VEHICLE
    topic = f"fleet/{reading.charge_point}/{stream}"
    return Message(stream=stream, topic=topic, payload=b"", content=reading)


async def assert_streamed(client: httpx.AsyncClient, database: asyncpg.Connection, url: str) -> None:
    """A reading that is written at `url` comes over the stream. `database`: a connection to the server that is listened to."""
    listening = "select query like 'LISTEN%' from pg_stat_activity where application_name = 'joulegate-listen'"
    async with asyncio.timeout(20), client.stream("GET", "/v1/stream?kinds=vehicles") as stream:
        lines = stream.aiter_lines()
        async for line in lines:
            if line.startswith("event: hello"):
                break
        await eventually(lambda: database.fetchval(listening))
        await write(url, [vehicle(1, 1.8, device="v-new")])
        async for line in lines:
            if "v-new" in line:
                return
    raise AssertionError("the stream has ended")


def problem(response: httpx.Response, status: int, code: str) -> Json:
    """Checks everything that all problems have in common; returns the document."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body: Json = response.json()
    assert set(body) == {"type", "title", "status", "detail", "instance", "code", "requestId"}
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"] == "urn:joulegate:problem:" + code.replace("_", "-")
    assert body["instance"] == response.request.url.raw_path.decode().partition("?")[0]
    assert body["requestId"] == response.headers["x-request-id"]
    assert body["title"]
    assert body["detail"].endswith(".")
    return body


class BrokenReader:
    """A reader with a fault inside, as no database can have it."""

    async def performance(self, vehicle: str, window: Window) -> None:
        raise RuntimeError(f"secret of {vehicle} {window}")

    async def vehicle(self, device: str, now: datetime) -> Any:
        return {"device": device, "now": now}

    async def lag(self, seconds: float) -> float:
        return 0 * seconds
