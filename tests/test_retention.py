"""What is older than it is to be kept goes, in batches, and nothing that an answer or a late reading may need."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from prometheus_client import CollectorRegistry, Counter
from structlog.testing import capture_logs

from gateway_harness import eventually
from http_support import at, meter, vehicle, window, write
from joulegate_core.clock import utc_now
from joulegate_core.errors import SettingsError
from joulegate_core.settings import load_settings
from joulegate_db import retention as steps
from joulegate_db.connect import ROLLER_SETTINGS, connect
from joulegate_db.rebuild import rebuild
from joulegate_db.retention import Keep, remove_old
from joulegate_db.rollups import CLOSE_AFTER, EnergyDefaults, Rollups
from joulegate_gateway import retention
from joulegate_gateway.retention import Retention
from roles_support import logins

NOW = utc_now()
FOREVER = Keep(None, None, None)
FIVE_YEARS = timedelta(days=1830)
MONTHS = [datetime(2020, month, 1, tzinfo=UTC) for month in (1, 2, 3)]
PARTITIONS = "select count(*) from pg_class where relispartition and relkind = 'r'"
DERIVED = ("charging_15m", "meter_rollup_15m", "unattributed_15m", "vehicle_rollup_15m")


@pytest.fixture
async def roller(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The roller's connection, with the writer's rights only."""
    async with logins(database_url) as login:
        connection = await connect(await login("joulegate_writer"), ROLLER_SETTINGS)
        yield connection
        connection.terminate()


async def fill_2020(db: asyncpg.Connection) -> None:
    """Three months of what is derived, whose readings are gone; and presence of today."""
    for month in MONTHS:
        following = (month + timedelta(days=31)).replace(day=1)
        for parent in DERIVED:
            await db.execute(
                "select ensure_partition($1, $2, $3, $4)", parent, f"{month:%Y%m}", month.date(), following.date()
            )
        await db.execute(
            "insert into meter_rollup_15m (bucket, kwh, readings, late, device, charge_point, linked_vehicle) "
            "values ($1, 1, 1, 0, 'm-1', 'cp-1', '')", month,
        )  # fmt: skip
    await db.execute(
        "insert into presence (charge_point, bucket, kind, device) "
        "select 'cp-' || n, bucket, 'meter', 'm-' || n from generate_series(1, 7) as n, unnest($1::timestamptz[]) as bucket",
        [*MONTHS, NOW.replace(minute=0, second=0, microsecond=0)],
    )
    await db.execute("insert into devices (device, kind) values ('m-1', 'meter'), ('m-2', 'meter')")
    await db.execute(
        "insert into register_baselines (bucket, device, kind) select bucket, 'm-' || n, 'meter' "
        "from unnest($1::timestamptz[]) as bucket, generate_series(1, 2) as n",
        [*MONTHS, NOW],
    )


async def months(db: asyncpg.Connection) -> list[str]:
    """The partitions of 2020."""
    rows = await db.fetch("select relname from pg_class where relname ~ '_15m_2020..$' order by right(relname, 6), 1")
    return [row[0] for row in rows]


async def removed(connection: asyncpg.Connection, keep: Keep) -> dict[str, int]:
    """Rows that went by kind, and partitions."""
    sums: dict[str, int] = {}
    async for one in remove_old(connection, keep, NOW):
        sums[one.kind] = sums.get(one.kind, 0) + one.rows + (one.table is not None)
    return {kind: number for kind, number in sums.items() if number}


