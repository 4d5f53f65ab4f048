"""Who may call what: tokens and roles on every operation, and the bound on costly questions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from http_support import TEN, BrokenReader, at, problem, vehicle, write
from joulegate_core.tokens import parse_tokens
from joulegate_db.link_store import open_link_store
from joulegate_db.reader import Reader, open_reader
from joulegate_http.app import create_app
from joulegate_http.codes import Code
from joulegate_http.gate import Gate, RateLimiter
from joulegate_http.metrics import Metrics
from joulegate_http.operation import Operation
from joulegate_http.parameters import Parameters
from openapi_support import Contract

READ, OPERATE = "a-token-that-may-read", "a-token-that-may-operate"
TOKENS = parse_tokens(f"wall:read:{READ},ops:operate:{OPERATE}")
LINK = {"vehicleId": "v-1", "meterId": "m-1", "validFrom": "2026-05-01T00:00:00Z"}
PUBLIC = {"/healthz", "/readyz", "/metrics", "/openapi.json"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def guarded(url: str, *, rate: float = 0, reader: Reader | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client, without a token, of an application that asks for one."""
    async with open_reader(url) as own, open_link_store(url) as links:
        now = TEN + timedelta(hours=2)
        app = create_app(reader or own, lambda: now, Metrics(), links, gate=Gate(TOKENS, rate))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://joulegate") as client:
            yield client


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with guarded(database_url) as client:
        yield client


async def test_every_operation_asks_for_what_the_document_says(api: httpx.AsyncClient) -> None:
    """No token, a wrong one, one that is too small, and one that does: on each operation that there is."""
    contract = await Contract.of(api)
    seen = set()
    for operation in contract.operations.values():
        path, method = (
            operation["path"].replace("{linkId}", "7").replace("{vehicleId}", "v").replace("{meterId}", "m"),
            operation["method"],
        )
        if not operation["security"]:
            assert (await api.request(method, path)).status_code == 200
            seen.add(path)
            continue
        for given, challenge in (
            ({}, 'Bearer realm="joulegate"'),
            (bearer(READ + "x"), 'Bearer realm="joulegate", error="invalid_token"'),
        ):
            response = contract.check(await api.request(method, path, headers=given))
            problem(response, 401, "unauthorized")
            assert response.headers["www-authenticate"] == challenge
        role = operation["security"][0]["token"][0]
        assert len(operation["security"]) == 1
        assert role == ("read" if method == "GET" else "operate")
        reading = await api.request(method, path, headers=bearer(READ))
        if role == "operate":
            assert problem(contract.check(reading), 403, "forbidden")["detail"].startswith(
                "The token wall has the role read;"
            )
            expected = 'Bearer realm="joulegate", error="insufficient_scope", scope="operate"'
            assert reading.headers["www-authenticate"] == expected
        else:
            assert reading.status_code in {200, 404}
        assert (await api.request(method, path, headers=bearer(OPERATE))).status_code in {200, 404, 415}
    assert seen == PUBLIC


async def test_what_is_refused_changes_nothing(api: httpx.AsyncClient) -> None:
    created = await api.put("/v1/links", json=LINK, headers=bearer(OPERATE))
    assert created.status_code == 201
    for headers in ({}, bearer(READ)):
        assert (await api.put("/v1/links", json=LINK | {"meterId": "m-2"}, headers=headers)).status_code in {401, 403}
        assert (await api.delete(created.headers["location"], headers=headers)).status_code in {401, 403}
    [link] = (await api.get("/v1/links", headers=bearer(READ))).json()["links"]
    assert link["meterId"] == "m-1"


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (f"bearer {READ}", 200),
        (f"Bearer   {READ} ", 200),
        ("Bearer", 401),
        ("Bearer ", 401),
        (f"Basic {READ}", 401),
        (READ, 401),
        (f"Bearer {READ}, Bearer {READ}", 401),
        (f"Bearer wall:read:{READ}", 401),
        ("Bearer \x80\xff", 401),
    ],
)
async def test_how_a_token_is_sent(api: httpx.AsyncClient, value: str, status: int) -> None:
    headers = [(b"authorization", value.encode("latin-1"))]
    assert (await api.get("/v1/links", headers=headers)).status_code == status


async def test_a_token_in_the_query_is_not_taken(api: httpx.AsyncClient) -> None:
    assert (await api.get(f"/v1/links?access_token={READ}")).status_code == 401


async def test_two_headers_are_not_one_token(api: httpx.AsyncClient) -> None:
    headers = [("Authorization", f"Bearer {READ}"), ("Authorization", f"Bearer {OPERATE}")]
    assert (await api.get("/v1/links", headers=headers)).status_code == 401


