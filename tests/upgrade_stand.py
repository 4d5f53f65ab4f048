"""A database of any released schema with a fleet's data in it.

The data is made once, by today's writer and roller, at the newest schema. For a schema k every column that k has as well is copied
into it. So nothing is written down that could rot: a new migration is one more schema to start from, and a table without data
fails a test.
"""

import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from joulegate_core.telemetry import Message, Rejection, Stream
from joulegate_db import migrate as migrate_module
from joulegate_db.charging import Charging
from joulegate_db.migrate import migrate, shipped_migrations
from joulegate_db.partitions import ensure_partitions
from joulegate_db.rollups import Rollups
from joulegate_db.writer import Writer
from oracle import Fleet, Link, MeterPoint, VehiclePoint
from oracle.strategies import BASE
from oracle_stand import Step, begin, defaults, happen, message

TABLES = """
select relname from pg_class
where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition and relname <> 'schema_migrations'
order by relname
"""
COLUMNS = """
select attname from pg_attribute
where attrelid = to_regclass('public.' || $1) and attnum > 0 and not attisdropped and attgenerated = '' order by attnum
"""
IDENTITIES = """
select setval(pg_get_serial_sequence(table_name, column_name), 1000) from information_schema.columns
where table_schema = 'public' and is_identity = 'YES'
"""

EXTRAS = Path(__file__).parent / "upgrade_fleet.sql"

NEXT = timedelta(minutes=75)
"""Readings from here on come after the upgrade."""


def _meter(device: str, place: str, minutes: range, kwh: float, step: float = 0.0) -> Iterator[MeterPoint]:
    for n, minute in enumerate(minutes):
        yield MeterPoint(device, place, BASE + timedelta(minutes=minute), kwh + step * n)


def _vehicle(device: str, place: str, minutes: range, kwh: float, step: float = 0.0) -> Iterator[VehiclePoint]:
    for n, minute in enumerate(minutes):
        yield VehiclePoint(device, place, BASE + timedelta(minutes=minute), kwh + step * n, 20.0 + n % 7)


HOUR_AND_MORE = range(90)

FLEET = Fleet(
    meters=[
        *_meter("m-1", "cp-1", HOUR_AND_MORE, 1.0),
        *_meter("m-2", "cp-2", HOUR_AND_MORE, 1.5),
        *_meter("m-3", "cp-3", HOUR_AND_MORE, 0.8),
        *_meter("m-4", "cp-4", range(40), 500.0, 0.25),
        *_meter("m-4", "cp-4", range(44, 90), 0.5, 0.25),  # the register began anew
        *_meter("m-5", "cp-5", HOUR_AND_MORE, 0.1),  # nobody is there
    ],
    vehicles=[
        *_vehicle("v-1", "cp-1", HOUR_AND_MORE, 0.9),
        *_vehicle("v-2", "cp-2", HOUR_AND_MORE, 0.9),
        *_vehicle("v-3", "cp-2", range(0, 90, 2), 0.4),  # shares the feeder
        *_vehicle("v-4", "cp-6", HOUR_AND_MORE, 0.7),  # linked to m-3 for a while
        *_vehicle("v-5", "cp-4", HOUR_AND_MORE, 100.0, 0.2),
        *_vehicle("v-6", "cp-1", range(30, 44), 0.2),  # visits, and goes where no meter is
        *_vehicle("v-6", "cp-7", range(46, 90), 0.2),
    ],
    links=[Link("v-4", "m-3", BASE + timedelta(minutes=10), BASE + timedelta(minutes=70))],
    energy_kinds={("meter", "m-4"): "register", ("vehicle", "v-5"): "register"},
    max_kw_overrides={("meter", "m-4"): 22.0},
    max_kw=120.0,
)
LATE = {BASE + timedelta(minutes=minute) for minute in (7, 21, 22, 38)}
"""Readings of these minutes come after their quarter of an hour was closed."""

VEHICLES = sorted({point.device for point in FLEET.vehicles})


def after_the_upgrade() -> list[Message]:
    """The fleet's newest readings."""
    return [message(point) for point in (*FLEET.meters, *FLEET.vehicles) if point.ts >= BASE + NEXT]


def _before() -> tuple[list[Message], list[Message]]:
    points = [point for point in (*FLEET.meters, *FLEET.vehicles) if point.ts < BASE + NEXT]
    return [message(p) for p in points if p.ts not in LATE], [message(p) for p in points if p.ts in LATE]


async def fill(url: str) -> None:
    """Writes what came before the upgrade: rolled, with late readings on top of which a part is rolled again."""
    connection = await asyncpg.connect(url)
    rollups, charging = Rollups(connection, defaults(FLEET)), Charging(connection)
    assert await rollups.lock()
    await begin(connection, FLEET)
    await connection.execute(EXTRAS.read_text())
    await rollups.declare_defaults()
    in_time, late = _before()
    refused = Message(Stream.METER, "fleet/cp-1/meter", b"{", Rejection("bad_json", "no JSON"))
    writer = await Writer.open(url)
    try:
        await writer.write([*in_time, refused], BASE)
        for does in ("roll", "attribute"):
            await happen(rollups, charging, Step(does, 65))
        await charging.refresh()
        await writer.write(late[::2], BASE)
        await happen(rollups, charging, Step("roll_marked", 0))  # rolled, not attributed
        await writer.write([*late[1::2], refused], BASE)  # not even rolled
    finally:
        writer.terminate()
        await connection.close()


async def tables(connection: asyncpg.Connection) -> list[str]:
    """The schema's tables, without partitions and the list of migrations."""
    return [row[0] for row in await connection.fetch(TABLES)]


async def copy(source: asyncpg.Connection, target: asyncpg.Connection) -> None:
    """Copies the columns that both schemas have of every table of the target. Triggers do not fire: derived tables are copied, too."""
    await target.execute("set session_replication_role = replica")
    for table in await tables(target):
        theirs = {row[0] for row in await source.fetch(COLUMNS, table)}
        columns = [row[0] for row in await target.fetch(COLUMNS, table) if row[0] in theirs]
        assert columns, f"{table} is gone from the newest schema: write data for it in tests/upgrade_stand.py"
        await target.execute(f"delete from {table}")
        rows = io.BytesIO()
        await source.copy_from_query(f"select {', '.join(columns)} from {table}", output=rows, format="binary")
        rows.seek(0)
        await target.copy_to_table(table, source=rows, columns=columns, format="binary")
    await target.execute("reset session_replication_role")
    await target.fetch(IDENTITIES)


async def migrate_to(connection: asyncpg.Connection, version: int) -> None:
    """Brings the schema to a released version, as that version's joulegate did, with partitions for the fleet's days."""
    with pytest.MonkeyPatch.context() as older:
        older.setattr(migrate_module, "shipped_migrations", lambda: shipped_migrations()[:version])
        await migrate(connection)
    await ensure_partitions(connection, BASE + timedelta(days=1), max_age_days=1)
