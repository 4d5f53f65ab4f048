"""Daily partitions: for every day that the clock window can accept, by UTC, whatever the time zone of server or session."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from joulegate_db.connect import MIGRATION_SETTINGS, connect
from joulegate_db.partitions import ensure_partitions

NOW = datetime(2031, 9, 9, 12, 0, tzinfo=UTC)
"""Far from the partitions that the template has. Chile's clocks skip the midnight of 7 September, Egypt's of 25 April."""

BOUNDS = """
select parent.relname, child.relname, pg_get_expr(child.relpartbound, child.oid)
from pg_inherits
join pg_class as child on child.oid = inhrelid
join pg_class as parent on parent.oid = inhparent and parent.relkind = 'p'
where child.relname like '%_2031%' and parent.relname like '%_history'
order by 1, 2
"""

COUNT = "select count(*) from pg_class where relkind = 'r' and relispartition and relname like '%_2031%'"
"""Daily partitions of history and monthly ones of what is derived from it."""

INSERT = "insert into meter_history (ts, kwh, voltage, late, device, charge_point) values ($1, 1, 230, false, $2, 'c')"


def days(first: date, last: date) -> list[date]:
    """All days from `first` to `last`."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


async def bounds(db: asyncpg.Connection) -> set[tuple[str, str, str]]:
    """Parent, name and bounds of the partitions of 2031, the bounds in UTC."""
    await db.execute("set timezone = 'UTC'")
    return {tuple(row) for row in await db.fetch(BOUNDS)}


def expected_bounds(first: date, last: date) -> set[tuple[str, str, str]]:
    """The same for every day from `first` to `last`."""
    return {
        (
            parent,
            f"{parent}_{day:%Y%m%d}",
            f"FOR VALUES FROM ('{day} 00:00:00+00') TO ('{day + timedelta(days=1)} 00:00:00+00')",
        )
        for parent in ("meter_history", "vehicle_history")
        for day in days(first, last)
    }


async def test_the_whole_clock_window_and_two_days_ahead(db: asyncpg.Connection) -> None:
    first, last = date(2031, 9, 1), date(2031, 9, 11)
    assert await ensure_partitions(db, NOW, max_age_days=7) == await db.fetchval(COUNT)
    assert await bounds(db) == expected_bounds(first, last)
    for ts in (NOW - timedelta(days=7), NOW, NOW + timedelta(days=1), datetime(2031, 9, 2, 23, 59, 59, 999_999, UTC)):
        await db.execute(INSERT, ts, f"m-{ts}")
    with pytest.raises(asyncpg.CheckViolationError, match="no partition"):  # there is no DEFAULT partition
        await db.execute(INSERT, datetime(2031, 9, 12, tzinfo=UTC), "m")


async def test_a_second_call_does_nothing_and_a_new_day_adds_a_pair(db: asyncpg.Connection) -> None:
    await ensure_partitions(db, NOW, max_age_days=1)
    assert await ensure_partitions(db, NOW, max_age_days=1) == 0
    assert await ensure_partitions(db, NOW + timedelta(hours=11, minutes=59), max_age_days=1) == 0
    assert await ensure_partitions(db, NOW + timedelta(hours=12), max_age_days=1) == 2


@pytest.mark.parametrize("hour", [0, 12, 23])
@pytest.mark.parametrize(
    "zone", ["America/Santiago", "Africa/Cairo", "Pacific/Kiritimati", "America/New_York", "Asia/Kolkata"]
)
async def test_days_are_utc_in_every_time_zone(db: asyncpg.Connection, zone: str, hour: int) -> None:
    now = {"Africa/Cairo": datetime(2031, 4, 28, tzinfo=UTC)}.get(zone, NOW).replace(hour=hour)
    await db.execute(f"set timezone = '{zone}'")
    await ensure_partitions(db, now, max_age_days=7)
    assert (await db.fetchval("show timezone")) == zone  # the session keeps its own
    first, last = (now - timedelta(days=8)).date(), (now + timedelta(days=2)).date()
    assert await bounds(db) == expected_bounds(first, last)


async def test_a_database_with_a_time_zone_of_its_own(database_url: str, db: asyncpg.Connection) -> None:
    name = await db.fetchval("select current_database()")
    await db.execute(f"alter database {name} set timezone = 'America/Santiago'")
    connection = await connect(database_url, MIGRATION_SETTINGS)
    await ensure_partitions(connection, NOW, max_age_days=7)
    await connection.close()
    assert await bounds(db) == expected_bounds(date(2031, 9, 1), date(2031, 9, 11))


async def test_callers_at_the_same_time_share_the_work(database_url: str, db: asyncpg.Connection) -> None:
    connections = [await connect(database_url, MIGRATION_SETTINGS) for _ in range(6)]
    created = await asyncio.gather(*(ensure_partitions(c, NOW, max_age_days=7) for c in connections))
    for connection in connections:
        await connection.close()
    assert sum(created) == await db.fetchval(COUNT)
    assert len(await bounds(db)) == 22


async def test_writers_and_readers_do_not_hold_it_up(database_url: str, db: asyncpg.Connection) -> None:
    connection = await connect(database_url, {**MIGRATION_SETTINGS, "lock_timeout": "2s"})
    async with db.transaction():
        await db.execute(INSERT, datetime.now(UTC), "m-1")
        await db.fetchval("select count(*) from meter_history")
        assert await ensure_partitions(connection, NOW, max_age_days=7) >= 22
    await connection.close()


async def test_rollups_have_a_partition_for_every_month_that_is_touched(db: asyncpg.Connection) -> None:
    await ensure_partitions(db, datetime(2031, 3, 5, tzinfo=UTC), max_age_days=30)
    made = await db.fetch(
        "select relname from pg_class where relispartition and relname like 'meter_rollup_15m_2031__'"
    )
    assert {row["relname"] for row in made} == {f"meter_rollup_15m_2031{month}" for month in ("02", "03")}


async def test_partitions_have_the_primary_key(db: asyncpg.Connection) -> None:
    await ensure_partitions(db, NOW, max_age_days=7)
    await db.execute(INSERT, NOW, "m-1")
    with pytest.raises(asyncpg.UniqueViolationError):
        await db.execute(INSERT, NOW, "m-1")