async def test_the_log_has_the_tokens_name_and_never_the_token(database_url: str) -> None:
    broken: Reader = BrokenReader()  # type: ignore[assignment]
    async with guarded(database_url, reader=broken) as api:
        with capture_logs(processors=[merge_contextvars]) as logs:
            response = await api.get("/v1/analytics/performance/v-1", headers=bearer(READ))
    assert response.status_code == 500
    assert logs[0]["token"] == "wall"
    assert READ not in str(logs)


async def test_without_tokens_the_pages_of_others_change_nothing(database_url: str) -> None:
    """They need not even be able to read the answer for that: so it is refused before."""
    mine, other = "http://joulegate", "https://fleet.example"
    for origins, allowed in ((frozenset[str](), {None, mine}), (frozenset({other}), {None, mine, other})):
        async with open_reader(database_url) as reader, open_link_store(database_url) as links:
            app = create_app(reader, lambda: at(0), Metrics(), links, gate=Gate(origins=origins))
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=mine) as api:
                for origin in (None, mine, other, "http://joulegate:8080", "null"):
                    headers = {"Origin": origin} if origin else {}
                    response = await api.delete("/v1/links/7", headers=headers)
                    assert response.status_code == (404 if origin in allowed else 403), origin
                    assert (await api.get("/v1/links", headers=headers)).status_code == 200


async def test_without_tokens_the_document_says_that_none_is_needed(database_url: str) -> None:
    async with open_reader(database_url) as reader:
        transport = httpx.ASGITransport(app=create_app(reader, lambda: at(0), Metrics()))
        async with httpx.AsyncClient(transport=transport, base_url="http://joulegate") as api:
            contract = await Contract.of(api)
            assert (await api.get("/v1/alerts", headers=bearer("whatever-it-is"))).status_code == 200
    operation = contract.operations["listAlerts"]
    assert operation["security"] == [{"token": ["read"]}, {}]


def test_whatever_is_added_under_v1_asks_for_a_token() -> None:
    async def act(_: Parameters) -> None: ...

    kinds = {"method": "POST", "handler": act, "tag": "operations", "summary": "x", "answer": None}
    assert Operation(path="/v1/anything", **kinds).role == "operate"  # type: ignore[arg-type]
    assert Operation(path="/v1/anything", **kinds | {"method": "GET"}).role == "read"  # type: ignore[arg-type]
    assert Operation(path="/anything", **kinds | {"method": "GET"}).role is None  # type: ignore[arg-type]


async def test_costly_questions_are_bounded_for_each_token(database_url: str) -> None:
    await write(database_url, [vehicle(1, 1.0)])
    async with guarded(database_url, rate=0.5) as api:
        contract = await Contract.of(api)
        for _ in range(2):  # what is refused for another reason costs nothing
            assert (await api.get("/v1/analytics/pairing?limit=0", headers=bearer(READ))).status_code == 400
            assert (await api.get("/v1/analytics/pairing")).status_code == 401
        assert (await api.get("/v1/analytics/pairing", headers=bearer(READ))).status_code == 200
        for path, seconds in (("/v1/analytics/pairing", 20), ("/v1/analytics/fleet", 4)):
            response = contract.check(await api.get(path, headers=bearer(READ)))
            problem(response, 429, "rate_limited")
            assert response.headers["retry-after"] == str(seconds)
        assert (await api.get("/v1/analytics/performance/v-1", headers=bearer(READ))).status_code == 200
        assert (await api.get("/v1/analytics/pairing", headers=bearer(OPERATE))).status_code == 200


class Hand:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_fills_again_and_never_over() -> None:
    clock = Hand()
    limiter = RateLimiter(2, clock=clock)
    assert [limiter.wait("a", 5) for _ in range(4)] == [0, 0, 0, 0]
    assert limiter.wait("a", 5) == 2.5
    assert limiter.wait("b", 5) == 0
    clock.now += 2
    assert limiter.wait("a", 5) == 0.5
    clock.now += 0.5
    assert limiter.wait("a", 5) == 0
    clock.now += 3600
    assert [limiter.wait("a", 20), limiter.wait("a", 1)] == [0, 0.5]


def test_a_small_rate_allows_the_dearest_question_and_0_allows_all() -> None:
    clock = Hand()
    assert RateLimiter(0.001, clock=clock).wait("a", 10) == 0
    free = RateLimiter(0, clock=clock)
    assert all(free.wait("a", 10) == 0 for _ in range(1000))
    assert len(free) == 0


def test_callers_are_forgotten_in_the_order_of_their_last_question() -> None:
    limiter = RateLimiter(1, clock=Hand(), most_callers=3)
    for caller in ("a", "b", "c", "a", "d"):
        limiter.wait(caller, 6)
    assert len(limiter) == 3
    assert limiter.wait("a", 6) > 0, "it asked again, and is remembered"
    assert limiter.wait("b", 6) == 0


def test_the_codes_are_those_of_the_contract() -> None:
    assert (Code.UNAUTHORIZED, Code.FORBIDDEN) == ("unauthorized", "forbidden")