async def test_months_go_with_their_presence_and_the_rest_stays(
    roller: asyncpg.Connection, db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill_2020(db)
    kept = await db.fetchval(PARTITIONS)
    monkeypatch.setattr(steps, "BATCH", 4)  # of 21 and 6 old rows
    assert await removed(roller, FOREVER) == {}
    keep = Keep(NOW - datetime(2020, 2, 29, tzinfo=UTC), None, None)  # a month goes when all of it is old
    assert await removed(roller, keep) == {"rollups": 4, "presence": 7 + 2}
    assert await months(db) == [f"{parent}_2020{month}" for month in ("02", "03") for parent in DERIVED]
    assert await removed(roller, keep) == {}, "the same again removes nothing"
    assert await removed(roller, Keep(FIVE_YEARS, None, None)) == {"rollups": 8, "presence": 14 + 4}
    assert await months(db) == []
    assert await db.fetchval(PARTITIONS) == kept - 12, "and no other's"


async def test_months_go_whatever_way_the_catalog_is_read(roller: asyncpg.Connection, db: asyncpg.Connection) -> None:
    """A plan that looks through all tables meets names that are no months."""
    await fill_2020(db)
    await roller.execute("set enable_nestloop = off; set enable_mergejoin = off")
    assert (await removed(roller, Keep(FIVE_YEARS, None, None)))["rollups"] == 12


async def test_rollups_stay_as_long_as_their_readings_are_history(
    roller: asyncpg.Connection, db: asyncpg.Connection
) -> None:
    await fill_2020(db)
    await db.execute("select ensure_partition('vehicle_history', '20200215', '2020-02-15', '2020-02-16')")
    assert (await removed(roller, Keep(FIVE_YEARS, None, None)))["rollups"] == 4
    assert len(await months(db)) == 8
    await db.execute("update roll_state set archived_until = '2020-03-01 00:00:00+00'")  # an empty one, made anew
    assert (await removed(roller, Keep(FIVE_YEARS, None, None)))["rollups"] == 4
    assert len(await months(db)) == 4


async def test_an_answer_that_reads_an_old_month_is_not_held_up(
    roller: asyncpg.Connection, db: asyncpg.Connection
) -> None:
    await fill_2020(db)
    async with db.transaction():
        await db.fetch("select * from charging_15m")
        assert await removed(roller, Keep(FIVE_YEARS, None, None)) == {}
    assert (await removed(roller, Keep(FIVE_YEARS, None, None)))["rollups"] == 12


async def test_quarantine_keeps_what_comes_again(
    roller: asyncpg.Connection, db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "QUARANTINE_BATCH", 2)
    for number, (first, last) in enumerate(
        [(400, 400), (400, 1), (399, 399), (398, 380), (397, 396), (10, 10), (1, 1)]
    ):
        await db.execute(
            "insert into quarantine (first_seen, last_seen, topic, payload, reason, detail, digest) "
            "values ($1, $2, 't', $3, 'empty', '', $3)",
            NOW - timedelta(days=first), NOW - timedelta(days=last), str(number).encode(),
        )  # fmt: skip
    assert await removed(roller, Keep(None, timedelta(days=365), None)) == {"quarantine": 4}
    assert [row[0] for row in await db.fetch("select payload from quarantine order by id")] == [b"1", b"5", b"6"]
    assert await db.fetchval("select kept_rows from quarantine_totals where reason = 'empty'") == 3


async def test_open_alerts_stay(roller: asyncpg.Connection, db: asyncpg.Connection) -> None:
    for number, (opened, closed) in enumerate([(2000, 1999), (2000, 1), (2000, None), (1999, 1998)]):
        await db.execute(
            "insert into alerts (opened_at, closed_at, threshold, kind, device, device_kind, detail) "
            "values ($1, $2, 0, 'implausible', $3, 'vehicle', '')",
            NOW - timedelta(days=opened), closed and NOW - timedelta(days=closed), f"v-{number}",
        )  # fmt: skip
    assert await removed(roller, Keep(None, None, FIVE_YEARS)) == {"alerts": 2}
    assert [row[0] for row in await db.fetch("select device from alerts order by id")] == ["v-1", "v-2"]


@pytest.mark.parametrize("name", ["ROLLUP", "QUARANTINE", "ALERT"])
def test_nothing_is_younger_than_the_clock_window(name: str) -> None:
    name = f"JOULEGATE_{name}_KEEP_DAYS"
    for value in ("0", "31", "36600"):
        load_settings({name: value, "JOULEGATE_MAX_AGE_DAYS": "30"})
    with pytest.raises(SettingsError, match=rf"^{name} is not valid: expected 0 .* at least 31 here"):
        load_settings({name: "30", "JOULEGATE_MAX_AGE_DAYS": "30"})
    with pytest.raises(SettingsError, match=rf"^{name} is not valid: .*>= 0"):
        load_settings({name: "-1"})
    wide = retention.keep(load_settings({"JOULEGATE_MAX_AGE_DAYS": "3660"}))
    assert wide == Keep(*[timedelta(days=3661)] * 3), "the defaults give way"


async def test_the_gateway_removes_a_few_batches_a_round_and_tells(
    roller: asyncpg.Connection, db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill_2020(db)
    monkeypatch.setattr(steps, "BATCH", 4)
    monkeypatch.setattr(retention, "BATCHES_A_ROUND", 5)
    registry = CollectorRegistry()
    counter = Counter("removed", "", ["kind"], registry=registry)
    settings = load_settings({"JOULEGATE_ROLLUP_KEEP_DAYS": str((NOW - datetime(2020, 2, 29, tzinfo=UTC)).days)})
    upkeep = Retention(roller, settings, lambda: NOW, counter)
    with capture_logs() as logs:
        await upkeep.round()
        assert len(await months(db)) == 8
        assert not [one for one in logs if one["event"] == "retention_removed"], "presence is under way"

        async def done() -> bool:
            await upkeep.round()
            return any(one["event"] == "retention_removed" for one in logs)

        await eventually(done)
        await fill_again(db)
        await upkeep.round()
    assert registry.get_sample_value("removed_total", {"kind": "rollups"}) == 4
    assert registry.get_sample_value("removed_total", {"kind": "presence"}) == 9
    dropped = [one["table"] for one in logs if one["event"] == "retention_dropped"]
    assert dropped == [f"{parent}_202001" for parent in DERIVED]
    [told] = [one for one in logs if one["event"] == "retention_removed"]
    assert told["presence"] == 9
    assert json.dumps(told)
    assert await db.fetchval("select count(*) from presence where bucket < '2020-02-01'") == 1, "only every six hours"


async def fill_again(db: asyncpg.Connection) -> None:
    await db.execute(
        "insert into presence (charge_point, bucket, kind, device) values ('cp-1', '2020-01-01 00:00:00+00', 'meter', 'm-9')"
    )


async def test_rollups_of_restored_days_are_computed_anew_where_their_month_was_dropped(
    database_url: str, db: asyncpg.Connection
) -> None:
    await write(database_url, [one for n in range(60) for one in (meter(n, 0.1), vehicle(n, 0.07))])
    connection = await connect(database_url, ROLLER_SETTINGS)
    rollups = Rollups(connection, EnergyDefaults("interval", "interval", 2000, timedelta(days=8)))
    async for _ in rollups.roll(at(60) + CLOSE_AFTER):
        pass
    count = "select (select count(*) from meter_rollup_15m) + (select count(*) from vehicle_rollup_15m)"
    rolled = await db.fetchval(count)
    for parent in ("meter_rollup_15m", "vehicle_rollup_15m"):
        await db.execute(f"drop table {parent}_{at(0):%Y%m}")
    async for _ in rebuild(connection, window(0, 60)):
        pass
    connection.terminate()
    assert await db.fetchval(count) == rolled == 8
