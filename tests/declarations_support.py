"""A fleet whose links and declarations change while it is rolled, beside the oracle that knows what the answers must be."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

import oracle
from http_support import Reading, at
from joulegate_core.telemetry import VehicleReading
from joulegate_db.connect import ROLLER_SETTINGS, connect
from joulegate_db.declarations import DECLARER_SETTINGS
from joulegate_db.links import LinkPut
from joulegate_db.reader import open_reader
from joulegate_db.rollups import CLOSE_AFTER, EnergyDefaults, Rollups
from joulegate_db.windows import Window
from oracle_stand import check

DEFAULTS = EnergyDefaults("interval", "interval", 2000, timedelta(days=8))

ROLLUP = """
select device, bucket, charge_point, linked_vehicle, round(kwh::numeric, 9) as kwh, readings, late, resets, glitches, jumps, recovered
from meter_rollup_15m order by 1, 2, 3, 4
"""


@pytest.fixture
async def rollups(database_url: str) -> AsyncIterator[Rollups]:
    """The roller's hands, with the roller's lock, as a running gateway has it."""
    connection = await connect(database_url, ROLLER_SETTINGS)
    rollups = Rollups(connection, DEFAULTS)
    assert await rollups.lock()
    yield rollups
    connection.terminate()


@pytest.fixture
async def declarer(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that changes what is declared."""
    connection = await connect(database_url, DECLARER_SETTINGS)
    yield connection
    connection.terminate()


def a_link(start: float, end: float | None, vehicle: str = "v-1", meter: str = "m-1") -> LinkPut:
    """A link between two minutes after ten; None: without end."""
    return LinkPut(vehicle, meter, at(start), None if end is None else at(end))


def fleet_of(readings: Sequence[Reading], links: Sequence[LinkPut] = (), **declared: Any) -> oracle.Fleet:
    """The oracle's fleet."""
    meters, vehicles = [], []
    for one in readings:
        place = (one.device, one.charge_point, one.ts, one.kwh)
        if isinstance(one, VehicleReading):
            vehicles.append(oracle.VehiclePoint(*place, one.battery_temp))
        else:
            meters.append(oracle.MeterPoint(*place))
    of_oracle = [oracle.Link(link.vehicle, link.meter, link.valid_from, link.valid_to) for link in links]
    return oracle.Fleet(meters, vehicles, of_oracle, **declared)


async def check_answers(url: str, fleet: oracle.Fleet, windows: Sequence[tuple[float, float]]) -> None:
    """Compares every vehicle's answer for every window (minutes after ten) with the oracle's."""
    known = {point.device for point in fleet.vehicles} | {link.vehicle for link in fleet.links}
    assert known
    async with open_reader(url) as reader:
        for vehicle in sorted(known):
            for start, end in windows:
                answer = await reader.performance(vehicle, Window(at(start), at(end)))
                assert answer is not None
                check(answer, oracle.performance(fleet, vehicle, at(start), at(end)))


async def roll(rollups: Rollups, minute: float) -> None:
    """Rolls when it is `minute` after ten, with the delay of closing over."""
    async for _ in rollups.roll(at(minute) + CLOSE_AFTER):
        pass


async def roll_all_marks(rollups: Rollups) -> int:
    """Takes marks until none is left that can be taken; returns how many there were."""
    taken = 0
    while marks := await rollups.roll_marked():
        taken += marks
    return taken


async def marked(connection: asyncpg.Connection) -> set[tuple[str, float]]:
    """The marks, as device and minutes after ten."""
    rows = await connection.fetch("select device, bucket from rollup_marks")
    return {(row["device"], minutes(row["bucket"])) for row in rows}


def minutes(time: datetime) -> float:
    """Minutes after ten."""
    return (time - at(0)) / timedelta(minutes=1)


def moved(link: LinkPut, end: float | None) -> LinkPut:
    """The link with another end."""
    return replace(link, valid_to=None if end is None else at(end))
