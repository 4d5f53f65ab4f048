"""Pages of vehicles and meters: complete, in order, filtered, with registers judged by their readings, and quick for a large fleet."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from fleet_support import plant
from http_support import Json, Reading, api_on, at, meter, vehicle, write
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.clock import utc_now
from joulegate_db.connect import READER_SETTINGS, connect
from joulegate_db.live import STALE_AFTER
from joulegate_db.performance import DEGRADED_UNDER
from joulegate_db.sql import query
from test_explain import Explained, buffers, nodes

LARGE = "t_state_lists"
DEVICES = 10_000
NOW = utc_now()

FILL = """
insert into vehicle_live (ts, received_at, kwh, battery_temp, soc, charging, device, charge_point)
select $1, $1, 1, 30, 50, n % 2 = 0, 'v-' || n, 'cp-' || n from generate_series(1, $2::int) as n order by random();
"""
FILL_DAY = """
insert into charging_24h (ac, dc, judged_ac, judged_dc, vehicle_readings, meter_readings, pairing, stale, vehicle)
select 10, 9, 10, 9, 1440, 1440, 2, false, 'v-' || n from generate_series(1, $1::int) as n order by random();
"""


@pytest.fixture(scope="module")
def large(postgres_server: LocalPostgres) -> Iterator[str]:
    """The URL of a database with 10,000 vehicles and what is known of their last 24 h."""
    asyncio.run(_fill(postgres_server))
    yield postgres_server.url(LARGE)
    asyncio.run(_drop(postgres_server))


async def _fill(server: LocalPostgres) -> None:
    maintenance = await asyncpg.connect(server.url())
    await maintenance.execute(f"create database {LARGE} template joulegate_template")
    await maintenance.close()
    connection = await asyncpg.connect(server.url(LARGE))
    await connection.execute(FILL, NOW, DEVICES)
    await connection.execute(FILL_DAY, DEVICES)
    await connection.execute("insert into devices (device, kind) select device, 'vehicle' from vehicle_live")
    await connection.execute("vacuum analyze")
    await connection.close()


async def _drop(server: LocalPostgres) -> None:
    maintenance = await asyncpg.connect(server.url())
    await maintenance.execute(f"drop database {LARGE} with (force)")
    await maintenance.close()


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Ten past ten: v-1 charges, v-2 does not, v-3 has not reported for too long; meters alike."""
    await write(database_url, _readings("v", vehicle) + _readings("m", meter))
    async with api_on(database_url, now=at(10)) as client:
        yield client


def _readings(letter: str, make: Any) -> list[Reading]:
    return [make(10, 1.0, f"{letter}-1"), make(9, 0.0, f"{letter}-2"), make(4.9, 1.0, f"{letter}-3")]


async def ids(api: httpx.AsyncClient, path: str, **query: Any) -> list[str]:
    """The ids of all pages."""
    key = path.rpartition("/")[2]
    found: list[str] = []
    while True:
        page = (await api.get(path, params=query)).json()
        found += [one[f"{key[:-1]}Id"] for one in page[key]]
        if page["nextCursor"] is None:
            return found
        assert len(page[key]) == query.get("limit", 100)
        query["cursor"] = page["nextCursor"]


@pytest.mark.parametrize(("path", "letter"), [("/v1/vehicles", "v"), ("/v1/meters", "m")])
async def test_pages_and_filters(api: httpx.AsyncClient, path: str, letter: str) -> None:
    names = {number: f"{letter}-{number}" for number in (1, 2, 3)}
    for asked, expected in (
        ({}, [1, 2, 3]),
        ({"limit": 1}, [1, 2, 3]),
        ({"limit": 2}, [1, 2, 3]),
        ({"limit": 3}, [1, 2, 3]),
        ({"charging": "true"}, [1]),
        ({"charging": "false", "limit": 1}, [2, 3]),
        ({"stale": "true"}, [3]),
        ({"stale": "false"}, [1, 2]),
        ({"stale": "false", "charging": "false"}, [2]),
    ):
        assert await ids(api, path, **asked) == [names[one] for one in expected], asked


async def test_a_list_says_what_a_single_answer_says(api: httpx.AsyncClient) -> None:
    listed = (await api.get("/v1/vehicles")).json()["vehicles"]
    for one in listed:
        single = (await api.get(f"/v1/vehicles/{one['vehicleId']}")).json()
        day = {"efficiencyRatio": None, "status": "unknown", "pairing": "none", "coverage": 0.0}
        assert one == single | day
    assert [one["stale"] for one in listed] == [False, False, True]
    meters = (await api.get("/v1/meters")).json()["meters"]
    assert meters == [(await api.get(f"/v1/meters/m-{number}")).json() for number in (1, 2, 3)]


