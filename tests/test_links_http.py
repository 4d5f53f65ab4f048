"""The routes of links: look, put, delete, and every way to put it wrongly."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest
from structlog.testing import capture_logs

from declarations_support import DEFAULTS, roll
from gateway_harness import eventually
from http_service_support import answers, environ, sidecar
from http_support import Json, at, links_api, meter, problem, vehicle, write
from joulegate_cli.local.ports import free_port
from joulegate_core.settings import load_settings
from joulegate_db import link_store
from joulegate_db.declarations import declarations_locked
from joulegate_db.reader import open_reader
from joulegate_db.rollups import Rollups
from joulegate_http.app import create_app
from joulegate_http.metrics import Metrics
from joulegate_http.service import run_http

LINK: Json = {"vehicleId": "v-1", "meterId": "m-1", "validFrom": "2026-05-01T00:00:00Z", "validTo": None}


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that takes changes."""
    async with links_api(database_url) as client:
        yield client


async def test_the_life_of_a_link(api: httpx.AsyncClient) -> None:
    created = await api.put("/v1/links", json=LINK)
    assert created.status_code == 201
    link = created.json()
    assert set(link) == {"id", "vehicleId", "meterId", "validFrom", "validTo", "createdAt"}
    assert LINK.items() <= link.items()
    location = created.headers["location"]
    assert location == f"/v1/links/{link['id']}"
    assert created.headers["cache-control"] == "no-store"
    again = await api.put("/v1/links", json={**LINK, "validFrom": "2026-05-01T02:00:00+02:00"})
    assert (again.status_code, again.json(), again.headers["location"]) == (200, link, location)
    ended = await api.put("/v1/links", json={**LINK, "validTo": "2026-05-02T00:00:00.000001Z"})
    assert (ended.status_code, ended.json()) == (200, {**link, "validTo": "2026-05-02T00:00:00.000001Z"})
    assert (await api.get(location)).json() == ended.json()
    assert (await api.get("/v1/links")).json() == {"links": [ended.json()], "nextCursor": None}
    gone = await api.delete(location)
    assert (gone.status_code, gone.content) == (204, b"")
    problem(await api.get(location), 404, "link_not_found")
    problem(await api.delete(location), 404, "link_not_found")


async def test_a_conflict_names_the_link_in_the_way(api: httpx.AsyncClient) -> None:
    obstacle = (await api.put("/v1/links", json=LINK)).json()
    response = await api.put("/v1/links", json={**LINK, "vehicleId": "v-2", "validFrom": "2026-06-01T00:00:00Z"})
    body = response.json()
    assert (response.status_code, body["code"]) == (409, "link_conflict")
    assert response.headers["content-type"] == "application/problem+json"
    assert "Meter m-1 is linked to vehicle v-1 from 2026-05-01T00:00:00Z on, without end" in body["detail"]
    assert body["link"] == obstacle
    assert len((await api.get("/v1/links")).json()["links"]) == 1


