"""The plans behind the answers: rollups by index-only scans; history, where it must be read, through primary keys, one range a
device; and no partition that the window does not touch."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from http_support import Json
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.clock import utc_now
from joulegate_db.charging import Charging
from joulegate_db.connect import PLAIN_READER_SETTINGS, READER_SETTINGS, ROLLER_SETTINGS, connect
from joulegate_db.evidence import Evidence, gather
from joulegate_db.fleet import EDGES
from joulegate_db.live import meter_state, vehicle_state
from joulegate_db.performance import DEGRADED_UNDER
from joulegate_db.plain import Question, plain_performances
from joulegate_db.rollups import EnergyDefaults, Rollups
from joulegate_db.sql import query
from joulegate_db.windows import Window

DATABASE = "t_explain"
ROLLED = "t_explain_rolled"
STEP_MINUTES = 5
MIDNIGHT = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
FIRST, LAST = MIDNIGHT - timedelta(days=4), MIDNIGHT

READINGS = ("_history", "_rollup_15m", "presence", "_live")

FILL = Path(__file__).with_name("explain_fill.sql").read_text()


class Explained:
    """Stands in for a connection: runs every statement, and keeps the plan that it was run by."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self.plans: list[Json] = []

    async def fetch(self, statement: str, *arguments: Any) -> Any:
        await self._explain(statement, *arguments)
        return await self._connection.fetch(statement, *arguments)

    async def fetchrow(self, statement: str, *arguments: Any) -> Any:
        await self._explain(statement, *arguments)
        return await self._connection.fetchrow(statement, *arguments)

    async def fetchval(self, statement: str, *arguments: Any) -> Any:
        await self._explain(statement, *arguments)
        return await self._connection.fetchval(statement, *arguments)

    async def _explain(self, statement: str, *arguments: Any) -> None:
        text = await self._connection.fetchval(f"explain (analyze, buffers, format json) {statement}", *arguments)
        self.plans.append(json.loads(text)[0]["Plan"])


@pytest.fixture(scope="module")
def filled(postgres_server: LocalPostgres) -> Iterator[str]:
    """The URL of a database with four full days of 200 pairs, and statistics."""
    asyncio.run(_fill(postgres_server))
    yield postgres_server.url(DATABASE)
    asyncio.run(_drop(postgres_server, DATABASE))


async def _fill(server: LocalPostgres) -> None:
    maintenance = await asyncpg.connect(server.url())
    await maintenance.execute(f"create database {DATABASE} template joulegate_template")
    await maintenance.close()
    connection = await asyncpg.connect(server.url(DATABASE))
    await connection.execute("select set_config('test.last', $1, false)", LAST.isoformat())
    await connection.execute(FILL)
    await connection.execute("vacuum analyze")
    await connection.close()


@pytest.fixture(scope="module")
def rolled(filled: str, postgres_server: LocalPostgres) -> Iterator[str]:
    """The URL of the same database with rollups up to the end of its history."""
    asyncio.run(_roll(postgres_server))
    yield postgres_server.url(ROLLED)
    asyncio.run(_drop(postgres_server, ROLLED))


async def _roll(server: LocalPostgres) -> None:
    maintenance = await asyncpg.connect(server.url())
    await maintenance.execute(f"create database {ROLLED} template {DATABASE}")
    await maintenance.close()
    connection = await connect(server.url(ROLLED), ROLLER_SETTINGS)
    rollups = Rollups(connection, EnergyDefaults("interval", "interval", 2000, timedelta(days=8)))
    assert await rollups.lock()
    async for _ in rollups.roll(LAST + timedelta(minutes=2)):
        pass
    await rollups.vacuum()
    charging = Charging(connection)
    while await charging.attribute():
        pass
    await charging.vacuum()
    # autovacuum may have held a table just then, which ours passes over: this waits for it
    await connection.execute("vacuum analyze")
    await connection.close()


async def _drop(server: LocalPostgres, name: str) -> None:
    maintenance = await asyncpg.connect(server.url())
    await maintenance.execute(f"drop database {name} with (force)")
    await maintenance.close()


