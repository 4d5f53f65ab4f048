"""Clients that trickle, stall, shout or leave: each is ended within a bound and told why where it can be, and costs others nothing."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway_harness import eventually
from http_service_support import sidecar, status
from http_support import Json
from joulegate_cli.local.ports import free_port
from joulegate_core import asgi, http_connection
from joulegate_core.asgi import serve
from joulegate_core.http_connection import HttpConnection
from joulegate_http import body
from joulegate_http.leaving import Leaving

HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
GET = HEAD + b"\r\n"
PUT = b"PUT /v1/links HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running sidecar, that behaves."""
    async with sidecar(database_url) as client:
        yield client


@pytest.fixture(autouse=True)
def no_error_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing that a client does is an error of the service, and no traceback is written for it."""
    yield
    records = [record for when in ("setup", "call") for record in caplog.get_records(when)]
    assert not [record for record in records if record.levelname in {"ERROR", "CRITICAL"} or record.exc_info]


class Raw:
    """A connection, to be written and read byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Writes; a connection that was ended is not an error."""
        self._writer.write(data)
        await self._writer.drain()

    async def response(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next response."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = headers.get("content-length")
        content = await (self._reader.readexactly(int(length)) if length else self._reader.read())
        return int(first.split()[1]), headers, content

    async def problem(self) -> Json:
        """The next response, which must be a problem document that ends the connection."""
        code, headers, content = await self.response()
        document: Json = json.loads(content)
        assert headers["content-type"] == "application/problem+json"
        assert (document["status"], document["requestId"]) == (code, headers["x-request-id"])
        assert headers["connection"] == "close"
        assert await self.ended()
        return document

    async def ended(self) -> bool:
        """Waits until the server has ended the connection."""
        try:
            async with asyncio.timeout(20):
                while await self._reader.read(65536):
                    pass
        except ConnectionError:
            pass
        return True

    async def trickle(self, data: bytes) -> float:
        """Sends a byte every 20 ms until the connection is ended; how many seconds that took."""
        started = time.monotonic()
        try:
            while time.monotonic() < started + 20:
                await self.send(data)
                await asyncio.sleep(0.02)
        except ConnectionError:
            return time.monotonic() - started
        raise AssertionError("the connection was not ended")


@asynccontextmanager
async def raw(api: httpx.AsyncClient) -> AsyncIterator[Raw]:
    """A connection to where `api` talks to."""
    reader, writer = await asyncio.open_connection(api.base_url.host, api.base_url.port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def many(api: httpx.AsyncClient, count: int, sent: bytes) -> AsyncIterator[None]:
    """So many connections that send something and leave it at that."""
    writers = []
    try:
        for _ in range(count):
            _, writer = await asyncio.open_connection(api.base_url.host, api.base_url.port)
            writers.append(writer)
            writer.write(sent)
        yield
    finally:
        for writer in writers:
            writer.transport.abort()


@pytest.mark.parametrize(
    "beginning", [b"GET /", HEAD + b"X-Long: ", GET + HEAD], ids=["line", "header", "second request"]
)
async def test_headers_that_trickle_are_ended(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    monkeypatch.setattr(http_connection, "REQUEST_SECONDS", 0.5)
    async with raw(api) as slow:
        await slow.send(beginning)
        assert await slow.trickle(b"a") >= 0.4


async def test_a_connection_that_says_nothing_is_ended(api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "REQUEST_SECONDS", 0.5)
    async with raw(api) as silent:
        assert await silent.ended()


async def test_a_body_that_trickles_is_refused_and_says_why(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "BODY_SECONDS", 0.3)
    async with raw(api) as slow:
        await slow.send(PUT)
        trickling = asyncio.create_task(slow.trickle(b" "))
        assert (await slow.problem())["code"] == "body_too_slow"
        await trickling


async def test_a_body_that_nobody_asked_for_is_ended_after_the_answer(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connection, "REQUEST_SECONDS", 0.5)
    async with raw(api) as slow:
        await slow.send(HEAD + b"Content-Length: 1000000\r\n\r\n")
        assert (await slow.response())[0] == 200
        await slow.trickle(b" ")


async def test_a_connection_lives_as_long_as_its_requests_are_in_time(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connection, "REQUEST_SECONDS", 0.5)
    async with raw(api) as steady:
        for _ in range(5):
            await steady.send(GET)
            assert (await steady.response())[0] == 200
            await asyncio.sleep(0.2)


async def test_a_client_that_takes_no_answers_is_ended(api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests one after the other, until the server can write no more."""
    monkeypatch.setattr(http_connection, "TAKE_SECONDS", 0.5)
    _, writer = await asyncio.open_connection(api.base_url.host, api.base_url.port, limit=1024)

    async def ask_on() -> None:
        while True:
            writer.write(GET.replace(b"/healthz", b"/openapi.json") * 100)
            await writer.drain()
            await asyncio.sleep(0.01)

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(ask_on(), 20)
    writer.transport.abort()
    assert await status(api, "/healthz") == 200


