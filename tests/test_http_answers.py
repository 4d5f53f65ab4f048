"""The JSON of the routes, from a real database."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import asyncpg
import httpx
import pytest

from http_support import TEN, api_on, at, meter, vehicle, write
from joulegate_core.telemetry import MeterReading, VehicleReading

NOW = at(120)
PERFORMANCE = "/v1/analytics/performance/v-1"


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application whose clock stands at noon, two hours after the first readings."""
    async with api_on(database_url, now=NOW) as client:
        yield client


def text(time: datetime) -> str:
    """A time as it stands in JSON."""
    return time.isoformat().replace("+00:00", "Z")


async def test_performance_has_exactly_the_documented_json(api: httpx.AsyncClient, database_url: str) -> None:
    await write(database_url, [meter(1, 2.0), vehicle(1, 1.5, temp=31.0), vehicle(2, 0.25, temp=32.0)])
    response = await api.get(PERFORMANCE, params={"from": text(at(0)), "to": text(at(4))})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {
        "vehicleId": "v-1",
        "window": {"from": text(at(0)), "to": text(at(4))},
        "totalKwhConsumedAc": 2.0,
        "totalKwhDeliveredDc": 1.75,
        "efficiencyRatio": 0.875,
        "avgBatteryTemp": 31.5,
        "status": "ok",
        "quality": {
            "pairing": "exclusive",
            "vehicleReadings": 2,
            "meterReadings": 1,
            "expectedReadings": 4,
            "coverage": 0.5,
            "gapMinutes": 1.0,
            "counterResets": 0,
            "glitches": 0,
            "jumps": 0,
            "recovered": 0,
            "lateShare": 0.0,
            "reason": None,
            "pairedEfficiencyRatio": None,
        },
        "meters": [{"meterId": "m-1", "kwhConsumedAc": 2.0}],
    }


async def test_unknown_is_null_in_json(api: httpx.AsyncClient, database_url: str) -> None:
    await write(database_url, [vehicle(-2000, 1.5)])
    body = (await api.get(PERFORMANCE)).json()
    names = ("totalKwhConsumedAc", "totalKwhDeliveredDc", "efficiencyRatio", "avgBatteryTemp")
    assert [body[name] for name in names] == [None] * 4
    assert body["status"] == "unknown"
    assert body["meters"] == []
    assert body["quality"]["reason"].endswith(".")


async def test_the_window_is_the_last_24_hours_by_default(api: httpx.AsyncClient, database_url: str) -> None:
    edge = NOW - timedelta(hours=24)
    minutes = [(ts - TEN) / timedelta(minutes=1) for ts in (edge - timedelta(minutes=1), edge, NOW)]
    await write(database_url, [vehicle(minute, 1.0) for minute in minutes])
    body = (await api.get(PERFORMANCE)).json()
    assert body["window"] == {"from": text(edge), "to": text(NOW)}
    assert body["quality"]["vehicleReadings"] == 1
    assert body["quality"]["expectedReadings"] == 1440


async def test_from_defaults_to_a_day_before_to_and_to_to_now(api: httpx.AsyncClient, database_url: str) -> None:
    await write(database_url, [vehicle(1, 1.0)])
    body = (await api.get(PERFORMANCE, params={"to": text(at(5))})).json()
    assert body["window"] == {"from": text(at(5) - timedelta(hours=24)), "to": text(at(5))}
    body = (await api.get(PERFORMANCE, params={"from": text(at(5))})).json()
    assert body["window"] == {"from": text(at(5)), "to": text(NOW)}


@pytest.mark.parametrize("plus", ["%2B", "+"], ids=["encoded", "bare"])
async def test_times_with_another_offset_are_answered_in_utc(
    api: httpx.AsyncClient, database_url: str, plus: str
) -> None:
    await write(database_url, [vehicle(1, 1.0)])
    local = f"{at(0).date()}T12:00:00{plus}02:00"
    response = await api.get(f"{PERFORMANCE}?from={local}&to={text(at(4))}")
    assert response.json()["window"] == {"from": text(at(0)), "to": text(at(4))}


async def test_a_window_of_exactly_31_days_is_answered(api: httpx.AsyncClient, database_url: str) -> None:
    await write(database_url, [vehicle(1, 1.0)])
    response = await api.get(PERFORMANCE, params={"from": text(NOW - timedelta(days=31))})
    assert response.json()["quality"]["expectedReadings"] == 31 * 1440


async def test_a_vehicles_live_state(api: httpx.AsyncClient, database_url: str, db: asyncpg.Connection) -> None:
    await write(database_url, [VehicleReading("v-1", "cp-1", at(118), 0.75, 55.1, 31.2, late=False), vehicle(60, 0.0)])
    received = await db.fetchval("select received_at from vehicle_live")
    response = await api.get("/v1/vehicles/v-1")
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {
        "vehicleId": "v-1",
        "chargePoint": "cp-1",
        "timestamp": text(at(118)),
        "receivedAt": text(received),
        "soc": 55.1,
        "kwhDeliveredDc": 0.75,
        "batteryTemp": 31.2,
        "charging": True,
        "stale": False,
    }


async def test_a_meters_live_state(api: httpx.AsyncClient, database_url: str, db: asyncpg.Connection) -> None:
    await write(database_url, [MeterReading("m-1", "cp-1", at(118), 1.25, 230.1, late=False), meter(60, 0.0)])
    received = await db.fetchval("select received_at from meter_live")
    response = await api.get("/v1/meters/m-1")
    assert response.json() == {
        "meterId": "m-1",
        "chargePoint": "cp-1",
        "timestamp": text(at(118)),
        "receivedAt": text(received),
        "kwhConsumedAc": 1.25,
        "voltage": 230.1,
        "charging": True,
        "stale": False,
    }


@pytest.mark.parametrize(
    ("minute", "kwh", "charging"),
    [(120, 0.1, True), (115, 0.1, True), (114.99, 0.1, False), (119, 0.0, False), (122, 0.1, True)],
    ids=["now", "five intervals old", "older", "without energy", "ahead"],
)
async def test_charging(
    api: httpx.AsyncClient, database_url: str, minute: float, kwh: float, *, charging: bool
) -> None:
    await write(database_url, [meter(minute, kwh), vehicle(minute, kwh)])
    assert (await api.get("/v1/vehicles/v-1")).json()["charging"] is charging
    assert (await api.get("/v1/meters/m-1")).json()["charging"] is charging


async def test_every_character_of_an_id_may_stand_in_a_path(api: httpx.AsyncClient, database_url: str) -> None:
    name = "Aa0._:-" + "x" * 57
    await write(database_url, [meter(1, 1.0, name), vehicle(1, 0.9, name)])
    assert (await api.get(f"/v1/vehicles/{name}")).json()["vehicleId"] == name
    assert (await api.get(f"/v1/meters/{name}")).json()["meterId"] == name
    assert (await api.get(f"/v1/analytics/performance/{name}")).json()["vehicleId"] == name