async def test_pages_and_filters(api: httpx.AsyncClient) -> None:
    for number in range(7):
        span = {"validFrom": f"2026-05-0{number + 1}T00:00:00Z", "validTo": f"2026-05-0{number + 2}T00:00:00Z"}
        await api.put("/v1/links", json={"vehicleId": f"v-{number % 2}", "meterId": f"m-{number}", **span})
    seen = []
    cursor: str | None = "0"
    while cursor is not None:
        page = (await api.get("/v1/links", params={"limit": "3", "cursor": cursor})).json()
        cursor = page["nextCursor"]
        seen.append([link["meterId"] for link in page["links"]])
    assert seen == [["m-0", "m-1", "m-2"], ["m-3", "m-4", "m-5"], ["m-6"]]

    async def meters(**query: str) -> list[str]:
        return [link["meterId"] for link in (await api.get("/v1/links", params=query)).json()["links"]]

    assert await meters(vehicleId="v-1") == ["m-1", "m-3", "m-5"]
    assert await meters(vehicleId="v-1", meterId="m-3") == ["m-3"]
    assert await meters(meterId="m-9") == []
    assert await meters(at="2026-05-03T00:00:00Z") == ["m-2"]
    assert await meters(at="2026-05-03T01:59:59+02:00") == ["m-1"]
    exact = (await api.get("/v1/links", params={"limit": "7"})).json()
    assert (len(exact["links"]), exact["nextCursor"]) == (7, None)


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"vehicleId": "a b"}, "bad_id", "vehicleId has 1 to 64 characters"),
        ({"meterId": ""}, "bad_id", "meterId has 1 to 64 characters"),
        ({"meterId": 7}, "bad_field", "meterId: Expected `str`, got `int`"),
        ({"validFrom": "2026-05-01"}, "bad_field", "validFrom: Expected an RFC 3339 time"),
        ({"validFrom": "2026-05-01T00:00:00"}, "bad_field", "validFrom: Expected a time with an offset"),
        ({"validTo": "2026-05-01T00:00:00"}, "bad_field", "validTo: Expected a time with an offset"),
        ({"validTo": 5}, "bad_field", "validTo: Expected"),
        ({"validFrom": None}, "bad_field", "validFrom: Expected"),
        ({"validFrom": "0001-01-01T00:00:00Z"}, "time_out_of_range", "validFrom must be between the years 1970"),
        ({"validTo": "9999-12-31T23:00:00-05:00"}, "time_out_of_range", "validTo must be between"),
        ({"validTo": LINK["validFrom"]}, "empty_validity", "validTo must be after validFrom"),
        ({"validTo": "2026-05-01T00:00:00+05:00"}, "empty_validity", "validTo must be after validFrom"),
        ({"validto": None}, "bad_field", "`validto`"),
    ],
)
async def test_every_rule_of_the_body(api: httpx.AsyncClient, change: Json, code: str, says: str) -> None:
    body = problem(await api.put("/v1/links", json={**LINK, **change}), 400, code)
    assert says in body["detail"]


@pytest.mark.parametrize("name", ["vehicleId", "meterId", "validFrom"])
async def test_a_field_that_is_missing_is_named(api: httpx.AsyncClient, name: str) -> None:
    body = problem(await api.put("/v1/links", json={k: v for k, v in LINK.items() if k != name}), 400, "bad_field")
    assert f"`{name}`" in body["detail"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"vehicleId": "\xff"}', b"{} {}"[1:], b"nul"])
async def test_what_is_not_json(api: httpx.AsyncClient, content: bytes) -> None:
    response = await api.put("/v1/links", content=content, headers={"Content-Type": "application/json; charset=utf-8"})
    problem(response, 400, "bad_json")


async def test_other_media_types_and_sizes(api: httpx.AsyncClient) -> None:
    for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/json-seq"}):
        problem(await api.put("/v1/links", content=b"{}", headers=headers), 415, "unsupported_media_type")
    full = b'{"vehicleId": "' + b"x" * 8177
    of_json = {"Content-Type": "application/json"}
    problem(await api.put("/v1/links", content=full, headers=of_json), 400, "bad_json")
    problem(await api.put("/v1/links", content=full + b"x", headers=of_json), 413, "body_too_large")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "bad_number"), ("limit=1001", "bad_number"), ("limit=-1", "bad_number"), ("limit=%D9%A3", "bad_number"),
        ("cursor=x", "bad_number"), ("cursor=99999999999999999999", "bad_number"), ("at=now", "bad_time"),
        ("at=2026-05-01T00:00:00", "naive_time"), ("vehicleId=a%20b", "bad_id"), ("meterId=", "bad_id"),
        ("vehicle=v-1", "unknown_parameter"), ("limit=1&limit=2", "repeated_parameter"),
    ],
)  # fmt: skip
async def test_every_rule_of_the_query(api: httpx.AsyncClient, query: str, code: str) -> None:
    problem(await api.get(f"/v1/links?{query}"), 400, code)