@pytest.mark.parametrize("sent", [b"", GET, HEAD + b"X-Slow: "], ids=["silent", "idle", "trickling"])
async def test_connections_that_do_nothing_do_not_stop_others(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """Of four hundred, more than there may be connections here, the oldest make room for one that asks."""
    monkeypatch.setattr(http_connection, "MOST_CONNECTIONS", 300)
    async with many(api, 400, sent), raw(api) as one, asyncio.timeout(20):
        await one.send(GET.replace(b"/healthz", b"/readyz"))
        assert (await one.response())[0] == 200


async def test_the_oldest_makes_room(api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "REQUEST_SECONDS", 1000)
    monkeypatch.setattr(http_connection, "MOST_CONNECTIONS", 20)
    async with raw(api) as first:
        await first.send(HEAD)
        async with many(api, 60, b""):
            assert await first.ended()


@pytest.mark.parametrize(
    ("sent", "code", "problem"),
    [
        (b"GET /" + b"x" * 20_000, 414, "url_too_long"),
        (HEAD + b"X-Huge: " + b"x" * 20_000, 431, "headers_too_large"),
        (HEAD + b"X-Many: x\r\n" * 3_000, 431, "headers_too_large"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "malformed_request"),
        (b"\x00\r\n\r\n", 400, "malformed_request"),
        (b"GET /healthz\r\n\r\n", 400, "malformed_request"),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400, "malformed_request"),
        (HEAD + b"no colon\r\n\r\n", 400, "malformed_request"),
        (HEAD + b"X-Nul: a\x00b\r\n\r\n", 400, "malformed_request"),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400, "malformed_request"),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "malformed_request"),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 400, "malformed_request"),
        ("GET /é HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 400, "malformed_request"),
    ],
)
async def test_what_is_not_a_request_is_a_problem_too(
    api: httpx.AsyncClient, sent: bytes, code: int, problem: str
) -> None:
    async with raw(api) as one:
        await one.send(sent)
        document = await one.problem()
    assert (document["status"], document["code"]) == (code, problem)
    assert document["detail"].endswith(".")


async def test_rubbish_behind_a_request_does_not_touch_its_answer(api: httpx.AsyncClient) -> None:
    async with raw(api) as one:
        await one.send(GET + GET + b"\x00rubbish\r\n\r\n")
        for _ in range(2):
            assert (await one.response())[0] == 200
        assert (await one.problem())["code"] == "malformed_request"


async def test_rubbish_in_a_body_after_the_answer_ends_the_connection(api: httpx.AsyncClient) -> None:
    async with raw(api) as one:
        await one.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        assert (await one.response())[0] == 200
        await one.send(b"not a chunk\r\n" * 10)
        assert await one.ended()


async def test_rubbish_in_a_body_is_answered_once(api: httpx.AsyncClient) -> None:
    async with raw(api) as one:
        chunked = PUT.replace(b"Content-Length: 100", b"Transfer-Encoding: chunked")
        await one.send(chunked + b"5\r\n{    \r\nnot a chunk\r\n")
        assert (await one.problem())["code"] == "malformed_request"


