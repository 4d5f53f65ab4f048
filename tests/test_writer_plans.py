"""The writer's plans: made while a day's partition is empty, kept while it fills."""

import json
from collections.abc import Iterator
from datetime import timedelta

import asyncpg
import pytest
from msgspec.structs import astuple

from gateway_harness import Json
from joulegate_db.connect import WRITER_SETTINGS, connect
from joulegate_db.sql import query
from joulegate_db.streams import METER_TABLES, VEHICLE_TABLES, StreamTables
from writer_harness import NOW, meter_message, vehicle_message

STAGED = 200
KEPT = 20_000

FILL = {
    "stage_meter": "insert into meter_history select $1::timestamptz - n * interval '1 s', 1, 230, false, 'm-' || n % 50, 'cp-1'"
    " from generate_series(1, $2) as n",
    "stage_vehicle": "insert into vehicle_history select $1::timestamptz - n * interval '1 s', 1, 20, 50, false, 'v-' || n % 50, 'cp-1'"
    " from generate_series(1, $2) as n",
}


async def stage(connection: asyncpg.Connection, tables: StreamTables) -> None:
    """Stages readings of which history holds none."""
    make = meter_message if tables is METER_TABLES else vehicle_message
    contents = [make("new", seconds=number / 1000).content for number in range(STAGED)]
    await connection.copy_records_to_table(
        tables.stage, records=[astuple(content) for content in contents], columns=tables.columns
    )


def rows_read(plan: Json) -> Iterator[float]:
    """How many rows each node of the plan looked at."""
    yield plan["Actual Loops"] * (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0))
    for child in plan.get("Plans", []):
        yield from rows_read(child)


@pytest.mark.parametrize("tables", [METER_TABLES, VEHICLE_TABLES], ids=["meter", "vehicle"])
async def test_looking_for_conflicts_does_not_scan_history(
    database_url: str, db: asyncpg.Connection, tables: StreamTables
) -> None:
    connection = await connect(database_url, {**WRITER_SETTINGS, "plan_cache_mode": "force_generic_plan"})
    await connection.execute(query("stage"))
    bounds = f"'{(NOW - timedelta(days=1)).isoformat()}', '{(NOW + timedelta(days=1)).isoformat()}'"
    async with connection.transaction():
        await stage(connection, tables)
        await connection.execute(f"prepare conflicts (timestamptz, timestamptz) as {tables.conflicts}")
        await connection.execute(f"execute conflicts ({bounds})")  # the plan is made, and kept
    await db.execute(FILL[tables.stage], NOW, KEPT)
    async with connection.transaction():
        await stage(connection, tables)
        text = await connection.fetchval(f"explain (analyze, format json) execute conflicts ({bounds})")
    assert max(rows_read(json.loads(text)[0]["Plan"])) <= STAGED
    await connection.close()
