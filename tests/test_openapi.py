"""The document at /openapi.json: valid, complete, and true of what the routes answer."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from starlette.routing import Route

from http_support import api_on, at, links_api
from joulegate_cli.replaying import replayer_of
from joulegate_core.settings import load_settings
from joulegate_db.link_store import open_link_store
from joulegate_db.reader import open_reader
from joulegate_http.app import create_app
from joulegate_http.codes import Code
from joulegate_http.metrics import Metrics
from joulegate_http.stream_hub import Hub
from openapi_support import SEEDED_UNTIL, Contract, seed
from quarantine_support import refuse

DOCS = Path(__file__).parents[1] / "docs" / "api.md"
NOW = at(SEEDED_UNTIL)
LINK = {"vehicleId": "v-1", "meterId": "m-1", "validFrom": "2026-05-01T00:00:00Z"}
BEFORE_ROUTING = {Code.METHOD_NOT_ALLOWED, Code.MALFORMED_REQUEST, Code.URL_TOO_LONG, Code.HEADERS_TOO_LARGE}
"""What is answered before there is an operation."""


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application with all its routes."""
    async with links_api(database_url, now=NOW) as client:
        yield client


@pytest.fixture
async def contract(api: httpx.AsyncClient) -> Contract:
    """What the application says of itself."""
    return await Contract.of(api)


async def test_it_is_a_valid_document_that_is_made_once(api: httpx.AsyncClient, contract: Contract) -> None:
    OPENAPI_31_VALIDATOR.validate(contract.document)
    assert (await api.get("/openapi.json")).json() == contract.document
    names = [one["operationId"] for methods in contract.document["paths"].values() for one in methods.values()]
    assert len(names) == len(set(names))


async def test_every_route_is_in_it_and_nothing_else(database_url: str, contract: Contract) -> None:
    async with open_reader(database_url) as reader, open_link_store(database_url) as links:
        metrics = Metrics()
        hub = Hub(reader, database_url, lambda: NOW, metrics)
        replayer = replayer_of(load_settings({}))
        routes = create_app(reader, lambda: NOW, metrics, links, hub=hub, replayer=replayer).routes
    served = {
        (method, route.path)
        for route in routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert served == {(one["method"], one["path"]) for one in contract.operations.values()}
    assert len(served) > len({path for _, path in served}) == len(routes)


async def test_without_a_store_of_links_it_has_none(database_url: str) -> None:
    async with api_on(database_url, now=NOW) as api:
        document = (await Contract.of(api)).document
    assert not [path for path in document["paths"] if "links" in path]
    assert "Links" not in document["components"]["schemas"]


async def test_what_is_answered_is_what_it_says(api: httpx.AsyncClient, contract: Contract, database_url: str) -> None:
    """Every operation gives every success that it declares, of exactly the declared form."""
    await seed(database_url)
    window = {"from": at(0).isoformat(), "to": NOW.isoformat()}
    created = contract.check(await api.put("/v1/links", json=LINK))
    contract.check(await api.put("/v1/links", json=LINK | {"validTo": "2026-05-02T00:00:00Z"}))
    asked: list[tuple[str, dict[str, str]]] = [
        ("/v1/analytics/performance/v-1", window),
        ("/v1/analytics/performance/v-1", {"to": at(-5000).isoformat()}),
        ("/v1/analytics/performance/v-1/series", window | {"bucket": "15m"}),
        ("/v1/analytics/pairing", window),
        ("/v1/analytics/fleet", {}),
        ("/v1/analytics/fleet", window),
        ("/v1/alerts", {"state": "open", "kind": "low_efficiency", "device": "v-2"}),
        ("/v1/vehicles", {"charging": "true", "stale": "false", "status": "degraded", "limit": "1"}),
        ("/v1/meters", {"limit": "1"}),
        ("/v1/vehicles/v-1", {}),
        ("/v1/meters/m-1", {}),
        ("/v1/links", {"vehicleId": "v-1", "at": LINK["validFrom"]}),
        (created.headers["location"], {}),
        ("/healthz", {}),
        ("/readyz", {}),
        ("/metrics", {}),
        ("/v1/gateways", {}),
        ("/v1/quarantine", {"reason": "too_old"}),
        ("/openapi.json", {}),
    ]
    contract.check(await api.head("/v1/stream"))  # without end: its events are held against the schemas in test_stream
    for path, query in asked:
        contract.check(await api.head(path, params=query))
        contract.check(await api.get(path, params=query))
    contract.check(await api.delete(created.headers["location"]))
    contract.check(await api.post(f"/v1/quarantine/{await refuse(database_url)}/replay"))
    declared = {
        (name, int(status))
        for name, one in contract.operations.items()
        for status in one["responses"]
        if int(status) < 300
    }
    assert contract.seen == declared


async def test_lists_are_not_checked_empty(api: httpx.AsyncClient, database_url: str) -> None:
    """The answers above have something in them."""
    await seed(database_url)
    fleet = (await api.get("/v1/analytics/fleet")).json()
    assert [one["vehicleId"] for one in fleet["worst"]][:1] == ["v-2"]
    [alert] = (await api.get("/v1/alerts")).json()["alerts"]
    assert alert["device"] == "v-2"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/analytics/performance/no one", 400),
        ("GET", "/v1/analytics/performance/nobody", 404),
        ("GET", "/v1/analytics/performance/nobody/series?bucket=5m", 400),
        ("GET", "/v1/analytics/performance/nobody/series", 404),
        ("GET", "/v1/analytics/pairing?limit=0", 400),
        ("GET", "/v1/analytics/pairing?vehicleId=nobody", 404),
        ("GET", "/v1/analytics/fleet?worst=-1", 400),
        ("GET", "/v1/alerts?state=ajar", 400),
        ("GET", "/v1/vehicles?charging=perhaps", 400),
        ("GET", "/v1/stream?kinds=vehicles,weather", 400),
        ("GET", "/v1/stream?vehicleId=no one", 400),
        ("GET", "/v1/gateways?x=1", 400),
        ("GET", "/v1/quarantine?reason=whim", 400),
        ("POST", "/v1/quarantine/7/replay", 404),
        ("POST", "/v1/quarantine/x/replay", 404),
        ("GET", "/v1/meters?cursor=no one", 400),
        ("GET", "/v1/vehicles/nobody?x=1", 400),
        ("GET", "/v1/vehicles/nobody", 404),
        ("GET", "/v1/meters/nobody", 404),
        ("GET", "/v1/links?at=noon", 400),
        ("GET", "/v1/links/7", 404),
        ("DELETE", "/v1/links/7", 404),
        ("PUT", "/v1/links", 415),
        ("GET", "/healthz?x=1", 400),
    ],
)
async def test_problems_are_declared_with_their_codes(
    api: httpx.AsyncClient, contract: Contract, method: str, path: str, status: int
) -> None:
    response = contract.check(await api.request(method, path))
    assert response.status_code == status


