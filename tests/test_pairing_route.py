"""GET /v1/analytics/pairing, from a real database."""

from datetime import datetime
from typing import Any

import asyncpg
import httpx
import pytest

from http_support import api_on, at, write
from pairing_support import LATER, MINUTES, MORNING, OTHER, link, pair

ROUTE = "/v1/analytics/pairing"
NOW = at(MINUTES)


async def get(url: str, **query: str) -> httpx.Response:
    """The response of an application whose clock stands at the end of what was written."""
    async with api_on(url, now=NOW) as api:
        return await api.get(ROUTE, params=query)


async def fill(url: str) -> None:
    """v-1 and v-2 have each other's meters, v-3 its own, v-4 none."""
    fleet = [
        pair(1, MORNING, meter_at="cp-2"),
        pair(2, OTHER, meter_at="cp-1"),
        pair(3, LATER),
        pair(4, [(20, 130, 7.4)], meter_at="m-4"),
    ]
    await write(url, [reading for one in fleet for reading in one])


def by_vehicle(body: dict[str, Any]) -> dict[str, Any]:
    """The findings by vehicle."""
    return {finding["vehicleId"]: finding for finding in body["findings"]}


async def test_the_answer_on_the_wire(database_url: str) -> None:
    await fill(database_url)
    response = await get(database_url)
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {"window", "vehicles", "judged", "notJudged", "found", "findings"}
    assert datetime.fromisoformat(body["window"]["from"]) == at(MINUTES - 24 * 60)
    assert datetime.fromisoformat(body["window"]["to"]) == NOW
    assert (body["vehicles"], body["judged"], body["notJudged"], body["found"]) == (4, 4, {}, 3)
    found = by_vehicle(body)
    assert {name: one["kind"] for name, one in found.items()} == {
        "v-1": "mispaired",
        "v-2": "mispaired",
        "v-4": "unmetered",
    }
    one = found["v-1"]
    assert (one["presentMeterId"], one["suggestedMeterId"], one["swappedWith"]) == ("m-2", "m-1", "v-2")
    assert set(one["evidence"]) == {
        "slots", "sessions", "presentError", "suggestedError", "margin", "nextError", "presentRatio", "suggestedRatio",
    }  # fmt: skip
    assert one["suggestion"] == {
        "vehicleId": "v-1",
        "meterId": "m-1",
        "validFrom": body["window"]["from"],
        "validTo": None,
    }
    assert found["v-4"]["presentMeterId"] is None
    assert one["sentence"].startswith("The charging of v-1 follows meter m-1")


async def test_a_suggestion_that_is_followed_is_not_made_again(database_url: str, db: asyncpg.Connection) -> None:
    await fill(database_url)
    for finding in (await get(database_url)).json()["findings"]:
        await link(db, finding["suggestion"]["vehicleId"], finding["suggestion"]["meterId"])
    body = (await get(database_url)).json()
    assert (body["judged"], body["found"]) == (4, 0)


async def test_one_vehicle_a_limit_and_a_window(database_url: str) -> None:
    await fill(database_url)
    alone = (await get(database_url, vehicleId="v-2")).json()
    assert (alone["vehicles"], alone["found"], [*by_vehicle(alone)]) == (1, 1, ["v-2"])
    first = (await get(database_url, limit="1")).json()
    assert (first["found"], len(first["findings"])) == (3, 1)
    before = (await get(database_url, to=at(-300).isoformat())).json()
    assert (before["found"], before["notJudged"]) == (0, {"did_not_charge": 4})
    inside = (await get(database_url, **{"from": at(7).isoformat()})).json()
    assert datetime.fromisoformat(inside["window"]["from"]) == at(0)  # the beginning of the bucket


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"limit": "0"}, 400, "bad_number"),
        ({"limit": "1001"}, 400, "bad_number"),
        ({"limit": "many"}, 400, "bad_number"),
        ({"limit": "²"}, 400, "bad_number"),
        ({"vehicleId": "no spaces"}, 400, "bad_id"),
        ({"vehicleId": "v-9"}, 404, "vehicle_not_found"),
        ({"from": at(MINUTES - 3 * 24 * 60 - 1).isoformat()}, 400, "window_too_long"),
        ({"from": "yesterday"}, 400, "bad_time"),
        ({"vehicle": "v-1"}, 400, "unknown_parameter"),
    ],
)
async def test_what_is_refused(database_url: str, query: dict[str, str], status: int, code: str) -> None:
    response = await get(database_url, **query)
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_three_days_are_answered(database_url: str) -> None:
    await fill(database_url)
    body = (await get(database_url, **{"from": at(MINUTES - 3 * 24 * 60).isoformat()})).json()
    assert body["found"] == 3
