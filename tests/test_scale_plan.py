"""docs/scale.md's table of what is distributed, beside the schema and the command: it misses no table, and no key stands in the way."""

import re
from pathlib import Path

import asyncpg
import pytest

from joulegate_db.citus import DISTRIBUTED, distributed_form
from joulegate_db.sql import query

TEXT = (Path(__file__).parent.parent / "docs/scale.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| (distributed|reference|local)[^|]*\| (?:`(\w+)`)? ?\|$", re.MULTILINE)
PLAN = {table: (kind, column) for table, kind, column in ROW.findall(TEXT)}

TABLES = """
select relname from pg_class
where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
"""
KEYS = """
select i.indrelid::regclass::text as table, array_agg(a.attname::text) as columns
from pg_index as i
join pg_class as c on c.oid = i.indrelid and not c.relispartition and c.relnamespace = 'public'::regnamespace
join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any(i.indkey[0:i.indnkeyatts - 1])
where i.indisunique or i.indisexclusion
group by i.indexrelid, i.indrelid
"""
COLUMNS = "select attname from pg_attribute where attrelid = $1::text::regclass and attnum > 0 and not attisdropped"


async def test_every_table_has_its_place(db: asyncpg.Connection) -> None:
    assert {row["relname"] for row in await db.fetch(TABLES)} == PLAN.keys()
    for table, (kind, column) in PLAN.items():
        assert bool(column) == (kind == "distributed"), table
        columns = {row["attname"] for row in await db.fetch(COLUMNS, table)}
        assert not column or column in columns, table


def test_the_command_does_what_the_table_says() -> None:
    assert {table: column for table, (kind, column) in PLAN.items() if kind == "distributed"} == DISTRIBUTED


@pytest.mark.parametrize(
    "name", ["conflicts_meter", "conflicts_vehicle", "register_readings_meter", "register_readings_vehicle"]
)
def test_what_has_another_form_there_has_no_limit_of_one(name: str) -> None:
    assert "limit 1\n" in query(name)
    assert "limit 1\n" not in distributed_form(query(name))


@pytest.mark.parametrize("stream", ["meter", "vehicle"])
def test_a_page_of_live_rows_is_joined_on_the_coordinator(stream: str) -> None:
    assert f"from (select * from {stream}_live where device > $1 offset 0) as live" in distributed_form(
        query(f"live_page_{stream}")
    )


async def test_every_unique_key_contains_the_column_of_distribution(db: asyncpg.Connection) -> None:
    keys = await db.fetch(KEYS)
    assert PLAN["meter_history"] == ("distributed", "device")
    assert DISTRIBUTED.keys() <= {row["table"] for row in keys}
    for row in keys:
        kind, column = PLAN[row["table"]]
        assert kind != "distributed" or column in row["columns"], row
