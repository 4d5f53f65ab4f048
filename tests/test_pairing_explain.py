"""The plans behind the shapes: one range of an index for each device, from rollups without their tables, and no other partition."""

from pathlib import Path
from typing import Any

import asyncpg

from http_support import Json
from joulegate_core.telemetry import Stream
from joulegate_db.connect import READER_SETTINGS, connect
from joulegate_db.shape_reader import read_minutes, read_shapes
from joulegate_db.windows import Window
from pairing_support import roll
from test_explain import FIRST, LAST, YESTERDAY, Explained, partitions, scans, tables

FILL = Path(__file__).with_name("explain_fill.sql").read_text()
DEVICES = [f"v-{n}" for n in range(1, 201)]


def of_stream(plans: list[Json], kind: str) -> list[Json]:
    """The nodes that read the vehicles' history or rollups, indexes included."""
    return [node for node in scans(plans) if node.get("Index Name", "").startswith(f"vehicle_{kind}")]


async def test_shapes_are_read_through_indexes(database_url: str, db: asyncpg.Connection) -> None:
    await db.execute("select set_config('test.last', $1, false)", LAST.isoformat())
    await db.execute(FILL)
    await roll(database_url)
    await db.execute("vacuum analyze")
    connection = await connect(database_url, READER_SETTINGS)
    explained: Any = Explained(connection)
    shapes = await read_shapes(explained, Stream.VEHICLE, DEVICES, YESTERDAY)
    assert {len(shape.charging) for shape in shapes.values()} == {96}
    rolled = of_stream(explained.plans, "rollup")
    assert rolled
    assert {node["Node Type"] for node in rolled} == {"Index Only Scan"}
    assert all("device" in node["Index Cond"] for node in rolled)
    assert tables(explained.plans, "vehicle_history") == set()

    explained.plans.clear()
    minutes = await read_minutes(explained, Stream.VEHICLE, DEVICES[:5], Window(FIRST, YESTERDAY.start))
    assert len(minutes) == 5
    raw = of_stream(explained.plans, "history")
    assert raw
    assert all("device" in node["Index Cond"] for node in raw)
    assert not [
        node
        for node in scans(explained.plans)
        if node["Node Type"] == "Seq Scan" and "history" in node["Relation Name"]
    ]
    assert tables(explained.plans, "vehicle_history") <= partitions(
        "vehicle", *(FIRST + n * (LAST - FIRST) / 4 for n in range(3))
    )
    await connection.close()