async def test_the_last_day_is_in_it_and_statuses_are_those_of_the_fleet(database_url: str) -> None:
    pairs: list[Reading] = [
        reading
        for minute in range(-60, 0)
        for number, dc in ((1, 0.19), (2, 0.12), (3, 0.3))
        for reading in (
            meter(minute, 0.2, f"m-{number}", f"cp-{number}"),
            vehicle(minute, dc, f"v-{number}", f"cp-{number}"),
        )
    ]
    async with plant(database_url) as one:
        await one.write(*pairs, vehicle(-1, 0.1, "v-4", "cp-4"))
        await one.settle(0)
    async with api_on(database_url, now=at(0)) as client:
        rows: list[Json] = (await client.get("/v1/vehicles")).json()["vehicles"]
        counts = (await client.get("/v1/analytics/fleet")).json()["counts"]
        found = {row["vehicleId"]: (row["status"], row["pairing"]) for row in rows}
        for status in ("ok", "degraded", "implausible", "unknown"):
            assert len(await ids(client, "/v1/vehicles", status=status)) == counts[status] == 1
    assert found == {
        "v-1": ("ok", "exclusive"), "v-2": ("degraded", "exclusive"), "v-3": ("implausible", "exclusive"),
        "v-4": ("unknown", "none"),
    }  # fmt: skip
    assert rows[0]["efficiencyRatio"] == pytest.approx(0.95)
    assert rows[0]["coverage"] == pytest.approx(60 / 1440)


async def test_registers_charge_when_they_have_grown(database_url: str) -> None:
    """The live row's flag cannot know: pages are filled with those of which the readings say it."""
    grown = [vehicle(minute, 100 + minute, f"v-{n}") for n in range(8) for minute in (1, 2)]
    same = [vehicle(minute, 100, f"w-{n}") for n in range(8) for minute in (1, 2)]
    async with plant(database_url, energy="register") as one:
        await one.write(*grown, *same)
    async with api_on(database_url, now=at(2)) as client:
        assert await ids(client, "/v1/vehicles", charging="true", limit=3) == [f"v-{n}" for n in range(8)]
        assert await ids(client, "/v1/vehicles", charging="false", limit=3) == [f"w-{n}" for n in range(8)]
        assert await ids(client, "/v1/vehicles", charging="false", stale="true") == []


async def test_ten_pages_of_a_thousand_are_read_by_key(large: str) -> None:
    """Each page looks at its own rows and no more, and is quick; an offset would grow with the page."""
    connection = await connect(large, READER_SETTINGS)
    explained: Any = Explained(connection)
    after, seen, started = "", 0, time.perf_counter()
    while True:
        arguments = (after, 1001, NOW - STALE_AFTER, None, None, None, DEGRADED_UNDER, 1440)
        rows = await explained.fetch(query("live_page_vehicle"), *arguments)
        seen += min(len(rows), 1000)
        if len(rows) <= 1000:
            break
        after = rows[999]["vehicle_id"]
    seconds = time.perf_counter() - started
    await connection.close()
    assert (seen, len(explained.plans)) == (DEVICES, 10)
    # three index searches a row; a plan that began each page at the first id would look at 12,000 pages in the middle
    assert max(map(buffers, explained.plans)) <= 3 * 1001 + 100
    assert [node["Index Name"] for node in nodes(explained.plans[0]) if "live" in node.get("Index Name", "")]
    assert seconds < 5  # twice ten statements, with the explaining of one half; 0.3 s on an idle machine


async def test_all_of_a_large_fleet_comes_over_http(large: str) -> None:
    async with api_on(large, now=NOW + timedelta(minutes=1)) as client:
        found = await ids(client, "/v1/vehicles", limit=1000)
    assert found == sorted(f"v-{n}" for n in range(1, DEVICES + 1))


async def test_a_short_page_of_registers_takes_no_more_questions_than_a_long_one(
    database_url: str, db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a register charges only its readings say; none of these does, and each is looked at."""
    names = [f"m-{number:03}" for number in range(300)]
    await write(database_url, [meter(9, 7.0, name) for name in names] + [meter(10, 7.0, name) for name in names])
    await db.execute("update roll_state set meter_energy = 'register'")
    asked: list[str] = []
    fetch = asyncpg.Connection.fetch

    async def counted(connection: asyncpg.Connection, statement: str, *arguments: Any) -> Any:
        if statement == query("live_page_meter"):
            asked.append(statement)
        return await fetch(connection, statement, *arguments)

    monkeypatch.setattr(asyncpg.Connection, "fetch", counted)
    async with api_on(database_url, now=at(10)) as client:
        assert await ids(client, "/v1/meters", charging="true", limit=1) == []
        assert len(asked) == 2
        asked.clear()
        assert await ids(client, "/v1/meters", charging="false", limit=100) == names
        assert len((await client.get("/v1/meters", params={"limit": 1})).json()["meters"]) == 1
