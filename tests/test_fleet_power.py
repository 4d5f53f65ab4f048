"""The fleet's power by minute: sums of the readings, registers by their differences, null where nothing came."""

import asyncio
from datetime import timedelta

import asyncpg

from http_support import TEN, api_on, at, meter, vehicle, write
from joulegate_http.shared import Shared

NOW = at(30.5)
"""The last whole minute is the 29th: that of a minute and ten seconds ago; the 30th is not over."""


async def test_it_is_the_energy_of_each_whole_minute(database_url: str) -> None:
    await write(
        database_url,
        [
            *(meter(minute, 0.1) for minute in range(31)),
            *(meter(minute + 0.5, 0.2, device="m-2") for minute in range(31)),
            *(vehicle(minute, 0.25) for minute in range(25)),
            vehicle(30, 7.0),
        ],
    )
    async with api_on(database_url, now=NOW) as api:
        points = (await api.get("/v1/analytics/fleet/power")).json()["points"]
    assert [point["from"] for point in points] == [
        at(minute).isoformat().replace("+00:00", "Z") for minute in range(10, 30)
    ]
    assert all(abs(point["acKw"] - 18) < 1e-9 for point in points)
    assert [point["dcKw"] for point in points] == [15.0] * 15 + [None] * 5


async def test_a_register_counts_what_it_gained(database_url: str, db: asyncpg.Connection) -> None:
    """Not its reading; nothing for a decrease, nor for more than its hardware can deliver; a difference over the edge counts."""
    readings = [1000 + 0.5 * minute for minute in range(8, 24)] + [3.0, 3.5, 900.0, 900.25, 900.25, 900.75]
    await write(database_url, [meter(minute, kwh) for minute, kwh in enumerate(readings, 8)])
    await db.execute("update devices set energy = 'register', max_kw = 40 where device = 'm-1'")
    async with api_on(database_url, now=NOW) as api:
        points = (await api.get("/v1/analytics/fleet/power")).json()["points"]
    assert [point["acKw"] for point in points] == [30.0] * 14 + [None, 30.0, None, 15.0, 0.0, 30.0]


async def test_without_readings_there_is_nothing_to_plot(database_url: str) -> None:
    async with api_on(database_url, now=TEN + timedelta(days=1)) as api:
        assert (await api.get("/v1/analytics/fleet/power")).json() == {"points": []}


async def test_many_who_ask_share_one_answer_and_one_failure() -> None:
    asked = 0

    async def ask() -> int:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        if asked == 1:
            raise ConnectionError
        return asked

    shared = Shared(ask, seconds=60)
    first = await asyncio.gather(*(shared.get() for _ in range(5)), return_exceptions=True)
    assert [type(one) for one in first] == [ConnectionError] * 5
    gone = asyncio.create_task(shared.get())
    await asyncio.sleep(0)
    gone.cancel()
    assert await asyncio.gather(*(shared.get() for _ in range(5))) == [2] * 5
    assert (await shared.get(), asked) == (2, 2)
