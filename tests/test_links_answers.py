"""A changed link counts at once, read from history, and when the roller has been there, from rollups: the oracle's answer each time.

Minutes after ten. Buckets before 45 are rolled, that of 45 is closed but not rolled, that of 60 is open.
"""

import asyncio

import asyncpg
import pytest

import declarations_support
from declarations_support import (
    ROLLUP,
    a_link,
    check_answers,
    fleet_of,
    marked,
    moved,
    roll,
    roll_all_marks,
)
from http_support import Reading, at, meter, vehicle, write
from joulegate_db.declarations import declarations_locked
from joulegate_db.links import Changed as ChangedTimes
from joulegate_db.links import LinkPut, delete_link, insert, mark, put_link
from joulegate_db.rebuild import rebuild
from joulegate_db.rollups import Rolled, Rollups
from joulegate_db.sql import query
from joulegate_db.touched import rollups_changed
from joulegate_db.windows import Window

WINDOWS = ((0, 75), (3, 21), (47, 59), (14, 70))


rollups, declarer = declarations_support.rollups, declarations_support.declarer


def pairs(count: int = 75) -> list[Reading]:
    """Two meters and two vehicles at one charge point, each with an energy of its own."""
    readings: list[Reading] = []
    for m in range(count):
        readings += [meter(m, 1.0 + m / 100, "m-1"), meter(m, 2.0, "m-2")]
        readings += [vehicle(m, 0.9, "v-1"), vehicle(m, 0.3 + m / 100, "v-2")]
    return readings


async def begin(url: str, rollups: Rollups) -> list[Reading]:
    """History in all three states."""
    readings = pairs()
    await write(url, readings)
    await roll(rollups, 45)
    await rollups._connection.fetch(query("roll_close"), at(60))
    return readings


LINKS = {
    "in rolled buckets": a_link(5, 40),
    "inside one bucket": a_link(20, 24),
    "whole buckets": a_link(15, 30),
    "closed but not rolled": a_link(46, 58),
    "open": a_link(61, 70),
    "over all, without end": a_link(10, None),
    "long before and after": a_link(-100_000, 100_000),
    "for a vehicle that is not there": a_link(5, 64, "v-9"),
}


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
async def test_a_link_comes_changes_and_goes(
    rollups: Rollups, declarer: asyncpg.Connection, database_url: str, link: LinkPut
) -> None:
    readings = await begin(database_url, rollups)
    shorter = moved(link, 22 if link.valid_from < at(20) else 65)
    if link.valid_from == at(20):
        shorter = moved(link, 21)
    for wanted in (link, shorter, link, None):
        if wanted is None:
            found = await declarer.fetchval("select id from links")
            assert await delete_link(declarer, found) is not None
        else:
            await put_link(declarer, wanted)
        fleet = fleet_of(readings, [] if wanted is None else [wanted])
        await check_answers(database_url, fleet, WINDOWS)
        await roll_all_marks(rollups)
        await check_answers(database_url, fleet, WINDOWS)
    await roll(rollups, 75)
    await roll_all_marks(rollups)
    await check_answers(database_url, fleet_of(readings), WINDOWS)
    assert await declarer.fetchval("select count(*) from meter_rollup_15m where linked_vehicle <> ''") == 0


@pytest.mark.parametrize("name", ["inside one bucket", "over all, without end", "closed but not rolled", "open"])
async def test_when_all_is_rolled_the_answer_is_from_rollups(
    rollups: Rollups, declarer: asyncpg.Connection, database_url: str, name: str
) -> None:
    """History is taken away to see it; a rebuild before that finds nothing to change."""
    link = LINKS[name]
    readings = await begin(database_url, rollups)
    await put_link(declarer, link)
    await roll(rollups, 75)
    await roll_all_marks(rollups)
    assert await marked(declarer) == set()
    rolled = await declarer.fetch(ROLLUP)
    assert [step async for step in rebuild(declarer, Window(at(0), at(75)))]
    assert await declarer.fetch(ROLLUP) == rolled
    await declarer.execute("delete from meter_history; delete from vehicle_history")
    await check_answers(database_url, fleet_of(readings, [link]), [(0, 75), (15, 45)])


async def test_only_the_buckets_that_changed_are_marked(
    rollups: Rollups, declarer: asyncpg.Connection, database_url: str
) -> None:
    await begin(database_url, rollups)
    await put_link(declarer, a_link(14, 31))
    assert await marked(declarer) == {("m-1", 0), ("m-1", 15), ("m-1", 30)}
    await roll_all_marks(rollups)
    await put_link(declarer, a_link(14, 31))
    assert await marked(declarer) == set()
    await put_link(declarer, a_link(14, 15))  # the end moves from 31 back to the edge of a bucket
    assert await marked(declarer) == {("m-1", 15), ("m-1", 30)}