async def test_an_upgrade_is_not_taken_up(api: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    response = await api.get("/healthz", headers={"Connection": "Upgrade", "Upgrade": "websocket"})
    assert response.status_code == 200
    assert not caplog.records


async def test_a_client_that_leaves_within_its_body_changes_nothing(api: httpx.AsyncClient) -> None:
    for _ in range(20):
        async with raw(api) as one:
            await one.send(PUT + b'{"vehicleId": "v-1", ')
    assert (await api.get("/v1/links")).json()["links"] == []


async def test_clients_that_leave_within_an_answer(api: httpx.AsyncClient) -> None:
    for _ in range(20):
        async with raw(api) as one:
            await one.send(GET.replace(b"/healthz", b"/openapi.json") * 5)
            await one._reader.readexactly(10)

    async def all_gone() -> bool:
        return await status(api, "/readyz") == 200

    await eventually(all_gone)


async def test_no_part_of_an_answer_waits_for_another_to_be_acknowledged(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def note(self: HttpConnection, transport: asyncio.Transport) -> None:
        made.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        HttpToolsProtocol.connection_made(self, transport)

    monkeypatch.setattr(HttpConnection, "connection_made", note)
    async with raw(api) as one:
        await one.send(GET)
        assert (await one.response())[0] == 200
    assert made == [1]


async def test_an_answer_that_is_streamed_ends_with_its_client() -> None:
    """Starlette listens for the client's end beside a stream; it must neither spin there nor miss it."""
    ended = asyncio.Event()

    async def without_end() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"tick\n"
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    app = Leaving(StreamingResponse(without_end()))
    port = free_port()
    async with serve(app, "127.0.0.1", port, "JOULEGATE_HTTP_PORT"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        async with asyncio.timeout(20):
            await reader.readuntil(b"tick")
            writer.transport.abort()
            await ended.wait()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/vehicles/%00", 400),
        ("/v1/vehicles/%ff%fe", 400),
        ("/v1/vehicles/" + "%41" * 64, 404),
        ("/v1/vehicles/" + "%41" * 65, 400),
        ("/v1/vehicles/%E2%80%AE", 400),
        ("/v1/vehicles/..%2F..%2Fetc", 404),
        ("/v1/links/" + "9" * 18, 404),
        ("/v1/links/" + "9" * 5000, 404),
        ("/v1/links/1%0A", 404),
        ("/v1/links?limit=" + "9" * 5000, 400),
        ("/v1/links?cursor=999999999999999999", 200),
        ("/v1/links?cursor=1000000000000000000", 400),
        ("/v1/links?%00=1", 400),
        ("/v1/links?" + "&".join(f"a{number}" for number in range(1500)), 400),
        ("/v1/links?" + "a" * 10_000, 400),
        ("/v1/links?" + "limit=1&" * 1500, 400),
        ("/v1/links?at=1970-01-01T00:00:00Z", 200),
        ("/v1/links?at=9999-01-01T00:00:00Z", 200),
        ("/v1/links?at=0000-01-01T00:00:00Z", 400),
        ("/v1/links?at=0001-01-01T00:00:00%2B23:59", 400),
        ("/v1/links?at=9999-12-31T23:59:59.999999-23:59", 400),
        ("/v1/links?at=2026-06-30T23:59:60Z", 400),
        ("/v1/links?at=%00", 400),
        ("/v1/analytics/performance/v-1?from=9998-12-31T00:00:00Z&to=9999-01-01T00:00:00Z", 404),
        ("/v1/analytics/performance/v-1?to=1970-01-01T00:00:01Z", 404),
        ("/v1/analytics/fleet?from=1970-01-01T00:00:00Z&to=1970-01-01T00:15:00Z", 200),
        ("/v1/alerts?cursor=0", 200),
        ("/v1/alerts?kind=LOW_EFFICIENCY", 400),
    ],
)
async def test_odd_values_are_answered_and_not_repeated_at_length(
    api: httpx.AsyncClient, path: str, expected: int
) -> None:
    response = await api.get(path)
    assert response.status_code == expected, response.text
    if expected != 200:
        assert len(response.json()["detail"]) < 500


async def test_a_request_that_asks_for_an_upgrade_keeps_its_body(api: httpx.AsyncClient) -> None:
    """Java's client asks for HTTP/2 so with its first request, whatever it is; what follows is read on."""
    body = b'{"vehicleId":"v-1","meterId":"m-1","validFrom":"2026-05-01T00:00:00Z"}'
    put = PUT.replace(b"100", str(len(body)).encode(), 1)[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + body
    async with raw(api) as one:
        await one.send(put + GET)
        assert [(await one.response())[0], (await one.response())[0]] == [201, 200]


async def test_requests_at_once_are_answered_in_order_and_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many come at once, few are taken apart before they are answered."""
    most = 0

    class Noting(HttpConnection):
        def on_headers_complete(self) -> None:
            nonlocal most
            super().on_headers_complete()
            most = max(most, len(self.pipeline))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)
        await PlainTextResponse(scope["path"])(scope, receive, send)

    monkeypatch.setattr(asgi, "HttpConnection", Noting)
    port = free_port()
    async with serve(app, "127.0.0.1", port, "JOULEGATE_HTTP_PORT"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        one = Raw(reader, writer)
        await one.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(2000)))
        async with asyncio.timeout(20):
            for number in range(2000):
                assert (await one.response())[2] == b"/%d" % number
        writer.transport.abort()
    assert 0 < most < 60


async def test_what_follows_a_body_in_pieces_is_bounded(api: httpx.AsyncClient) -> None:
    async with raw(api) as one:
        chunked = PUT.replace(b"Content-Length: 100", b"Transfer-Encoding: chunked")
        await one.send(chunked + b"5\r\n{    \r\n0\r\n" + b"X-Trailer: x\r\n" * 3000)
        assert (await one.problem())["code"] == "malformed_request"