async def explain(url: str, vehicle: str, window: Window) -> tuple[Evidence, list[Json]]:
    """The evidence for an answer, and the plans of its statements."""
    connection = await connect(url, READER_SETTINGS)
    explained: Any = Explained(connection)
    evidence = await gather(explained, vehicle, window)
    assert evidence is not None
    await connection.close()
    return evidence, explained.plans


def nodes(plan: Json) -> Iterator[Json]:
    """The plan's nodes, the plan itself first."""
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def scans(plans: list[Json]) -> list[Json]:
    """The nodes that read a table or an index of readings, and were run; small tables of declarations are left out."""
    return [
        node
        for plan in plans
        for node in nodes(plan)
        if ("Relation Name" in node or "Index Name" in node)
        and node["Actual Loops"]
        and any(name in str(node.get("Relation Name") or node["Index Name"]) for name in READINGS)
    ]


def buffers(plan: Json) -> int:
    """Pages that the statement looked at."""
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def tables(plans: list[Json], prefix: str) -> set[str]:
    """The tables in the plans whose name begins so, those included that were not read in the end."""
    return {node["Relation Name"] for node in scans(plans) if node.get("Relation Name", "").startswith(prefix)}


def partitions(stream: str, *days: datetime) -> set[str]:
    """The names of the partitions of those days."""
    return {f"{stream}_history_{day.astimezone(UTC):%Y%m%d}" for day in days}


YESTERDAY = Window(LAST - timedelta(hours=24), LAST)
OVER_MIDNIGHT = Window(FIRST + timedelta(hours=30), FIRST + timedelta(hours=54))
UNEVEN = Window(LAST - timedelta(hours=24, minutes=7), LAST - timedelta(minutes=4))


async def test_rollups_answer_by_index_only_scans(rolled: str) -> None:
    evidence, plans = await explain(rolled, "v-1", OVER_MIDNIGHT)
    assert (len(evidence.own), len(evidence.pooled), len(evidence.sharers)) == (96, 96, 96)
    for node in scans(plans):
        assert node["Node Type"] == "Index Only Scan", node
        assert node["Heap Fetches"] == 0
        assert "_history" not in node["Index Name"]
    assert sum(map(buffers, plans)) <= 60


async def test_history_is_read_for_the_edges_of_the_window_only(rolled: str) -> None:
    evidence, plans = await explain(rolled, "v-7", UNEVEN)
    assert sum(cell.readings for cell in evidence.own) == 289  # every five minutes from -24:05 to -0:05
    touched = [node for node in scans(plans) if "_history" in node.get("Relation Name", "")]
    assert touched
    assert all(node["Node Type"] in {"Index Scan", "Index Only Scan"} for node in touched)
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in touched) <= 2 * 2 * 15 / STEP_MINUTES


async def test_a_plain_answer_is_one_statement_of_few_pages_by_a_generic_plan(rolled: str) -> None:
    connection = await connect(rolled, PLAIN_READER_SETTINGS)
    explained: Any = Explained(connection)
    question = Question("v-7", UNEVEN)
    assert question.buckets
    assert all(await plain_performances(explained, question.buckets, [question]))
    [plan] = explained.plans
    await connection.close()
    for node in scans([plan]):
        assert node["Node Type"] in {"Index Scan", "Index Only Scan", "Bitmap Heap Scan", "Bitmap Index Scan"}, node
    [kept] = [node for node in nodes(plan) if "charging_15m" in node.get("Index Name", "")]
    assert (kept["Node Type"], kept["Heap Fetches"], kept["Actual Rows"]) == ("Index Only Scan", 0, 97)
    assert len(tables([plan], "vehicle_history")) <= 2
    assert len(tables([plan], "meter_history")) <= 2
    assert buffers(plan) <= 60
    checks = [
        node
        for node in nodes(plan)
        if node.get("Index Name", "").startswith(("rollup_m", "charging_m", "links", "dev"))
    ]
    assert len(checks) == 6
    for node in checks:  # however many there are, of other places: a plan is made when there are none
        assert "Index Cond" in node, node


async def test_before_anything_is_rolled_primary_keys_are_used(filled: str) -> None:
    evidence, plans = await explain(filled, "v-1", OVER_MIDNIGHT)
    assert (len(evidence.own), len(evidence.pooled), len(evidence.sharers)) == (96, 96, 96)
    for node in scans(plans):
        assert node["Node Type"] in {"Index Scan", "Index Only Scan", "Bitmap Heap Scan", "Bitmap Index Scan"}
        assert node.get("Index Name", "_pkey").endswith("_pkey")
        if "Index Name" in node:
            first = "charge_point" if "presence" in node["Index Name"] else "device"
            assert first in node["Index Cond"]


