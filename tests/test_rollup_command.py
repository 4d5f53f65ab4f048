"""`joulegate rollup`: how far the rollups are, and history computed into them anew, with a roller at work or without."""

import asyncio
import os
import pty
import subprocess
from collections.abc import AsyncIterator

import asyncpg
import pytest

from command_support import COMMAND, done, joulegate
from declarations_support import DEFAULTS, ROLLUP, a_link, roll, roll_all_marks
from http_support import Reading, at, meter, vehicle, write
from joulegate_core.telemetry import Stream
from joulegate_db.charging import Charging
from joulegate_db.connect import ROLLER_SETTINGS, connect
from joulegate_db.declarations import DECLARER_SETTINGS, declarations_locked
from joulegate_db.devices import Declaration, declare_devices
from joulegate_db.links import put_link, rfc3339
from joulegate_db.rebuild import rebuild
from joulegate_db.rollups import Rollups
from joulegate_db.windows import Window

VEHICLES = "select * from vehicle_rollup_15m order by device, bucket, charge_point"
ATTRIBUTED = """
select vehicle, bucket, round(ac::numeric, 9), round(dc::numeric, 9), vehicle_readings, meter_readings, pairing, charge_point, meter
from charging_15m
union all
select '', bucket, round(ac::numeric, 9), null, readings, 0, 0, charge_point, ''
from unattributed_15m
order by 1, 2, 8
"""
PHANTOM = """
with known as (insert into devices (device, kind) values ('v-9', 'vehicle')),
seen as (insert into presence (bucket, charge_point, kind, device) values ($1, 'cp-9', 'vehicle', 'v-9'))
insert into vehicle_rollup_15m (bucket, kwh, temperatures, gap, first_ts, last_ts, readings, late, device, charge_point)
values ($1, 1, 25, 0, $1, $1, 1, 0, 'v-9', 'cp-9')
"""
"""A vehicle that never was."""

BASELINES = "select * from register_baselines order by device, kind, bucket"


@pytest.fixture
async def rollups(database_url: str) -> AsyncIterator[Rollups]:
    """The roller's hands, with the roller's lock, as a running gateway has it."""
    connection = await connect(database_url, ROLLER_SETTINGS)
    rollups = Rollups(connection, DEFAULTS)
    assert await rollups.lock()
    yield rollups
    connection.terminate()


async def fill(url: str, rollups: Rollups) -> None:
    """Six hours of two pairs, one linked, one of them a register, all rolled but the last half hour."""
    connection = await connect(url, DECLARER_SETTINGS)
    await declare_devices(connection, [Declaration(Stream.METER, "m-2", "register")])
    await put_link(connection, a_link(20, 200))
    await connection.close()
    readings: list[Reading] = []
    for m in range(0, 360, 2):
        readings += [meter(m, 0.5), meter(m, 7.0 + m % 50, "m-2", "cp-2")]
        readings += [vehicle(m, 0.25), vehicle(m, 0.5, "v-2", "cp-2")]
    await write(url, readings)
    await roll(rollups, 330)
    await roll_all_marks(rollups)


async def contents(connection: asyncpg.Connection) -> list[list[asyncpg.Record]]:
    """All that is derived."""
    return [await connection.fetch(statement) for statement in (ROLLUP, VEHICLES, BASELINES)]


async def attribute(rollups: Rollups) -> list[asyncpg.Record]:
    """Attributes what the roller's rollups leave to attribute; whose energy it is then."""
    charging = Charging(rollups._connection)
    while await charging.attribute():
        pass
    rows: list[asyncpg.Record] = await rollups._connection.fetch(ATTRIBUTED)
    return rows


def between(start: float, end: float) -> tuple[str, ...]:
    """The options of a rebuild, in minutes after ten."""
    return ("rollup", "rebuild", "--from", rfc3339(at(start)), "--to", rfc3339(at(end)))


async def test_a_rebuild_heals_what_is_damaged_beside_a_running_roller(
    rollups: Rollups, database_url: str, db: asyncpg.Connection
) -> None:
    await fill(database_url, rollups)
    sound = await contents(db)
    assert all(sound)
    attributed = await attribute(rollups)
    assert attributed
    await db.execute("update meter_rollup_15m set kwh = kwh + 1, linked_vehicle = 'v-7' where bucket = $1", at(30))
    await db.execute("delete from meter_rollup_15m where bucket = $1", at(195))
    await db.execute("update vehicle_rollup_15m set charge_point = 'cp-9' where bucket = $1", at(45))
    await db.execute(PHANTOM, at(90))
    await db.execute("update register_baselines set kwh = 3 where bucket = $1", at(60))
    await db.execute(
        "insert into register_baselines values ($1, null, null, 'm-1', 'meter')", at(75)
    )  # it is no register
    assert await contents(db) != sound
    assert await attribute(rollups) != attributed
    assert done(database_url, *between(31, 196)) == "rollups computed anew for 3 hours\n"
    assert await contents(db) == sound
    assert await attribute(rollups) == attributed


