"""Attribution that follows what changes: each case is settled first, then touched in one place, and must be right elsewhere too."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from fleet_support import Plant, plant
from http_support import at, meter, vehicle

Row = tuple[float | None, float | None, str | None]
PAIRINGS = {None: None, 1: "shared", 2: "exclusive", 3: "link"}


@pytest.fixture
async def fleet(database_url: str) -> AsyncIterator[Plant]:
    """A plant whose devices publish intervals."""
    async with plant(database_url) as one:
        yield one


async def rows(db: asyncpg.Connection) -> dict[str, Row]:
    """By vehicle: AC, DC and pairing of its only bucket."""
    found = await db.fetch("select vehicle, ac, dc, pairing from charging_15m")
    assert len({row["vehicle"] for row in found}) == len(found)
    return {row["vehicle"]: (row["ac"], row["dc"], PAIRINGS[row["pairing"]]) for row in found}


async def unattributed(db: asyncpg.Connection) -> list[tuple[str, float]]:
    """What nobody could be given: charge points and kWh."""
    return [tuple(row) for row in await db.fetch("select charge_point, ac from unattributed_15m")]


async def link(db: asyncpg.Connection, vehicle_id: str, meter_id: str) -> None:
    """Links them for good, and marks the meter's bucket as a changed link does."""
    insert = "insert into links (vehicle, meter, valid) values ($1, $2, tstzrange($3, null))"
    await db.execute(insert, vehicle_id, meter_id, at(-600))
    await mark(db, meter_id)


async def mark(db: asyncpg.Connection, meter_id: str) -> None:
    """Marks the meter's first bucket to be rolled again."""
    await db.execute("insert into rollup_marks (bucket, device, kind) values ($1, $2, 'meter')", at(0), meter_id)


async def test_pro_rata_and_equally_when_nobody_received_anything(fleet: Plant, db: asyncpg.Connection) -> None:
    await fleet.write(meter(1, 4.0), vehicle(1, 1.0, "v-1"), vehicle(1, 2.0, "v-2"), vehicle(1, 0.0, "v-3"))
    await fleet.write(meter(1, 6.0, "m-2", "cp-2"), vehicle(1, 0.0, "v-4", "cp-2"), vehicle(1, 0.0, "v-5", "cp-2"))
    await fleet.settle(15)
    found = await rows(db)
    assert [found[name][0] for name in ("v-1", "v-2", "v-3")] == pytest.approx([4 / 3, 8 / 3, 0])
    assert (found["v-3"], found["v-4"], found["v-5"]) == ((0, 0, "shared"), (3, 0, "shared"), (3, 0, "shared"))


async def test_a_vehicle_with_its_own_meter_takes_no_share(fleet: Plant, db: asyncpg.Connection) -> None:
    await link(db, "v-1", "m-own")
    await fleet.write(meter(1, 4.0), meter(1, 1.5, "m-own", "cp-far"), vehicle(1, 1.0, "v-1"), vehicle(1, 1.0, "v-2"))
    await fleet.settle(15)
    assert await rows(db) == {"v-1": (1.5, 1, "link"), "v-2": (4, 1, "exclusive")}


async def test_a_touch_at_one_charge_point_keeps_what_came_from_another(fleet: Plant, db: asyncpg.Connection) -> None:
    await fleet.write(meter(1, 4.0), meter(1, 3.0, "m-2", "cp-2"), vehicle(1, 1.0), vehicle(10, 1.0, cp="cp-2"))
    await fleet.settle(15)
    await fleet.write(meter(2, 0.5))
    await fleet.settle(15)
    assert await rows(db) == {"v-1": (7.5, 2, "exclusive")}


async def test_a_share_is_right_when_another_sharer_was_touched_elsewhere(fleet: Plant, db: asyncpg.Connection) -> None:
    await fleet.write(meter(1, 4.0), vehicle(1, 1.0, "v-1"), vehicle(1, 3.0, "v-2"))
    await fleet.settle(15)
    await fleet.write(vehicle(10, 9.0, "v-2", "cp-2"), meter(10, 2.0, "m-2", "cp-2"))
    await fleet.settle(15)
    assert await rows(db) == {"v-1": (1, 1, "shared"), "v-2": (5, 12, "shared")}


async def test_a_link_given_and_taken_reaches_the_pool_the_vehicle_was_in(fleet: Plant, db: asyncpg.Connection) -> None:
    await fleet.write(meter(1, 4.0), meter(1, 1.5, "m-far", "cp-far"), vehicle(1, 1.0, "v-1"), vehicle(1, 1.0, "v-2"))
    await fleet.settle(15)
    before = {"v-1": (2, 1, "shared"), "v-2": (2, 1, "shared")}
    assert (await rows(db), await unattributed(db)) == (before, [("cp-far", 1.5)])
    await link(db, "v-1", "m-far")
    await fleet.settle(15)
    assert await rows(db) == {"v-1": (1.5, 1, "link"), "v-2": (4, 1, "exclusive")}
    assert await unattributed(db) == []
    await db.execute("delete from links")
    await mark(db, "m-far")
    await fleet.settle(15)
    assert (await rows(db), await unattributed(db)) == (before, [("cp-far", 1.5)])


async def test_a_vehicle_that_only_a_link_gave_energy_goes_with_the_link(fleet: Plant, db: asyncpg.Connection) -> None:
    await link(db, "v-mute", "m-1")
    await fleet.write(meter(1, 4.0))
    await fleet.settle(15)
    assert await rows(db) == {"v-mute": (4, None, "link")}
    await db.execute("delete from links")
    await mark(db, "m-1")
    await fleet.settle(15)
    assert (await rows(db), await unattributed(db)) == ({}, [("cp-1", 4)])
    assert await db.fetchval("select count(*) from charging_24h") == 0


async def test_ac_finds_the_vehicle_that_reported_late(fleet: Plant, db: asyncpg.Connection) -> None:
    await fleet.write(meter(1, 4.0))
    await fleet.settle(15)
    assert await unattributed(db) == [("cp-1", 4)]
    await fleet.write(vehicle(14, 3.0))
    await fleet.settle(15)
    assert (await rows(db), await unattributed(db)) == ({"v-1": (4, 3, "exclusive")}, [])
