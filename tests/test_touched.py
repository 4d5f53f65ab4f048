"""What changes a rollup leaves its marks: this version by its own notes, a former one, and a person, by triggers."""

import re
from collections.abc import Callable
from importlib.resources import files

import asyncpg
import pytest

from fleet_support import plant
from http_support import Reading, at, meter, vehicle
from joulegate_db.links import LinkPut, delete_link, put_link
from joulegate_db.sql import query

CHANGES = re.compile(r"\b(?:insert into|update|delete from|truncate|merge into) (?:only )?\w+_rollup_15m\b")
MARKS = "select bucket, charge_point, vehicle from charging_marks order by 1, 2, 3"
INSERTED = """
insert into meter_rollup_15m (bucket, kwh, readings, late, device, charge_point, linked_vehicle)
values ($1, 1, 1, 0, 'm-1', 'cp-1', 'v-1'), ($1, 1, 1, 0, 'm-1', 'cp-2', '')
on conflict (device, bucket, charge_point, linked_vehicle) do update set kwh = excluded.kwh
"""
"""As a gateway of a former version rolls: without notes."""


def test_every_statement_that_changes_a_rollup_notes_it() -> None:
    statements = {
        entry.name: entry.read_text()
        for entry in (files("joulegate_db") / "queries").iterdir()
        if CHANGES.search(entry.read_text())
    }
    assert len(statements) == 9
    assert [name for name, text in statements.items() if "insert into rollup_touched " not in text] == []


async def test_without_notes_nothing_is_changed(db: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.UndefinedTableError, match="rollup_touched"):
        await db.execute(query("rollup_clear_meter"), at(0), at(15))


async def test_notes_are_of_a_transaction_and_marks_leave_with_it(database_url: str, db: asyncpg.Connection) -> None:
    async with plant(database_url) as one:
        await one.write(meter(1, 1.0), meter(2, 1.0, "m-1", "cp-2"), vehicle(1, 0.9))
        await one.roll(30)
        assert [tuple(row) for row in await db.fetch(MARKS)] == [(at(0), "cp-1", ""), (at(0), "cp-2", "")]
        assert await one.connection.fetchval("select count(*) from rollup_touched") == 0
        assert await db.fetch("select device from place_turns where returns is null") == [("m-1",)]


async def test_a_gateway_of_a_former_version_leaves_marks_beside_this_one(
    database_url: str, db: asyncpg.Connection
) -> None:
    async with plant(database_url) as one:
        await one.write(meter(1, 1.0))
        await one.settle(30)  # has notes
        await db.execute(INSERTED, at(0))
        expected = [(at(0), "cp-1", "v-1"), (at(0), "cp-2", "")]
        assert [tuple(row) for row in await db.fetch(MARKS)] == expected
        assert await db.fetch("select device from place_turns where returns is null") == [("m-1",)]
        await db.execute("delete from charging_marks; delete from place_turns")
        await db.execute("update meter_rollup_15m set kwh = 2 where linked_vehicle = 'v-1'")
        await db.execute("delete from meter_rollup_15m where charge_point = 'cp-2'")
        assert [tuple(row) for row in await db.fetch(MARKS)] == expected
        await one.charging.attribute()
        assert await db.fetchval("select ac from charging_15m where vehicle = 'v-1'") == pytest.approx(2)


async def test_what_is_noted_is_not_marked_by_triggers_as_well(db: asyncpg.Connection) -> None:
    await db.execute(query("rollup_touched_table"))
    await db.execute(INSERTED, at(0))
    assert await db.fetch(MARKS) == await db.fetch("select device from place_turns") == []


@pytest.mark.parametrize(("stream", "attributed"), [("meter", "ac"), ("vehicle", "dc")])
async def test_what_a_late_register_reading_changes_in_the_next_bucket_is_attributed(
    database_url: str, db: asyncpg.Connection, stream: str, attributed: str
) -> None:
    """Only its own bucket is rolled anew: the next one's row is set, as the difference to it is another one now."""
    make: Callable[[float, float], Reading] = meter if stream == "meter" else vehicle
    async with plant(database_url, energy="register") as one:
        await one.write(
            make(1, 10.0), make(20, 12.0), make(40, 15.0), *((vehicle(20, 1.0),) if stream == "meter" else ())
        )
        await one.settle(60)
        energy = f"select {attributed} from charging_15m where bucket = $1"
        assert await db.fetchval(energy, at(15)) == pytest.approx(2)
        await one.write(make(10, 11.5))
        await one.settle(60)
        assert await db.fetchval(energy, at(15)) == pytest.approx(0.5)


async def test_a_vehicle_whose_link_goes_away_gives_the_energy_back(database_url: str, db: asyncpg.Connection) -> None:
    """It was never there: nothing but the removed row says that it is concerned."""
    async with plant(database_url) as one:
        link, _ = await put_link(db, LinkPut("v-2", "m-1", at(0), None))
        await one.write(meter(1, 1.0))
        await one.settle(30)
        assert await db.fetchval("select ac from charging_15m where vehicle = 'v-2'") == 1
        await delete_link(db, link.id)
        await one.settle(30)
        assert await db.fetchval("select count(*) from charging_15m") == 0
        assert await db.fetchval("select ac from unattributed_15m") == 1
