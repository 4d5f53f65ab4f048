"""The fleet's answer and the list of alerts over HTTP, from readings that were rolled and attributed."""

from collections.abc import AsyncIterator
from datetime import datetime
from itertools import pairwise

import asyncpg
import httpx
import pytest

from fleet_support import Plant, alerts_of, plant
from http_support import Reading, api_on, at, meter, vehicle

NOW = at(64)
FLEET = "/v1/analytics/fleet"


@pytest.fixture
async def fleet(database_url: str) -> AsyncIterator[Plant]:
    """A plant whose devices publish intervals."""
    async with plant(database_url) as one:
        yield one


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application whose clock stands four minutes after the hour that the readings fill."""
    async with api_on(database_url, now=NOW) as client:
        yield client


def text(time: datetime) -> str:
    """A time as it stands in JSON."""
    return time.isoformat().replace("+00:00", "Z")


def pair(name: str, ac: float, dc: float) -> list[Reading]:
    """An hour of a pair at a charge point of its own; `ac` and `dc` are the sums in kWh."""
    meters: list[Reading] = [meter(minute, ac / 60, f"m-{name}", f"cp-{name}") for minute in range(60)]
    vehicles: list[Reading] = [vehicle(minute, dc / 60, f"v-{name}", f"cp-{name}") for minute in range(60)]
    return meters + vehicles


async def test_the_answer_has_exactly_the_documented_json(fleet: Plant, api: httpx.AsyncClient) -> None:
    lone: list[Reading] = [meter(5, 0.25, "m-lone", "cp-lone"), vehicle(30, 0.5, "v-lone", "cp-elsewhere")]
    await fleet.write(*pair("a", 4.0, 3.6), *pair("b", 4.0, 3.0), *pair("c", 4.0, 5.0), *lone, received=at(60))
    await fleet.settle(60)
    response = await api.get(FLEET, params={"from": text(at(0)), "to": text(at(60)), "worst": 1})
    body = response.json()
    assert response.status_code == 200
    for name in ("totalKwhConsumedAc", "totalKwhDeliveredDc", "efficiencyRatio", "pairedEfficiencyRatio"):
        body[name] = round(body[name], 9)
    for name in ("ratio", "totalKwhConsumedAc", "totalKwhDeliveredDc"):
        body["worst"][0][name] = round(body["worst"][0][name], 9)
    filled = {0.75: 1, 0.9: 1, 1.0: 1}
    edges = [0.0, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, None]
    assert body == {
        "requested": {"from": text(at(0)), "to": text(at(60))},
        "window": {"from": text(at(0)), "to": text(at(60))},
        "note": None,
        "totalKwhConsumedAc": 12.0,
        "totalKwhDeliveredDc": 12.1,
        "unattributedKwhAc": 0.25,
        "efficiencyRatio": round(12.1 / 12, 9),
        "pairedEfficiencyRatio": round(11.6 / 12, 9),
        "counts": {
            "vehicles": 4, "meters": 4, "charging": 3, "silentVehicles": 0, "silentMeters": 0,
            "ok": 1, "degraded": 1, "implausible": 1, "unknown": 1,
        },
        "distribution": [
            {"from": start, "to": end, "vehicles": filled.get(start or 0.0, 0)}
            for start, end in pairwise(edges)
        ],
        "worst": [
            {
                "vehicleId": "v-b", "ratio": 0.75, "totalKwhConsumedAc": 4.0, "totalKwhDeliveredDc": 3.0,
                "coverage": 1.0, "pairing": "exclusive", "status": "degraded",
                "reason": "75.0% of the AC reached the battery, less than 85%: look for a fault of the charger, or leakage.",
            }
        ],
    }  # fmt: skip


async def test_by_default_it_is_the_24_hours_before_the_last_rolled_bucket(
    fleet: Plant, api: httpx.AsyncClient
) -> None:
    early: list[Reading] = [meter(-24 * 60 + 59, 8.0, "m-a", "cp-a"), vehicle(-24 * 60 + 59, 8.0, "v-a", "cp-a")]
    await fleet.write(*early, *pair("a", 4.0, 3.0), received=at(60))
    await fleet.settle(60)
    body = (await api.get(FLEET)).json()
    assert body["window"] == {"from": text(at(-23 * 60)), "to": text(at(60))}
    assert (body["note"], round(body["totalKwhConsumedAc"], 9)) == (None, 4.0)
    asked = (await api.get(FLEET, params={"from": text(at(-23 * 60)), "to": text(at(60))})).json()
    assert asked == body
    await fleet.connection.execute("update charging_state set day_until = 'epoch'")
    assert (await api.get(FLEET)).json()["totalKwhDeliveredDc"] == pytest.approx(body["totalKwhDeliveredDc"])


@pytest.mark.parametrize(
    ("asked", "taken", "note"),
    [
        ((7, 22), (0, 30), "whole 15-minute buckets"),
        ((15, 75), (15, 60), "cut at the last rolled bucket"),
        ((16, 61), (15, 60), "to their edges. The window was cut"),
        ((70, 80), (60, 60), "begins after the last rolled bucket"),
    ],
)
async def test_a_window_is_widened_and_cut_to_rolled_buckets(
    fleet: Plant, api: httpx.AsyncClient, asked: tuple[int, int], taken: tuple[int, int], note: str
) -> None:
    await fleet.write(*pair("a", 4.0, 3.0))
    await fleet.settle(60)
    body = (await api.get(FLEET, params={"from": text(at(asked[0])), "to": text(at(asked[1]))})).json()
    assert body["requested"] == {"from": text(at(asked[0])), "to": text(at(asked[1]))}
    assert body["window"] == {"from": text(at(taken[0])), "to": text(at(taken[1]))}
    assert note in body["note"]
    minutes = taken[1] - taken[0]
    assert body["totalKwhConsumedAc"] == (pytest.approx(4 * minutes / 60) if minutes else None)


async def test_before_anything_is_rolled_everything_is_null(api: httpx.AsyncClient) -> None:
    body = (await api.get(FLEET)).json()
    assert (body["totalKwhConsumedAc"], body["efficiencyRatio"], body["worst"]) == (None, None, [])
    assert body["note"].startswith("No bucket is rolled yet")


async def test_silent_devices_are_counted(fleet: Plant, api: httpx.AsyncClient) -> None:
    await fleet.write(*pair("a", 4.0, 3.0), received=at(58.9))
    counts = (await api.get(FLEET)).json()["counts"]
    assert (counts["silentVehicles"], counts["silentMeters"], counts["unknown"]) == (1, 1, 1)


async def test_a_late_reading_is_in_the_answer_after_the_next_round(fleet: Plant, api: httpx.AsyncClient) -> None:
    await fleet.write(*pair("a", 4.0, 3.0))
    await fleet.settle(60)
    await fleet.write(vehicle(20.5, 0.5, "v-a", "cp-a"), vehicle(20.6, 1.0, "v-late", "cp-a"))
    await fleet.settle(60)
    assert (await api.get(FLEET)).json()["totalKwhDeliveredDc"] == pytest.approx(4.5)
    body = (await api.get(FLEET, params={"from": text(at(0)), "to": text(at(60))})).json()
    assert body["totalKwhDeliveredDc"] == pytest.approx(4.5)
    assert {one["vehicleId"]: one["pairing"] for one in body["worst"]} == {"v-a": "shared"}


async def test_what_is_rolled_is_attributed_after_a_crash_in_between(fleet: Plant, api: httpx.AsyncClient) -> None:
    await fleet.write(*pair("a", 4.0, 3.0))
    await fleet.roll(60)
    assert (await api.get(FLEET)).json()["note"].startswith("No bucket is rolled yet")
    cut_off = fleet.connection.transaction()
    await cut_off.start()
    assert await fleet.charging.attribute()
    await cut_off.rollback()
    await fleet.settle(60)
    assert (await api.get(FLEET)).json()["totalKwhDeliveredDc"] == pytest.approx(3.0)


async def test_energies_near_zero_do_not_stop_the_attribution(fleet: Plant, db: asyncpg.Connection) -> None:
    await fleet.write(meter(1, 5e-324), vehicle(1, 1e9), vehicle(2, 5e-324, "v-2"), meter(16, 1e9), vehicle(16, 5e-324))
    await fleet.settle(60)
    await fleet.evaluate()
    rows = await db.fetch("select vehicle, ac, dc from charging_15m order by vehicle, bucket")
    assert [tuple(row) for row in rows] == [("v-1", 0, 1e9), ("v-1", 1e9, 0), ("v-2", 0, 0)]


async def test_sums_are_read_from_the_index_alone(fleet: Plant) -> None:
    await fleet.write(*pair("a", 4.0, 3.0))
    await fleet.settle(60)
    await fleet.charging.vacuum()
    await fleet.connection.execute("set enable_seqscan = off")
    plan = await fleet.connection.fetch(
        "explain select * from charging_sums($1, $2) where vehicle = 'v-a'", at(0), at(60)
    )
    assert any("Index Only Scan" in row[0] for row in plan)
    assert not any("Seq Scan" in row[0] for row in plan)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"{FLEET}?worst=1001", "bad_number"),
        (f"{FLEET}?from=2026-05-01T00:00:00", "naive_time"),
        (f"{FLEET}?since=1", "unknown_parameter"),
        ("/v1/alerts?state=opened", "bad_choice"),
        ("/v1/alerts?kind=fire", "bad_choice"),
        ("/v1/alerts?cursor=x", "bad_number"),
        ("/v1/alerts?device=a/b", "bad_id"),
    ],
)
async def test_what_cannot_be_asked_is_refused(api: httpx.AsyncClient, path: str, code: str) -> None:
    response = await api.get(path)
    assert (response.status_code, response.json()["code"]) == (400, code)


async def test_alerts_are_listed_newest_first_in_pages(
    fleet: Plant, api: httpx.AsyncClient, db: asyncpg.Connection
) -> None:
    await fleet.write(*pair("a", 4.0, 3.0), *pair("b", 4.0, 4.5), received=at(60))
    await fleet.settle(60)
    await fleet.evaluate(at(60))
    await fleet.evaluate(at(66))
    await fleet.write(meter(61, 0.0, "m-a", "cp-a"), received=at(67))
    await fleet.evaluate(at(67))
    first = (await api.get("/v1/alerts", params={"limit": 4})).json()
    rest = (await api.get("/v1/alerts", params={"limit": 4, "cursor": first["nextCursor"]})).json()
    listed = first["alerts"] + rest["alerts"]
    assert [one["id"] for one in listed] == sorted((one["id"] for one in listed), reverse=True)
    assert (len(first["alerts"]), len(rest["alerts"]), rest["nextCursor"]) == (4, 2, None)
    [low] = await alerts_of(db, "low_efficiency")
    [found] = (await api.get("/v1/alerts?kind=low_efficiency")).json()["alerts"]
    assert found == {
        "id": low["id"], "kind": "low_efficiency", "device": "v-a", "deviceKind": "vehicle",
        "openedAt": text(at(60)), "closedAt": None, "value": pytest.approx(0.75), "threshold": 0.85,
        "detail": "3.000 kWh DC of 4.000 kWh AC in the last 24 h, 60 vehicle readings", "closedBecause": None,
    }  # fmt: skip
    [closed] = (await api.get("/v1/alerts?state=closed")).json()["alerts"]
    assert (closed["device"], closed["closedAt"], closed["closedBecause"]) == ("m-a", text(at(67)), "a reading came")
    assert len((await api.get("/v1/alerts?state=open&device=v-a")).json()["alerts"]) == 2
