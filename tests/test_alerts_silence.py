"""Silence: a device without a reading for five intervals, by the time at which readings were received."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import asyncpg
import pytest

from fleet_support import Plant, alerts_of, plant
from http_support import TEN, at, meter, vehicle

FIVE_INTERVALS = timedelta(minutes=5)
SECOND = timedelta(seconds=1)


@pytest.fixture
async def fleet(database_url: str) -> AsyncIterator[Plant]:
    """A plant whose devices publish intervals."""
    async with plant(database_url) as one:
        yield one


async def heard(fleet: Plant, moment: datetime) -> None:
    """The meter reports, and the reading is received at once."""
    await fleet.write(meter((moment - TEN) / timedelta(minutes=1), 1.0), received=moment)


async def test_silence_begins_after_five_intervals_and_ends_with_the_next_reading(
    fleet: Plant, db: asyncpg.Connection
) -> None:
    await heard(fleet, at(0))
    assert (await fleet.evaluate(at(0) + FIVE_INTERVALS)).opened == {}
    opened = at(0) + FIVE_INTERVALS + SECOND
    assert (await fleet.evaluate(opened)).opened == {"silent_device": 1}
    await heard(fleet, at(8))
    assert (await fleet.evaluate(at(8))).closed == {"silent_device": 1}
    [alert] = await alerts_of(db, "silent_device")
    assert (alert["device"], alert["device_kind"], alert["opened_at"]) == ("m-1", "meter", opened)
    assert (alert["value"], alert["threshold"], alert["closed_at"]) == (301, 300, at(8))


async def test_time_is_when_readings_were_received_not_measured(fleet: Plant) -> None:
    await fleet.write(meter(-600, 1.0), received=at(0))
    assert (await fleet.evaluate(at(4))).opened == {}


async def test_a_device_at_the_edge_of_silence_does_not_flap(fleet: Plant, db: asyncpg.Connection) -> None:
    """It reports every 310 s, for three hours: by a bare limit that were 35 alerts."""
    moment = at(0)
    for _ in range(35):
        await heard(fleet, moment)
        for seconds in (0, 150, 305):
            await fleet.evaluate(moment + timedelta(seconds=seconds))
        moment += timedelta(seconds=310)
    assert len(await alerts_of(db, "silent_device")) == 3


async def test_real_silence_soon_after_the_last_one_is_an_alert_again(fleet: Plant) -> None:
    await heard(fleet, at(0))
    await fleet.evaluate(at(6))
    await heard(fleet, at(7))
    await fleet.evaluate(at(7))
    assert (await fleet.evaluate(at(17))).opened == {}
    assert (await fleet.evaluate(at(17) + SECOND)).opened == {"silent_device": 1}


async def test_silence_before_the_gateway_listened_is_not_the_devices(fleet: Plant) -> None:
    await heard(fleet, at(0))
    assert (await fleet.evaluate(at(60), listening_since=at(55))).opened == {}
    assert (await fleet.evaluate(at(61), listening_since=at(55))).opened == {"silent_device": 1}


async def test_a_device_unheard_for_the_clock_window_is_out_of_service(fleet: Plant, db: asyncpg.Connection) -> None:
    await heard(fleet, at(0))
    await fleet.write(vehicle(-600, 1.0), received=at(-600))
    week, late = timedelta(days=7), timedelta(minutes=1)
    assert (await fleet.evaluate(at(0) + week)).opened == {"silent_device": 1}
    assert (await fleet.evaluate(at(0) + week + late)).closed == {"silent_device": 1}
    assert (await fleet.evaluate(at(0) + 2 * week)).opened == {}
    [alert] = await alerts_of(db, "silent_device")
    assert (alert["device"], alert["closed_because"][:14]) == ("m-1", "out of service")
