"""Fills a database with a fleet's past in seconds: history and old rollups straight from SQL, the newest rolled by the real roller."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import asyncpg
import msgspec

from joulegate_cli.bench.statements import statement
from joulegate_core.errors import JoulegateError
from joulegate_db.charging import Charging
from joulegate_db.connect import ROLLER_SETTINGS, connect
from joulegate_db.presence import BUCKET
from joulegate_db.rollups import EnergyDefaults, Rollups
from joulegate_db.windows import bucket_of

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
DEFAULTS = EnergyDefaults("interval", "interval", 2000, timedelta(days=8))
ALL_PARTITIONS = "select ensure_partitions($1, $2)"
ROLLED_HOURS = timedelta(hours=26)
"""The real roller computes so much; it covers what the routes ask for by default."""


class Past(msgspec.Struct, frozen=True):
    """A fleet's past up to `now`: `pairs` of a meter and a vehicle; a reading a minute in the last `full_days` days, and one a quarter
    of an hour, with the rollups of that, in the days before.

    Full days of a long past would be hundreds of millions of rows, and no answer about the last 24 h reads them.
    """

    pairs: int
    days: int
    now: datetime
    full_days: int = 2

    @property
    def start(self) -> datetime:
        """The beginning: a midnight."""
        return _midnight(self.now) - self.days * DAY

    @property
    def full_since(self) -> datetime:
        """From when on there is a reading a minute: a midnight."""
        return max(self.start, _midnight(self.now) - self.full_days * DAY)


async def seed(url: str, past: Past, progress: Callable[[int, int], None]) -> None:
    """Fills the migrated database at `url`, which has no partitions yet.

    Args:
        progress: called with the days that are done, and with how many there are.

    Raises:
        JoulegateError: another roller is at work there.
    """
    async with seeder(url, past.pairs) as connection:
        await connection.execute(statement("seed_devices"), past.now)
        await _seed_history(connection, past, progress)
        await connection.fetchval(ALL_PARTITIONS, past.start.date(), (past.now + 2 * DAY).date())
        roll_from = max(past.start, bucket_of(past.now) - ROLLED_HOURS)
        await connection.execute(statement("seed_presence"), past.start, past.now)
        await connection.execute("set session_replication_role = replica")  # old buckets are not attributed
        for name in ("seed_meter_rollups", "seed_vehicle_rollups"):
            await connection.execute(statement(name), past.start, roll_from)
        await connection.execute("set session_replication_role = origin")
        await connection.execute(statement("seed_rolled"), roll_from)
        await connection.execute("analyze")
        async with roller(url) as rollups:
            async for _ in rollups.roll(past.now):
                pass
            await rollups.vacuum()
        charging = Charging(connection)
        while await charging.attribute():
            pass
        await charging.refresh()
        await connection.execute("vacuum analyze")


async def seed_charging(url: str, pairs: int, now: datetime) -> None:
    """Fills the migrated database at `url` with what the fleet's answer reads: attributed buckets of the last 26 h, no history."""
    until = bucket_of(now) - BUCKET
    async with seeder(url, pairs) as connection:
        await connection.fetchval(ALL_PARTITIONS, (now - 2 * DAY).date(), (now + 2 * DAY).date())
        await connection.execute(statement("seed_devices"), now)
        await connection.execute(statement("seed_charging"), until - ROLLED_HOURS, until)
        await connection.execute(statement("seed_rolled"), until)
        await Charging(connection).refresh()
        await connection.execute("vacuum analyze")


@asynccontextmanager
async def seeder(url: str, pairs: int) -> AsyncIterator[asyncpg.Connection]:
    """A connection that has the functions and the temporary table `fleet` of `pairs` pairs."""
    connection = await connect(url, ROLLER_SETTINGS)
    try:
        await connection.execute(statement("seed_functions").replace("$PAIRS", str(int(pairs))))
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def roller(url: str) -> AsyncIterator[Rollups]:
    """The real roller's hands, with its lock."""
    connection = await connect(url, ROLLER_SETTINGS)
    try:
        rollups = Rollups(connection, DEFAULTS)
        if not await rollups.lock():
            raise JoulegateError("another roller is at work in the bench's database")
        yield rollups
    finally:
        await connection.close()


async def _seed_history(connection: asyncpg.Connection, past: Past, progress: Callable[[int, int], None]) -> None:
    for number in range(past.days + 1):
        day = past.start + number * DAY
        step = MINUTE if day >= past.full_since else BUCKET
        await connection.execute("select pg_temp.seed_history($1, $2, $3)", day, min(day + DAY, past.now), step)
        progress(number + 1, past.days + 1)


def _midnight(ts: datetime) -> datetime:
    return ts.replace(hour=0, minute=0, second=0, microsecond=0)
