"""Old days of a simulated fleet, rolled and attributed, in a database of their own; and what must not change when they are archived."""

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from databases import scratch_database
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.clock import utc_now
from joulegate_core.telemetry import Message, MeterReading, Stream, VehicleReading
from joulegate_db.charging import Charging
from joulegate_db.connect import ROLLER_SETTINGS, connect
from joulegate_db.rollups import EnergyDefaults, Rollups
from joulegate_db.writer import Writer
from joulegate_simulator.fleet import build_fleet

DEFAULTS = EnergyDefaults("interval", "interval", 2000, timedelta(days=8))
FIRST = (utc_now() - timedelta(days=40)).date()
SECOND = FIRST + timedelta(days=1)
NAMES = [f"{stream}_history_{day:%Y%m%d}" for stream in ("meter", "vehicle") for day in (FIRST, SECOND)]

RUN = "from joulegate_cli.main import main; main()"

KILLED_AT = """
import os, signal
from joulegate_cli.archive import command
def tell(step, day):
    print(day, step, flush=True)
    if step == {step!r}:
        os.kill(os.getpid(), signal.SIGKILL)
command.tell = tell
"""

ROLLUPS = """
select 'm', device, bucket, charge_point, kwh, readings, resets, jumps from meter_rollup_15m where bucket < $1
union all
select 'v', device, bucket, charge_point, kwh, readings, resets, jumps from vehicle_rollup_15m where bucket < $1
order by 1, 2, 3, 4
"""


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


async def make_old_days(url: str, *, pairs: int, days: int) -> None:
    """A reading a minute of each of `pairs` meters and vehicles from FIRST on, as the simulator measures them."""
    last = FIRST + timedelta(days=days - 1)
    connection = await connect(url, ROLLER_SETTINGS)
    await connection.fetchval("select ensure_partitions($1, $2)", FIRST, last)
    writer = await Writer.open(url)
    fleet = build_fleet(pairs, 1, at_ms=int(midnight(FIRST).timestamp() * 1000))
    for hour in range(24 * days):
        batch = []
        for minute in range(60):
            for number, site in enumerate(fleet):
                ts = midnight(FIRST) + timedelta(hours=hour, minutes=minute, milliseconds=60_000 * number // pairs)
                site.step(int(ts.timestamp() * 1000), 60)
                (ac,), (dc,) = site.meters, site.vehicles
                meter = MeterReading(ac.meter_id, ac.place, ts, round(ac.kwh, 9), round(ac.volts, 2), late=False)
                temp, soc = round(dc.temperature, 2), round(dc.soc, 3)
                vehicle = VehicleReading(dc.vehicle_id, dc.place, ts, round(dc.kwh_dc, 9), soc, temp, late=False)
                batch += [Message(Stream.METER, "", b"", meter), Message(Stream.VEHICLE, "", b"", vehicle)]
        await writer.write(batch, midnight(FIRST) + timedelta(hours=hour + 1))
    writer.terminate()
    await settle(connection)
    connection.terminate()


async def settle(connection: asyncpg.Connection, defaults: EnergyDefaults = DEFAULTS) -> None:
    """What a gateway's roller does until nothing is left."""
    rollups = Rollups(connection, defaults)
    assert await rollups.lock()
    await rollups.declare_defaults()
    async for _ in rollups.roll(utc_now()):
        pass
    while await rollups.roll_marked():
        pass
    charging = Charging(connection)
    while await charging.attribute():
        pass
    await charging.refresh()


@pytest.fixture(scope="module")
def template(postgres_server: LocalPostgres) -> str:
    """The name of a database with two old days of five pairs."""
    name = f"a_{secrets.token_hex(6)}"

    async def make() -> None:
        maintenance = await asyncpg.connect(postgres_server.url())
        await maintenance.execute(f"create database {name} template joulegate_template")
        await maintenance.close()
        await make_old_days(postgres_server.url(name), pairs=5, days=2)

    asyncio.run(make())
    return name


@pytest.fixture
async def url(postgres_server: LocalPostgres, template: str) -> AsyncIterator[str]:
    """A copy of it."""
    async with scratch_database(postgres_server, template) as url:
        yield url


@pytest.fixture
async def old(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to it."""
    connection = await asyncpg.connect(url)
    yield connection
    connection.terminate()


async def rows(db: asyncpg.Connection, stream: str) -> list[tuple[Any, ...]]:
    """All readings of the two old days, in the order of the files."""
    return [
        tuple(row)
        for row in await db.fetch(
            f"select * from {stream}_history where ts < $1 order by ts::date, device, ts",
            midnight(FIRST + timedelta(days=2)),
        )
    ]


async def rollups(db: asyncpg.Connection) -> list[tuple[Any, ...]]:
    """The rollups of the old days."""
    return [tuple(row) for row in await db.fetch(ROLLUPS, midnight(FIRST + timedelta(days=2)))]


async def old_tables(db: asyncpg.Connection) -> list[str]:
    """The day tables of the old days, attached or not, and what is being restored."""
    found = await db.fetch(
        "select relname from pg_class where relkind = 'r' and relname ~ '_history_[0-9]{8}$' and right(relname, 8) <= $1 order by 1",
        f"{FIRST + timedelta(days=5):%Y%m%d}",
    )
    return [row["relname"] for row in found]


def archive(url: str, *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Runs `joulegate archive` after the statements `before`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOULEGATE_")}
    return subprocess.run(
        [sys.executable, "-c", before + "\n" + RUN, "archive", *arguments],
        env=kept | {"JOULEGATE_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def to(folder: Path, days: int = 30) -> tuple[str, ...]:
    """The options that archive into `folder`."""
    return ("--older-than", f"{days}d", "--to", str(folder))


def in_files(folder: Path, stream: str) -> list[tuple[Any, ...]]:
    """All readings of the archive, day by day, as they lie in the files, by a reader that knows nothing of us."""
    duckdb = pytest.importorskip("duckdb")
    found: list[tuple[Any, ...]] = []
    for path in sorted(folder.glob(f"{stream}_history/*/readings.parquet")):
        table = duckdb.sql(f"select * exclude (day) from read_parquet('{path}', hive_partitioning = true)")
        found += table.fetchall()
    return found


def comparable(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Decimals as the floats that they stand for; `real` columns to their six digits."""
    return [
        tuple(
            one.timestamp() if hasattr(one, "timestamp") else f"{float(one):.6g}" if i > 1 and not isinstance(one, str | bool) else
            float(one) if not isinstance(one, str | bool) else one
            for i, one in enumerate(row)
        )
        for row in found
    ]  # fmt: skip
