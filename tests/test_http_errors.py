"""Every error is a problem document that says what to do, and nothing of what is inside."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import cast

import httpx
import pytest
from structlog.testing import capture_logs

from http_support import BrokenReader, api_on, at, client_of, meter, problem, vehicle, write
from joulegate_db.reader import Reader

NOW = at(120)
PERFORMANCE = "/v1/analytics/performance/v-1"


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application on an empty database."""
    async with api_on(database_url, now=NOW) as client:
        yield client


@pytest.mark.parametrize(
    ("query", "code", "says"),
    [
        ("from=2026-05-02T00:00:00Z&to=2026-05-01T00:00:00Z", "empty_window", "must be before"),
        ("from=2026-05-01T00:00:00Z&to=2026-05-01T02:00:00%2B02:00", "empty_window", "must be before"),
        ("from=9998-05-01T00:00:00Z", "empty_window", "to is now when it is not given"),
        ("to=1970-01-01T00:00:00Z", "empty_window", "must be before"),
        ("from=2026-05-01T00:00:00Z&to=2026-06-01T00:00:00.000001Z", "window_too_long", "31 days"),
        ("from=yesterday", "bad_time", "from must be an RFC 3339 time"),
        ("to=2026-05-01", "bad_time", "to must be an RFC 3339 time"),
        ("to=1777593600000", "bad_time", "to must be an RFC 3339 time"),
        ("from=", "bad_time", "from must be an RFC 3339 time"),
        ("from=2026-13-01T00:00:00Z", "bad_time", "from must be an RFC 3339 time"),
        ("from=2026-05-01T00:00:00", "naive_time", "from has no offset"),
        ("from=0001-01-01T00:00:00%2B05:00", "time_out_of_range", "1970"),
        ("to=9999-12-31T23:59:59-05:00", "time_out_of_range", "9999"),
        ("window=24h&From=x", "unknown_parameter", "From, window: it knows from and to"),
        ("to=2026-05-01T00:00:00Z&to=2026-05-02T00:00:00Z", "repeated_parameter", "to is given more than once"),
    ],
)
async def test_every_rule_of_the_window(api: httpx.AsyncClient, query: str, code: str, says: str) -> None:
    body = problem(await api.get(f"{PERFORMANCE}?{query}"), 400, code)
    assert says in body["detail"]


@pytest.mark.parametrize(
    ("path", "days"),
    [(PERFORMANCE, 31), (f"{PERFORMANCE}/series", 31), ("/v1/analytics/fleet", 31), ("/v1/analytics/pairing", 3)],
)
async def test_a_huge_window_is_refused_with_its_limit(api: httpx.AsyncClient, path: str, days: int) -> None:
    for length in (timedelta(days=days, microseconds=1), timedelta(days=20_000)):
        response = await api.get(path, params={"from": (NOW - length).isoformat(), "to": NOW.isoformat()})
        assert f"at most {days} days" in problem(response, 400, "window_too_long")["detail"]


@pytest.mark.parametrize("route", ["/v1/analytics/performance/", "/v1/vehicles/", "/v1/meters/"])
@pytest.mark.parametrize("name", ["a%20b", "x" * 65, "caf%C3%A9", "%00", "a%0A", "%F0%28"])
async def test_an_id_against_the_rule(api: httpx.AsyncClient, route: str, name: str) -> None:
    response = await api.get(route + name)
    assert (response.status_code, response.json()["code"]) == (400, "bad_id")
    assert "1 to 64 characters" in response.json()["detail"]


async def test_a_device_never_seen(api: httpx.AsyncClient, database_url: str) -> None:
    """A meter's id does not make a vehicle known, nor the other way round."""
    await write(database_url, [meter(1, 1.0, "only-meter"), vehicle(1, 1.0, "only-vehicle")])
    problem(await api.get("/v1/analytics/performance/only-meter"), 404, "vehicle_not_found")
    problem(await api.get("/v1/vehicles/only-meter"), 404, "vehicle_not_found")
    problem(await api.get("/v1/meters/only-vehicle"), 404, "meter_not_found")


async def test_live_routes_take_no_parameters(api: httpx.AsyncClient) -> None:
    body = problem(await api.get("/v1/vehicles/v-1?at=now"), 400, "unknown_parameter")
    assert "it takes none" in body["detail"]
    problem(await api.get("/v1/meters/m-1?at=now"), 400, "unknown_parameter")


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/vehicles/a/b", "/v1/vehicles/v-1/", "/v1/vehicles/", "/nothing"])
async def test_no_such_route(api: httpx.AsyncClient, path: str) -> None:
    problem(await api.get(path), 404, "not_found")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
@pytest.mark.parametrize("path", [PERFORMANCE, "/healthz"])
async def test_a_method_that_the_route_does_not_have(api: httpx.AsyncClient, method: str, path: str) -> None:
    response = await api.request(method, path)
    problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"


async def test_a_request_id_is_made_or_taken_over(api: httpx.AsyncClient) -> None:
    made = [(await api.get("/healthz")).headers["x-request-id"] for _ in range(2)]
    assert made[0] != made[1]
    taken = await api.get("/v1/nothing", headers={"X-Request-Id": "trace-1"})
    assert problem(taken, 404, "not_found")["requestId"] == "trace-1"
    refused = await api.get("/healthz", headers={"X-Request-Id": "no spaces, please"})
    assert refused.headers["x-request-id"] != "no spaces, please"


@pytest.mark.parametrize("path", [PERFORMANCE, "/v1/vehicles/v-1"], ids=["in the reader", "in the answer"])
async def test_a_fault_says_nothing_of_the_inside_and_is_logged_under_its_id(path: str) -> None:
    async with client_of(cast("Reader", BrokenReader()), now=NOW) as api:
        with capture_logs() as logs:
            response = await api.get(path)
        scrape = (await api.get("/metrics")).text
    body = problem(response, 500, "internal_error")
    assert "secret" not in response.text
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("request_failed", "error")]
    assert logs[0]["exc_info"]
    assert 'status="500"' in scrape
    assert body["requestId"]