async def test_a_conflict_is_declared_with_the_link_in_the_way(api: httpx.AsyncClient, contract: Contract) -> None:
    await api.put("/v1/links", json=LINK)
    response = contract.check(await api.put("/v1/links", json=LINK | {"vehicleId": "v-2"}))
    assert response.json()["link"]["vehicleId"] == "v-1"


async def test_an_outage_is_declared_with_retry_after() -> None:
    async with links_api("postgresql://joulegate@127.0.0.1:1/none", now=NOW) as api:
        contract = await Contract.of(api)
        for path in ("/v1/vehicles/v-1", "/v1/links", "/readyz"):
            assert contract.check(await api.get(path)).status_code == 503
        for operation in contract.operations.values():
            assert "Retry-After" in operation["responses"]["503"]["headers"]


async def test_limits_are_those_that_are_kept(api: httpx.AsyncClient, contract: Contract) -> None:
    """Every whole number is taken at its documented ends and refused beyond them; every choice is taken."""
    tried = 0
    for operation in contract.operations.values():
        for one in operation.get("parameters", []):
            schema = one["schema"]
            if one["in"] == "path" or not {"minimum", "enum"} & schema.keys():
                continue
            least, most = schema.get("minimum", 0), schema.get("maximum", 0)
            good = schema.get("enum", [least, most])
            path = operation["path"].replace("{vehicleId}", "nobody")
            refused = {"bad_number", "bad_choice"}
            for value in good:
                assert (await api.get(path, params={one["name"]: value})).json().get("code") not in refused
            for value in (least - 1, most + 1):
                assert (await api.get(path, params={one["name"]: value})).json()["code"] in refused
            tried += 1
    assert tried >= 6


async def test_every_code_is_given_by_some_operation_and_explained(contract: Contract) -> None:
    problem = re.compile(r"^- `(\w+)`: ", re.MULTILINE)
    declared = {
        code
        for one in contract.operations.values()
        for response in one["responses"].values()
        for code in problem.findall(response["description"])
    }
    assert declared | BEFORE_ROUTING == set(Code)
    explained = set(re.findall(r"^\| \d{3} \| `(\w+)` \|", DOCS.read_text(), re.MULTILINE))
    assert explained == set(Code)


async def test_everything_is_described(contract: Contract) -> None:
    for one in contract.operations.values():
        assert one["summary"]
        assert one["tags"][0] in {tag["name"] for tag in contract.document["tags"]}
        assert all(parameter["description"] for parameter in one.get("parameters", []))
    assert all(schema["description"] for schema in contract.document["components"]["schemas"].values())
