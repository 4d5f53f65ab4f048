"""The series of a vehicle: the same answer in steps."""

from collections.abc import AsyncIterator

import httpx
import pytest

from http_support import Json, api_on, at, meter, vehicle, write
from test_http_answers import text

NOW = at(24 * 60)
SERIES = "/v1/analytics/performance/v-1/series"


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application on four hours of one pair, that a second vehicle joins for a quarter of an hour."""
    pair = [reading for m in range(7, 240) for reading in (meter(m, 1.0), vehicle(m, 0.9, temp=20 + m / 60))]
    await write(database_url, [*pair, vehicle(31, 0.9, "v-2")])
    async with api_on(database_url, now=NOW) as client:
        yield client


async def ask(api: httpx.AsyncClient, start: float, end: float, **parameters: str) -> Json:
    """A series that must be answered."""
    response = await api.get(SERIES, params={"from": text(at(start)), "to": text(at(end))} | parameters)
    assert response.status_code == 200, response.text
    body: Json = response.json()
    return body


@pytest.mark.parametrize(("bucket", "count"), [("15m", 15), ("1h", 4), ("1d", 1)])
async def test_steps_are_cut_at_utc_multiples_and_add_up(api: httpx.AsyncClient, bucket: str, count: int) -> None:
    body = await ask(api, 20, 235, bucket=bucket)
    points = body["points"]
    assert (body["bucket"], len(points)) == (bucket, count)
    edges = [points[0]["window"]["from"], *(point["window"]["to"] for point in points)]
    assert [point["window"]["from"] for point in points] == edges[:-1]
    assert (edges[0], edges[-1]) == (text(at(20)), text(at(235)))
    if bucket != "1d":
        assert edges[1] == text(at(30 if bucket == "15m" else 60))
    whole = (await api.get(SERIES.removesuffix("/series"), params={"from": edges[0], "to": edges[-1]})).json()
    for name in ("totalKwhConsumedAc", "totalKwhDeliveredDc"):
        assert sum(point[name] for point in points) == pytest.approx(whole[name], rel=1e-9)
    readings = [point["quality"]["vehicleReadings"] for point in points]
    assert sum(readings) == whole["quality"]["vehicleReadings"]


async def test_each_step_is_the_answer_for_its_own_window(api: httpx.AsyncClient) -> None:
    for point in (await ask(api, 20, 80))["points"]:
        alone = (await api.get(SERIES.removesuffix("/series"), params=point["window"])).json()
        assert point == {name: alone[name] for name in point if name != "soc"} | {"soc": 55.5}


async def test_a_step_without_readings_is_null_and_not_zero(api: httpx.AsyncClient) -> None:
    first = (await ask(api, -30, 20))["points"][0]
    assert (first["totalKwhConsumedAc"], first["totalKwhDeliveredDc"], first["status"]) == (None, None, "unknown")
    assert first["quality"]["gapMinutes"] == 14
    assert first["soc"] is None


async def test_the_bucket_that_is_shared_says_so(api: httpx.AsyncClient) -> None:
    pairings = [point["quality"]["pairing"] for point in (await ask(api, 15, 60))["points"]]
    assert pairings == ["exclusive", "shared", "exclusive"]


@pytest.mark.parametrize(
    ("days", "bucket", "code"), [(1, "5m", "bad_choice"), (31, "15m", "too_many_points"), (1, "", "bad_choice")]
)
async def test_what_cannot_be_plotted_is_refused(api: httpx.AsyncClient, days: int, bucket: str, code: str) -> None:
    window = {"from": text(at(-days * 1440)), "to": text(at(0)), "bucket": bucket}
    response = await api.get(SERIES, params=window)
    assert (response.status_code, response.json()["code"]) == (400, code)


async def test_the_default_bucket_is_the_finest_that_fits(api: httpx.AsyncClient) -> None:
    assert (await ask(api, -1440, 0))["bucket"] == "15m"
    assert (await ask(api, -31 * 1440, 0))["bucket"] == "1h"


async def test_an_unknown_vehicle_is_not_found(api: httpx.AsyncClient) -> None:
    response = await api.get(SERIES.replace("v-1", "v-9"))
    assert (response.status_code, response.json()["code"]) == (404, "vehicle_not_found")
