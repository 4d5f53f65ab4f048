"""Vehicles and meters that charge on a timetable, written to a database, and the question which meter is whose."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

import asyncpg

from http_support import Reading, at, meter, vehicle, window, write
from joulegate_core.clock import utc_now
from joulegate_db.pairing import Pairings, pairings
from joulegate_db.reader import open_reader
from joulegate_db.rollups import EnergyDefaults, Rollups

MINUTES = 360
RATIO = 0.9

Session = tuple[int, int, float]
"""The first minute, the minute after the last, AC in kW."""

MORNING: list[Session] = [(30, 95, 11.0), (200, 260, 11.0)]
LATER: list[Session] = [(62, 140, 11.0), (280, 330, 7.4)]
OTHER: list[Session] = [(110, 190, 22.0), (265, 340, 7.4)]


def ac_of(sessions: Iterable[Session], minute: int) -> float:
    """The AC energy of a minute, kWh; 10 W in standby."""
    return max([0.01, *(kw for first, last, kw in sessions if first <= minute < last)]) / 60


def meter_readings(
    device: str, cp: str, sessions: Sequence[Session], *, offset: float = 0.3, until: int = MINUTES
) -> list[Reading]:
    """A reading a minute, `offset` minutes after it has begun."""
    return [meter(minute + offset, ac_of(sessions, minute), device, cp) for minute in range(until)]


def vehicle_readings(
    device: str, cp: str, sessions: Sequence[Session], *, offset: float = 0.6, ratio: float = RATIO
) -> list[Reading]:
    """The same of a vehicle that gets `ratio` of the AC, and nothing in standby."""
    kwh = [ac_of(sessions, minute) for minute in range(MINUTES)]
    return [vehicle(n + offset, ratio * one if one > 0.01 else 0.0, device, cp) for n, one in enumerate(kwh)]


def pair(number: int, sessions: Sequence[Session], *, meter_at: str | None = None) -> list[Reading]:
    """v-N at cp-N and m-N, which publishes there or at `meter_at`."""
    here = f"cp-{number}"
    return [
        *vehicle_readings(f"v-{number}", here, sessions),
        *meter_readings(f"m-{number}", meter_at or here, sessions),
    ]


async def roll(url: str) -> None:
    """Makes the rollups of all that is written, up to the window's end."""
    connection = await asyncpg.connect(url)
    rollups = Rollups(connection, EnergyDefaults("interval", "interval", 2000.0, timedelta(days=8)))
    assert await rollups.lock()
    async for _ in rollups.roll(utc_now()):
        pass
    await connection.close()


async def ask_pairings(url: str, vehicle_id: str | None = None) -> Pairings:
    """The findings for the window in which everything happens."""
    async with open_reader(url) as reader:
        answer = await pairings(reader, window(0, MINUTES), vehicle_id)
    assert answer is not None
    return answer


async def find(url: str, *readings: Sequence[Reading]) -> Pairings:
    """Writes the readings and asks about all vehicles."""
    await write(url, [one for some in readings for one in some])
    return await ask_pairings(url)


def found(answer: Pairings) -> dict[str, str]:
    """The suggested meter by vehicle."""
    return {one.vehicle_id: one.suggested_meter_id for one in answer.findings}


async def link(db: asyncpg.Connection, vehicle_id: str, meter_id: str) -> None:
    """Links the two for the whole window."""
    await db.execute(
        "insert into links (vehicle, meter, valid) values ($1, $2, tstzrange($3, null))", vehicle_id, meter_id, at(-60)
    )