@pytest.mark.parametrize(
    ("window", "days"),
    [(YESTERDAY, [3]), (OVER_MIDNIGHT, [1, 2]), (Window(FIRST, FIRST + timedelta(hours=1)), [0])],
    ids=["a day", "over midnight", "an hour"],
)
async def test_only_the_windows_partitions_are_read(filled: str, window: Window, days: list[int]) -> None:
    _, plans = await explain(filled, "v-1", window)
    touched = [FIRST + timedelta(days=day) for day in days]
    assert tables(plans, "meter_history") == partitions("meter", *touched)
    assert tables(plans, "vehicle_history") == partitions("vehicle", *touched)


async def test_each_meter_and_each_other_vehicle_is_one_range(filled: str) -> None:
    _, plans = await explain(filled, "v-1", OVER_MIDNIGHT)
    for stream in ("meter", "vehicle"):
        ranges = [node for node in scans(plans) if node.get("Index Name", "").startswith(f"{stream}_history")]
        assert ranges
        assert {node["Actual Loops"] for node in ranges} == {1}


async def test_a_vehicle_alone_with_its_meter_reads_no_other_vehicle(filled: str) -> None:
    evidence, plans = await explain(filled, "v-7", YESTERDAY)
    assert (len(evidence.pooled), evidence.sharers) == (96, [])
    assert len([node for node in scans(plans) if "vehicle_history" in node.get("Index Name", "")]) == 1


async def test_pages_grow_with_the_vehicles_readings_and_not_with_the_fleet(filled: str) -> None:
    """At worst every reading is on a page of its own; a scan of one partition alone would be over 500."""
    readings = 24 * 60 // STEP_MINUTES
    _, plans = await explain(filled, "v-7", YESTERDAY)
    assert max(map(buffers, plans)) <= readings + 30
    assert sum(map(buffers, plans)) <= 2 * readings + 100


async def test_single_devices_are_looked_up_by_key(filled: str) -> None:
    connection = await connect(filled, READER_SETTINGS)
    explained: Any = Explained(connection)
    assert await vehicle_state(explained, "v-17", utc_now())
    assert await meter_state(explained, "m-17", utc_now())
    await connection.close()
    names = {node["Index Name"] for plan in explained.plans for node in nodes(plan) if "Index Name" in node}
    assert {"meter_live_pkey", "vehicle_live_pkey", "devices_pkey"} <= names
    assert all(node["Node Type"].startswith("Index") for node in scans(explained.plans))


async def test_the_fleets_sums_read_live_rows_once_and_no_quarters_where_the_day_is_kept(rolled: str) -> None:
    connection = await connect(rolled, READER_SETTINGS)
    explained: Any = Explained(connection)
    day, other = (Window(LAST - timedelta(hours=hours), LAST) for hours in (24, 25))
    for window, is_day in ((day, True), (other, False)):
        row = await explained.fetchrow(
            query("fleet_summary"), window.start, window.end, is_day, DEGRADED_UNDER, EDGES, 10, 1.0, 1
        )
        assert row["unseen"] == 4800
    await connection.close()
    for plan, quarters in zip(explained.plans, (0, 200), strict=True):
        live = [node for node in scans([plan]) if node.get("Relation Name") == "vehicle_live"]
        assert [node["Actual Loops"] for node in live] == [1]
        sums = [node for node in nodes(plan) if "charging_15m" in node.get("Index Name", "") and node["Actual Loops"]]
        assert max((node["Actual Loops"] for node in sums), default=0) >= quarters
        assert bool(sums) == bool(quarters)


async def test_whether_there_are_readings_is_told_by_one_row_of_each_stream(rolled: str) -> None:
    connection = await asyncpg.connect(rolled)
    explained: Any = Explained(connection)
    assert (await explained.fetchrow(query("doctor_rollups"), 100))["has_readings"]
    await connection.close()
    live = [node for node in scans(explained.plans) if "_live" in node.get("Relation Name", "")]
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in live) == 2