async def test_a_rebuild_leaves_the_rest_alone(rollups: Rollups, database_url: str, db: asyncpg.Connection) -> None:
    """Of an interval device; a register's computation begins a bucket earlier, where its baseline is known."""
    await fill(database_url, rollups)
    damage = "update meter_rollup_15m set kwh = 99 where device = 'm-1' and bucket in ($1, $2)"
    await db.execute(damage, at(15), at(45))
    damaged = await contents(db)
    assert done(database_url, *between(30, 45)) == "rollups computed anew for 0.25 hours\n"
    assert await contents(db) == damaged
    open_ones = await db.fetchval("select count(*) from meter_rollup_15m where bucket >= $1", at(330))
    done(database_url, "rollup", "rebuild", "--from", "1970-01-01T00:00:00Z", "--to", rfc3339(at(100_000)))
    assert await db.fetchval("select count(*) from meter_rollup_15m where kwh = 99") == 0
    assert await db.fetchval("select count(*) from meter_rollup_15m where bucket >= $1", at(330)) == open_ones == 0
    assert await db.fetchval("select rolled_until from roll_state") == at(330)


async def test_a_rebuild_computes_with_what_the_roller_declared(
    rollups: Rollups, database_url: str, db: asyncpg.Connection
) -> None:
    """The gateway may run with other settings than the command."""
    await fill(database_url, rollups)
    await db.execute("update roll_state set vehicle_energy = 'register'")
    done(database_url, *between(0, 330))
    # a register's readings that stand still are worth nothing
    assert await db.fetchval("select sum(kwh) from vehicle_rollup_15m") == 0


async def test_a_rebuild_that_is_begun_anew_by_other_settings_ends(
    rollups: Rollups, database_url: str, db: asyncpg.Connection
) -> None:
    """In mid-rebuild a gateway starts with other settings: nothing is rolled any more, and nothing is declared rolled."""
    await fill(database_url, rollups)
    steps = rebuild(db, Window(at(0), at(330)))
    first = await anext(steps)
    assert (first.since, first.until) == (at(0), at(180))
    await rollups._connection.execute("update roll_state set rolled_until = 'epoch'")
    assert [step async for step in steps] == []
    assert await db.fetchval("select rolled_until = 'epoch' from roll_state")


async def test_a_rebuild_and_a_step_of_the_roller_take_turns(
    rollups: Rollups, database_url: str, db: asyncpg.Connection
) -> None:
    await fill(database_url, rollups)
    async with declarations_locked(db):
        rolling = asyncio.create_task(roll(rollups, 360))
        await asyncio.sleep(0.3)
        assert not rolling.done()
    await rolling
    assert await db.fetchval("select rolled_until from roll_state") == at(360)


async def test_the_bar_is_shown_on_a_terminal(rollups: Rollups, database_url: str) -> None:
    await fill(database_url, rollups)
    terminal, far_end = pty.openpty()
    environment = {**os.environ, "JOULEGATE_DATABASE_URL": database_url, "TERM": "xterm", "COLUMNS": "120"}
    try:
        result = subprocess.run(
            [*COMMAND, *between(0, 330)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=far_end,
            timeout=60,
            check=True,
        )
        shown = os.read(terminal, 65536)
    finally:
        os.close(terminal)
        os.close(far_end)
    assert result.stdout == b"rollups computed anew for 5.5 hours\n"
    assert b"rebuilding" in shown


async def test_the_status(rollups: Rollups, database_url: str, db: asyncpg.Connection) -> None:
    empty = done(database_url, "rollup", "status")
    assert "nothing is rolled yet" in empty
    assert "waiting   0 " in empty
    assert done(database_url, *between(0, 60)).startswith("nothing to do")
    await fill(database_url, rollups)
    await write(database_url, [meter(1.5, 1.0), meter(2.5, 1.0), vehicle(1.5, 1.0)])
    await write(database_url, [meter(3.5, 1.0)])
    lines = done(database_url, "rollup", "status").splitlines()
    assert lines[0].split() == ["rolled", "until", rfc3339(at(330))]
    assert lines[1].split() == ["closed", "until", rfc3339(at(330))]
    assert lines[2].startswith("marks waiting   2 ")
    assert await db.fetchval("select count(*) from rollup_marks") > 2


@pytest.mark.parametrize(
    "times",
    [
        ("2026-05-02T00:00:00Z", "2026-05-02T00:00:00Z"),
        ("now", "2026-05-02T00:00:00Z"),
        ("2026-05-01T00:00:00", "2026-05-02T00:00:00Z"),
    ],
)
def test_wrong_usage(times: tuple[str, str]) -> None:
    result = joulegate(
        "postgresql://joulegate@127.0.0.1:1/none", "rollup", "rebuild", "--from", times[0], "--to", times[1]
    )
    assert (result.returncode, result.stdout) == (2, "")
