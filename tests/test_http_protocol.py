"""HTTP as it should be: OPTIONS, HEAD, Accept, gzip, entity tags, CORS, and the headers that every answer has."""

import gzip
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import StreamingResponse
from starlette.routing import Route

from http_service_support import sidecar
from http_support import TEN, links_api, problem
from joulegate_core.tokens import parse_tokens
from joulegate_db.reader import open_reader
from joulegate_http.app import create_app
from joulegate_http.compression import Compression
from joulegate_http.gate import Gate
from joulegate_http.metrics import Metrics
from joulegate_http.problems import refusal
from openapi_support import Contract

LINK = {"vehicleId": "v-1", "meterId": "m-1", "validFrom": "2026-05-01T00:00:00Z"}
DOCUMENT = "/openapi.json"
GZIP = {"Accept-Encoding": "gzip"}
ORIGIN = "https://fleet.example"


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application with all its routes, that asks for nothing by itself."""
    async with links_api(database_url) as client:
        client.headers.clear()
        yield client


async def test_options_is_answered_on_every_route_and_head_wherever_get_is(api: httpx.AsyncClient) -> None:
    contract = await Contract.of(api)
    for template, methods in contract.document["paths"].items():
        path = template.replace("{linkId}", "7").replace("{vehicleId}", "v").replace("{meterId}", "m")
        response = await api.options(path)
        assert (response.status_code, response.content) == (204, b"")
        allowed = {method.upper() for method in methods}
        expected = allowed | {"OPTIONS"} | ({"HEAD"} if "GET" in allowed else set())
        assert response.headers["allow"] == ", ".join(sorted(expected))
        refused = await api.request("PATCH", path)
        problem(refused, 405, "method_not_allowed")
        assert refused.headers["allow"] == response.headers["allow"]
    problem(await api.options("/v1/nothing"), 404, "not_found")


async def test_the_pages_and_their_assets_answer_likewise(api: httpx.AsyncClient) -> None:
    asset = re.search(r"/assets/[^\"]+\.js", (await api.get("/")).text)
    assert asset is not None
    for path in ("/", "/docs", asset[0]):
        response = await api.options(path)
        assert (response.status_code, response.content, response.headers["allow"]) == (204, b"", "GET, HEAD, OPTIONS")
        refused = await api.post(path)
        problem(refused, 405, "method_not_allowed")
        assert refused.headers["allow"] == "GET, HEAD, OPTIONS"
        problem(await api.get(path, headers={"Accept": "application/json"}), 406, "not_acceptable")
        assert (await api.get(path, headers={"Accept": "text/*"})).status_code == 200
    problem(await api.options("/assets/none"), 404, "not_found")


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("", 200),
        ("*/*", 200),
        ("application/*", 200),
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("text/html, application/xml;q=0.9, */*;q=0.8", 200),
        ("text/html;q=1.0, application/json;q=0.001", 200),
        ("text/html", 406),
        ("text/*, image/png", 406),
        ("application/json;q=0", 406),
        ("application/json;q=0, */*", 406),
        ("application/*;q=0, */*", 406),
        ("application/problem+json", 406),
        ("*/*;q=0", 406),
        ("application/json;q=x", 406),
        ("json", 406),
    ],
)
async def test_accept(api: httpx.AsyncClient, accept: str, status: int) -> None:
    response = await api.get("/healthz", headers={"Accept": accept})
    assert response.status_code == status
    if status == 406:
        assert "application/json" in problem(response, 406, "not_acceptable")["detail"]


async def test_what_is_not_acceptable_is_not_done(api: httpx.AsyncClient) -> None:
    assert (await api.put("/v1/links", json=LINK, headers={"Accept": "text/html"})).status_code == 406
    assert (await api.get("/v1/links")).json()["links"] == []
    location = (await api.put("/v1/links", json=LINK)).headers["location"]
    assert (await api.delete(location, headers={"Accept": "text/html"})).status_code == 204, (
        "there is nothing to accept"
    )
    assert (await api.get("/metrics", headers={"Accept": "text/plain;version=0.0.4"})).status_code == 200
    assert (await api.get("/metrics", headers={"Accept": "application/json"})).status_code == 406
    problem(await api.get("/v1/nothing", headers={"Accept": "text/html"}), 404, "not_found")


async def test_gzip_is_sent_to_those_who_ask_and_from_a_kilobyte_on(database_url: str) -> None:
    """Over a real port: the bytes on the wire."""
    async with sidecar(database_url) as client:
        client.headers.clear()
        plain = await client.get(DOCUMENT, headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        for wanted in ("gzip", "br, GZIP;q=0.5", "*"):
            async with client.stream("GET", DOCUMENT, headers={"Accept-Encoding": wanted}) as packed:
                raw = b"".join([chunk async for chunk in packed.aiter_raw()])
            assert packed.headers["content-encoding"] == "gzip"
            assert packed.headers["content-length"] == str(len(raw))
            assert len(raw) < len(plain.content) / 4
            assert gzip.decompress(raw) == plain.content
            assert packed.headers["etag"] == plain.headers["etag"]
            head = await client.head(DOCUMENT, headers={"Accept-Encoding": wanted})
            assert (head.headers["content-length"], head.content) == (str(len(raw)), b"")
        for wanted in ("", "br", "gzip;q=0", "gzip;q=0, *"):
            assert "content-encoding" not in (await client.get(DOCUMENT, headers={"Accept-Encoding": wanted})).headers
        small = await client.get("/healthz", headers=GZIP)
        assert "content-encoding" not in small.headers
        assert "Accept-Encoding" in small.headers["vary"]


async def test_what_comes_in_parts_is_compressed_in_parts_and_events_are_left_alone() -> None:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d" % number * 40_000

    app = Starlette(
        routes=[
            Route("/text", lambda _: StreamingResponse(parts(), headers={"ETag": '"x"'}, media_type="text/plain")),
            Route("/events", lambda _: StreamingResponse(parts(), media_type="text/event-stream")),
            Route("/image", lambda _: StreamingResponse(parts(), media_type="image/png")),
        ],
        middleware=[Middleware(Compression)],
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
        whole = b"".join([part async for part in parts()])
        packed = await client.get("/text", headers=GZIP)
        assert (packed.content, packed.headers["content-encoding"]) == (whole, "gzip")
        assert packed.headers["etag"] == 'W/"x"', "not these very bytes"
        for path in ("/events", "/image"):
            plain = await client.get(path, headers=GZIP)
            assert (plain.content, "content-encoding" in plain.headers) == (whole, False)


async def test_who_has_the_answer_already_is_told_so(api: httpx.AsyncClient) -> None:
    location = (await api.put("/v1/links", json=LINK)).headers["location"]
    contract = await Contract.of(api)
    for path in (DOCUMENT, "/v1/links", location):
        first = contract.check(await api.get(path))
        tag = first.headers["etag"]
        assert first.headers["cache-control"] == "no-cache"
        for given in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
            for method in ("GET", "HEAD"):
                same = contract.check(await api.request(method, path, headers={"If-None-Match": given}))
                assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
                assert same.headers["cache-control"] == "no-cache"
        for given in ('"other"', tag[:-2] + '"', ""):
            assert (await api.get(path, headers={"If-None-Match": given})).status_code == 200
    tag = (await api.get("/v1/links")).headers["etag"]
    await api.put("/v1/links", json=LINK | {"validTo": "2026-06-01T00:00:00Z"})
    changed = await api.get("/v1/links", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.headers["etag"] != tag) == (200, True)


@pytest.mark.parametrize("path", ["/healthz", "/v1/alerts", DOCUMENT, "/metrics", "/v1/nothing", "/v1/alerts?limit=0"])
async def test_every_answer_has_the_headers(api: httpx.AsyncClient, path: str) -> None:
    for method in ("GET", "HEAD", "OPTIONS", "PATCH"):
        headers = (await api.request(method, path)).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-request-id"]
        assert headers["cache-control"] == ("no-cache" if "etag" in headers else "no-store")
        assert len(headers.get_list("x-request-id")) == 1
        assert not [name for name in headers if name.startswith("access-control-")]


def test_what_is_no_request_is_answered_with_them_too() -> None:
    headers = refusal(400).headers  # type: ignore[arg-type]
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["cache-control"] == "no-store"
    assert len(headers.getlist("x-request-id")) == 1


@asynccontextmanager
async def cors_api(url: str, *origins: str) -> AsyncIterator[httpx.AsyncClient]:
    async with open_reader(url) as reader:
        gate = Gate(parse_tokens("a-token-of-a-page"))
        app = create_app(reader, lambda: TEN + timedelta(hours=1), Metrics(), gate=gate, origins=frozenset(origins))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://joulegate") as client:
            yield client


async def test_a_page_of_an_origin_that_is_listed_may_call(database_url: str) -> None:
    async with cors_api(database_url, ORIGIN) as api:
        asked = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization",
        }
        preflight = await api.options("/v1/alerts", headers=asked)
        assert preflight.status_code == 204, "without a token: browsers send none"
        assert preflight.headers["access-control-allow-origin"] == ORIGIN
        assert preflight.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
        assert "Authorization" in preflight.headers["access-control-allow-headers"]
        assert "Origin" in preflight.headers.get_list("vary")
        token = {"Authorization": "Bearer a-token-of-a-page"}
        for headers, status in ((token, 200), ({}, 401)):  # a page must be able to read its problems, too
            response = await api.get("/v1/alerts", headers={"Origin": ORIGIN, **headers})
            assert response.status_code == status
            assert response.headers["access-control-allow-origin"] == ORIGIN
            assert "Retry-After" in response.headers["access-control-expose-headers"]
            assert "access-control-allow-credentials" not in response.headers


async def test_pages_of_others_may_not(database_url: str) -> None:
    async with cors_api(database_url, ORIGIN) as api:
        for origin in ("https://evil.example", f"{ORIGIN}.evil.example", "http://fleet.example", "null"):
            asked = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
            for response in (
                await api.options("/v1/alerts", headers=asked),
                await api.get("/healthz", headers={"Origin": origin}),
            ):
                assert not [name for name in response.headers if name.startswith("access-control-")]
                assert "Origin" in response.headers.get_list("vary")
        assert "access-control-allow-origin" not in (await api.get("/healthz")).headers


async def test_all_pages_may_where_all_are_allowed(database_url: str) -> None:
    async with cors_api(database_url, "*") as api:
        response = await api.get("/healthz", headers={"Origin": "https://any.example"})
        assert response.headers["access-control-allow-origin"] == "*"
