"""Databases on somebody's Citus cluster: nothing here starts one, and without a URL the tests are skipped."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from joulegate_core.clock import utc_now
from joulegate_db.citus import distribute
from joulegate_db.connect import MIGRATION_SETTINGS, connect
from joulegate_db.migrate import migrate
from joulegate_db.partitions import ensure_partitions
from oracle.strategies import BASE

VARIABLE = "JOULEGATE_TEST_CITUS_URL"
SHARDS = 4
NODES = "select nodename, nodeport, groupid = 0 as coordinator from pg_dist_node where noderole = 'primary' order by 3"


def cluster_url() -> str:
    """A superuser's URL of a database on the coordinator whose list of nodes has the coordinator and the workers."""
    url = os.environ.get(VARIABLE)
    if not url:
        pytest.skip(f"{VARIABLE} is not set: a superuser's URL of a Citus coordinator (README.md, Development)")
    return url


def on(url: str, database: str | None = None, node: asyncpg.Record | None = None) -> str:
    """The URL of another database, or on another node."""
    parts = urlsplit(url)
    netloc = parts.netloc
    if node is not None:
        login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        netloc = f"{login}{node['nodename']}:{node['nodeport']}"
    return urlunsplit(parts._replace(netloc=netloc, path=f"/{database}" if database else parts.path))


async def all_nodes() -> list[asyncpg.Record]:
    """The cluster's nodes, the coordinator last."""
    connection = await asyncpg.connect(cluster_url())
    nodes = await connection.fetch(NODES)
    await connection.close()
    return list(nodes)


async def _everywhere(url: str, nodes: list[asyncpg.Record], database: str, statement: str) -> None:
    for node in nodes:
        connection = await asyncpg.connect(url if node["coordinator"] else on(url, database, node))
        # each node has it from here, and none from another
        await connection.execute("set citus.enable_ddl_propagation = off")
        await connection.execute(statement)
        await connection.close()


@asynccontextmanager
async def empty_cluster_database(*, workers: bool = True) -> AsyncIterator[str]:
    """The URL of a fresh database on the coordinator, with the workers as nodes and nothing of joulegate's."""
    url = cluster_url()
    name = f"joulegate_t_{secrets.token_hex(6)}"
    nodes = await all_nodes()
    first = urlsplit(url).path[1:]
    await _everywhere(url, nodes, first, f"create database {name}")
    try:
        for node in nodes:
            connection = await asyncpg.connect(on(url, name, None if node["coordinator"] else node))
            await connection.execute("create extension citus")
            await connection.close()
        connection = await asyncpg.connect(on(url, name))
        await connection.execute(f"alter database {name} set citus.shard_count = {SHARDS}")
        await connection.execute(f"alter database {name} set citus.max_cached_conns_per_worker = 16")
        await connection.execute(f"alter database {name} set citus.override_table_visibility = off")
        for node in nodes:
            if not workers and not node["coordinator"]:
                continue
            function = "citus_set_coordinator_host" if node["coordinator"] else "citus_add_node"
            await connection.fetch(f"select {function}($1, $2)", node["nodename"], node["nodeport"])
        await connection.close()
        yield on(url, name)
    finally:
        connection = await asyncpg.connect(on(url, name))
        await connection.execute(
            "select recover_prepared_transactions()"
        )  # those of a test that failed keep a database
        await connection.close()
        await _everywhere(url, nodes, first, f"drop database {name} with (force)")


EMPTIED = (
    "meter_history, vehicle_history, meter_live, vehicle_live, devices, presence, links, meter_rollup_15m, vehicle_rollup_15m, "
    "register_baselines, rollup_marks, charging_marks, charging_15m, unattributed_15m, charging_24h, place_turns, alerts, quarantine"
)
BEGINNINGS = """
update roll_state set (closed_until, rolled_until, archived_until) = ('epoch', 'epoch', 'epoch');
update charging_state set (attributed_until, day_until, stale, day_unattributed) = ('epoch', 'epoch', true, 0);
"""


async def empty(url: str) -> None:
    """Takes all rows out of a database: to make a new one takes seconds."""
    connection = await asyncpg.connect(url)
    for table in EMPTIED.split(", "):
        await connection.execute(f"delete from {table}")
    await connection.execute(BEGINNINGS)
    await connection.close()


@asynccontextmanager
async def cluster_database() -> AsyncIterator[str]:
    """The URL of a fresh database with the schema of this version, distributed, and some partitions."""
    async with empty_cluster_database() as url:
        await prepare(url)
        yield url


async def prepare(url: str) -> None:
    """Makes the schema of this version, distributed, and some partitions."""
    connection = await connect(url, MIGRATION_SETTINGS)
    await migrate(connection)
    await distribute(connection)
    await ensure_partitions(connection, utc_now(), max_age_days=3)
    await ensure_partitions(connection, BASE + timedelta(days=1), max_age_days=1)  # of the oracle's readings
    await connection.close()


@contextmanager
def cluster_stand() -> Iterator[tuple[str, asyncio.Runner]]:
    """The same for all tests of a file, and an event loop to use it from."""
    with asyncio.Runner() as runner:
        database = cluster_database()
        url = runner.run(database.__aenter__())
        try:
            yield url, runner
        finally:
            runner.run(database.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[str, asyncio.Runner]]:
    """Such a stand for a file's tests."""
    with cluster_stand() as stand:
        yield stand
