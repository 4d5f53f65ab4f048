"""When an answer comes from the plain case's one statement, and that each thing which makes a case another one is seen.

An hour of a pair is rolled and attributed up to 10:45; the window cuts a bucket at its beginning and ends in the open one.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from fleet_support import Plant, plant
from http_support import at, meter, vehicle, window
from joulegate_db.evidence import gather
from joulegate_db.performance import Performance, performance
from joulegate_db.plain import Question, plain_performances
from joulegate_db.windows import Window
from oracle_stand import close
from test_performance_answer import pair

WINDOW = window(5, 55)
Change = Callable[[Plant], Awaitable[object]]


@pytest.fixture
async def settled(database_url: str) -> AsyncIterator[Plant]:
    """A pair at cp-1 and another at cp-2, settled up to 10:45."""
    async with plant(database_url) as one:
        await one.write(*pair(range(60), ac=1.0, dc=0.9), *pair(range(60), ac=1.0, dc=0.8, number=2, cp="cp-2"))
        await one.settle(45)
        yield one


async def plain_answer(db: asyncpg.Connection, device: str, asked: Window) -> Performance | None:
    """The answer of the plain case's statement."""
    question = Question(device, asked)
    assert question.buckets
    [answer] = await plain_performances(db, question.buckets, [question])
    return answer


async def both(db: asyncpg.Connection) -> tuple[Performance | None, Performance]:
    """The plain answer, and the one from the evidence."""
    async with db.transaction(isolation="repeatable_read", readonly=True):
        evidence = await gather(db, "v-1", WINDOW)
        assert evidence is not None
        return await plain_answer(db, "v-1", WINDOW), performance("v-1", WINDOW, evidence)


async def test_a_pair_that_keeps_to_itself_is_plain(settled: Plant, db: asyncpg.Connection) -> None:
    plain, full = await both(db)
    assert plain is not None
    assert (plain.quality.vehicle_readings, plain.quality.meter_readings) == (50, 50)
    assert close(plain.total_kwh_delivered_dc, 45)
    assert close(plain.total_kwh_consumed_ac, full.total_kwh_consumed_ac)
    assert (plain.meters, plain.quality.gap_minutes, plain.status) == (full.meters, 0, "ok")


async def test_a_vehicle_that_moves_between_meters_is_plain(settled: Plant, db: asyncpg.Connection) -> None:
    await settled.write(*(vehicle(m, 1.8, cp="cp-9") for m in range(75, 135)))
    await settled.write(*(meter(m, 2.0, "m-9", "cp-9") for m in range(75, 135)))
    await settled.write(*pair(range(135, 170), ac=1.0, dc=0.9))
    await settled.settle(165)
    wide = window(5, 168)
    async with db.transaction(isolation="repeatable_read", readonly=True):
        evidence = await gather(db, "v-1", wide)
        assert evidence is not None
        full, plain = performance("v-1", wide, evidence), await plain_answer(db, "v-1", wide)
    assert plain is not None
    assert [(one.meter_id, one.kwh_consumed_ac) for one in plain.meters] == [("m-1", 88), ("m-9", 120)]
    assert (plain.quality.gap_minutes, full.quality.gap_minutes) == (15, 15)
    assert close(plain.efficiency_ratio, full.efficiency_ratio)


async def test_questions_of_the_same_buckets_are_answered_by_one_statement_each_for_its_own_window(
    settled: Plant, db: asyncpg.Connection
) -> None:
    await settled.write(
        *pair(range(60), ac=1.0, dc=0.7, number=3, cp="cp-3")
    )  # neither rolled nor attributed: not plain
    questions = [
        Question(device, asked)
        for device in ("v-2", "v-nobody", "v-1", "v-3", "v-2")
        for asked in (window(5, 55), window(2, 50))
    ]
    [buckets] = {one.buckets for one in questions}
    assert buckets
    together = await plain_performances(db, buckets, questions)
    assert together == [await plain_answer(db, one.vehicle, one.window) for one in questions]
    assert [answer and answer.quality.vehicle_readings for answer in together] == [
        *(50, 48),
        *(None, None),
        *(50, 48),
        *(None, None),
        *(50, 48),
    ]


async def _link(plant: Plant) -> None:
    await plant.connection.execute(
        "insert into links (vehicle, meter, valid) values ('v-1', 'm-far', tstzrange($1, null))", at(0)
    )


async def _register(plant: Plant) -> None:
    await plant.connection.execute("update devices set energy = 'register' where device = 'm-1' and kind = 'meter'")


async def _rolled_but_not_attributed(plant: Plant) -> None:
    await plant.write(meter(20.5, 1.0, "m-late"))
    await plant.roll(45)


async def _elsewhere_rolled_but_not_attributed(plant: Plant) -> None:
    await plant.write(vehicle(20.5, 1.0, cp="cp-3"))
    await plant.roll(45)


CHANGES: dict[str, Change] = {
    "a late reading of the vehicle": lambda plant: plant.write(vehicle(20.5, 1.0)),
    "a late reading of the vehicle elsewhere": lambda plant: plant.write(vehicle(20.5, 1.0, cp="cp-3")),
    "a late reading of its meter": lambda plant: plant.write(meter(20.5, 1.0)),
    "a late meter that was not there before": lambda plant: plant.write(meter(20.5, 1.0, "m-new")),
    "a late vehicle that was not there before": lambda plant: plant.write(vehicle(20.5, 1.0, "v-new")),
    "another vehicle in the open bucket": lambda plant: plant.write(vehicle(50.5, 1.0, "v-new")),
    "a late reading in the bucket that the window begins in": lambda plant: plant.write(meter(2.5, 1.0, "m-new")),
    "a link": _link,
    "a register": _register,
    "rolled and not attributed": _rolled_but_not_attributed,
    "rolled elsewhere and not attributed": _elsewhere_rolled_but_not_attributed,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_what_makes_it_another_case_is_seen(settled: Plant, db: asyncpg.Connection, change: Change) -> None:
    await change(settled)
    plain, _ = await both(db)
    assert plain is None


async def test_what_happens_elsewhere_does_not_matter(settled: Plant, db: asyncpg.Connection) -> None:
    await settled.write(vehicle(20.5, 1.0, "v-2", "cp-2"), meter(20.5, 1.0, "m-new", "cp-2"))
    for minute in (None, 45):  # waiting for the roller, then for attribution
        if minute is not None:
            await settled.roll(minute)
        plain, full = await both(db)
        assert plain is not None
        assert close(plain.total_kwh_consumed_ac, full.total_kwh_consumed_ac)


async def test_a_roller_that_is_behind_is_another_case(settled: Plant, db: asyncpg.Connection) -> None:
    await settled.write(*pair(range(60, 200), ac=1.0, dc=0.9))
    assert await plain_answer(db, "v-1", window(5, 100)) is not None
    assert await plain_answer(db, "v-1", window(5, 125)) is None