async def test_paths_and_methods(api: httpx.AsyncClient) -> None:
    for number in ("0", "x", "9" * 30, "-1", "%00"):
        problem(await api.get(f"/v1/links/{number}"), 404, "link_not_found")
    assert (await api.head("/v1/links")).status_code == 200
    for path, method, allowed in (
        ("/v1/links", "DELETE", "GET, HEAD, OPTIONS, PUT"),
        ("/v1/links/1", "PUT", "DELETE, GET, HEAD, OPTIONS"),
    ):
        response = await api.request(method, path)
        problem(response, 405, "method_not_allowed")
        assert response.headers["allow"] == allowed
    problem(await api.put("/v1/links?x=1", json=LINK), 400, "unknown_parameter")
    problem(await api.delete("/v1/links/1?x=1"), 400, "unknown_parameter")


async def test_a_put_counts_in_the_next_answer(api: httpx.AsyncClient, database_url: str) -> None:
    """A vehicle whose meter is elsewhere: AC is unknown, until the link, and again when it is deleted. All of it was rolled before."""
    await write(database_url, [r for m in range(30) for r in (meter(m, 1.0, cp="cellar"), vehicle(m, 0.9))])
    connection = await asyncpg.connect(database_url)
    await roll(Rollups(connection, DEFAULTS), 60)
    await connection.close()
    path = f"/v1/analytics/performance/v-1?from={at(0).isoformat()}&to={at(60).isoformat()}"
    assert (await api.get(path)).json()["totalKwhConsumedAc"] is None
    put = await api.put("/v1/links", json={**LINK, "validFrom": at(10).isoformat()})
    linked = (await api.get(path)).json()
    assert (linked["totalKwhConsumedAc"], linked["quality"]["pairing"]) == (20.0, "link")
    await api.delete(put.headers["location"])
    assert (await api.get(path)).json()["totalKwhConsumedAc"] is None


async def test_an_outage_and_a_long_import_ask_to_try_again(
    database_url: str, db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with links_api("postgresql://joulegate@127.0.0.1:1/none") as down:
        response = await down.put("/v1/links", json=LINK)
    problem(response, 503, "database_unavailable")
    assert response.headers["retry-after"] == "5"
    monkeypatch.setitem(link_store.SETTINGS, "lock_timeout", "100ms")
    async with links_api(database_url) as api:
        async with declarations_locked(db):
            problem(await api.put("/v1/links", json=LINK), 503, "database_unavailable")
            assert (await api.get("/v1/links")).json()["links"] == []
        assert (await api.put("/v1/links", json=LINK)).status_code == 201


async def test_without_a_store_there_are_no_such_routes(database_url: str) -> None:
    async with open_reader(database_url) as reader:
        transport = httpx.ASGITransport(app=create_app(reader, lambda: at(0), Metrics()))
        async with httpx.AsyncClient(transport=transport, base_url="http://joulegate") as client:
            problem(await client.get("/v1/links"), 404, "not_found")


async def test_the_service_writes_to_the_database_and_not_to_the_readers(database_url: str) -> None:
    """JOULEGATE_READ_DATABASE_URL may name a replica: what was put is found at once, and the replica is not asked."""
    nowhere = "postgresql://joulegate@127.0.0.1:1/none"
    async with links_api(database_url) as direct:
        link = (await direct.put("/v1/links", json=LINK)).json()
    async with sidecar(database_url) as client:
        assert (await client.put("/v1/links", json=LINK)).json() == link
    with capture_logs():
        port, stop = free_port(), asyncio.Event()
        settings = load_settings(environ(port, database_url, JOULEGATE_READ_DATABASE_URL=nowhere))
        running = asyncio.create_task(run_http(settings, stop))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            await eventually(lambda: answers(client, running))
            assert (await client.get(f"/v1/links/{link['id']}")).json() == link
            assert (await client.delete(f"/v1/links/{link['id']}")).status_code == 204
            stop.set()
            await running