async def test_a_meter_is_replaced(rollups: Rollups, declarer: asyncpg.Connection, database_url: str) -> None:
    """In mid-bucket, at 22: the vehicle's link to the old meter ends, one to the new begins. The new one reports elsewhere."""
    readings: list[Reading] = [meter(m, 1.0, "old") for m in range(22)]
    readings += [meter(m, 2.0, "new", cp="cp-new") for m in range(22, 60)]
    readings += [vehicle(m, 0.9) for m in range(60)]
    await write(database_url, readings)
    await put_link(declarer, a_link(0, None, meter="old"))
    await roll(rollups, 60)
    links = [a_link(0, 22, meter="old"), a_link(22, None, meter="new")]
    for link in links:
        await put_link(declarer, link)
    for _ in ("from history", "from rollups"):
        fleet = fleet_of(readings, links)
        await check_answers(database_url, fleet, [(0, 60), (15, 30), (0, 22), (22, 60)])
        await roll_all_marks(rollups)


async def test_registers_under_a_link_that_changes(
    rollups: Rollups, declarer: asyncpg.Connection, database_url: str
) -> None:
    """A register's differences run on over the link's edges; a glitch and a reset are counted on the side that they are on."""
    await declarer.execute("insert into devices (device, kind, energy) values ('m-1', 'meter', 'register')")
    values = [1000.0 + m for m in range(75)]
    values[20], values[37:] = 0.0, [float(m) for m in range(38)]
    readings: list[Reading] = [meter(m, value) for m, value in enumerate(values)]
    readings += [r for m in range(75) for r in (vehicle(m, 0.9), vehicle(m, 0.5, "v-2"))]
    await write(database_url, readings)
    await roll(rollups, 45)
    for link in (a_link(18, 40), a_link(18, 20.5), a_link(18, None)):
        await put_link(declarer, link)
        fleet = fleet_of(readings, [link], energy_kinds={("meter", "m-1"): "register"})
        await check_answers(database_url, fleet, WINDOWS)
        await roll_all_marks(rollups)
        await check_answers(database_url, fleet, WINDOWS)


async def test_the_roller_waits_for_a_change_and_then_sees_it(
    rollups: Rollups, declarer: asyncpg.Connection, database_url: str, db: asyncpg.Connection
) -> None:
    """A late reading makes a new bucket while a change is under way: the change cannot mark what it cannot see."""
    await write(database_url, [meter(m, 1.0) for m in range(15)])
    await roll(rollups, 45)
    async with declarations_locked(declarer):
        await insert(declarer, [a_link(0, None)])
        await mark(declarer, [ChangedTimes("m-1", at(0), None)])
        await write(database_url, [meter(20, 1.0)])
        rolling = asyncio.create_task(rollups.roll_marked())
        await asyncio.sleep(0.3)
        assert not rolling.done()
        assert await db.fetchval("select count(*) from rollup_marks") == 1  # the writer's; the change is not committed
    await rolling
    await roll_all_marks(rollups)
    rolled = await db.fetch("select linked_vehicle, readings from meter_rollup_15m order by bucket")
    assert [tuple(row) for row in rolled] == [("v-1", 15), ("v-1", 1)]


async def test_a_change_waits_for_a_step_of_the_roller_and_marks_what_it_computed(
    rollups: Rollups, declarer: asyncpg.Connection, database_url: str, db: asyncpg.Connection
) -> None:
    await write(database_url, [meter(m, 1.0) for m in range(30)])
    await db.fetch(query("roll_close"), at(30))
    async with rollups_changed(rollups._connection):
        await rollups.compute(Rolled(at(0), at(30)))
        putting = asyncio.create_task(put_link(declarer, a_link(0, 20)))
        await asyncio.sleep(0.3)
        assert not putting.done()
    await putting
    assert await marked(db) == {("m-1", 0), ("m-1", 15)}


async def test_writers_do_not_wait_for_a_change(declarer: asyncpg.Connection, database_url: str) -> None:
    async with declarations_locked(declarer):
        await write(database_url, [meter(1, 1.0), vehicle(1, 1.0)])


async def test_rollups_of_archived_days_are_left_alone(
    rollups: Rollups, declarer: asyncpg.Connection, database_url: str, db: asyncpg.Connection
) -> None:
    await write(database_url, pairs(30))
    await roll(rollups, 30)
    days = await db.fetch(
        "select inhrelid::regclass::text from pg_inherits where inhparent = 'meter_history'::regclass"
    )
    for (name,) in days:
        if name <= f"meter_history_{at(0):%Y%m%d}":
            await db.execute(f"drop table {name}")
    await put_link(declarer, a_link(0, None))
    assert await marked(db) == set()
    rolled = await db.fetch(ROLLUP)
    assert [step async for step in rebuild(declarer, Window(at(0), at(30)))] == []
    assert await db.fetch(ROLLUP) == rolled
    assert rolled
