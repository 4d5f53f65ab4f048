"""The schema on Citus: which tables are distributed, and what differs where they are (docs/scale.md, docs/adr/0008).

Histories, live rows and rollups are distributed by device and co-located. All else stays on the coordinator, which every gateway, sidecar
and command connects to: advisory locks, marks and the order of transactions are those of one server, as everywhere.
"""

import re

import asyncpg

from joulegate_core.errors import SchemaMismatchError
from joulegate_db.sql import query

DISTRIBUTED = dict.fromkeys(
    ("meter_history", "vehicle_history", "meter_live", "vehicle_live", "meter_rollup_15m", "vehicle_rollup_15m"),
    "device",
)
"""Table to the column that it is distributed by."""

ROLLUPS = {"meter_rollup_15m", "vehicle_rollup_15m"}

FIRST = "meter_history"
"""The others' rows lie where its rows of the same device lie."""

INSTALL = (
    "the database has no extension citus: put citus into shared_preload_libraries of the coordinator and of every worker, run "
    "`create extension citus` as a superuser in the database of this name on each, then citus_set_coordinator_host and "
    "citus_add_node on the coordinator (docs/scale.md)"
)
ROLLING = "a gateway rolls: stop all gateways and sidecars, then run `joulegate migrate --citus` again"
ADD_WORKERS = (
    "no worker takes shards: run `select citus_add_node('worker', 5432)` for each worker, connected to the coordinator"
)


async def is_distributed(connection: asyncpg.Connection) -> bool:
    """Whether readings, and all that is made of one device's readings, are on a cluster's workers.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: the database failed.
    """
    return bool(await _distributed(connection))


_LISTED = re.compile(r"from (meter_live|vehicle_live) as live -- listed, from \$1 on\n")


async def form(connection: asyncpg.Connection, statement: str) -> str:
    """The text of `statement` for this database: another one where a table that it names is distributed.

    Citus cannot send a LIMIT or OFFSET in a lateral subquery to the shards. The statements that are brought here say the same without;
    on one server it keeps the planner on one range of an index a device. A page of live rows is joined with tables of the
    coordinator, which Citus would send to every shard and join row by row: all live rows behind the cursor $1 are fetched first.

    Raises:
        as `is_distributed`.
    """
    there = await _distributed(connection)
    return distributed_form(statement) if any(table in statement for table in there) else statement


def distributed_form(statement: str) -> str:
    """The text of `statement` where its tables are distributed."""
    statement = statement.replace("limit 1\n", "\n").replace("offset 0\n", "\n")
    return _LISTED.sub(r"from (select * from \1 where device > $1 offset 0) as live\n", statement)


async def settle_writers(connection: asyncpg.Connection) -> None:
    """Returns when the readings that this server shows as committed are committed on the workers, too; at once where none are.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: the database failed, or a worker is away.
    """
    if await is_distributed(connection):
        await connection.execute(query("citus_settled"), "joulegate.close")


async def settle_rollups(connection: asyncpg.Connection) -> None:
    """As `settle_writers`, of the rollups.

    Raises:
        as `settle_writers`.
    """
    if await is_distributed(connection):
        await connection.execute(query("citus_settled"), "joulegate.declarations")


async def distribute(connection: asyncpg.Connection) -> list[str]:
    """Distributes what is not distributed yet, with the rows in it, and returns the tables' names. It locks each table meanwhile.

    Args:
        connection: the owner's, on the coordinator, with the schema of this version.

    Raises:
        SchemaMismatchError: there is no cluster to distribute on, or a gateway rolls; the message says what to do.
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: the database failed. What was distributed is whole.
    """
    if not await connection.fetchval(query("citus_installed")):
        raise SchemaMismatchError(INSTALL)
    if not await connection.fetchval(query("citus_workers")):
        raise SchemaMismatchError(ADD_WORKERS)
    there = await _distributed(connection)
    missing = [table for table in DISTRIBUTED if table not in there]
    await connection.execute(query("citus_settle"))
    if ROLLUPS & set(missing):
        if not await connection.fetchval(query("roll_lock")):  # to the connection's end
            raise SchemaMismatchError(ROLLING)
        await connection.execute(query("citus_drop_triggers"))
    for table in missing:
        beside = "none" if table == FIRST else FIRST
        await connection.execute(query("citus_distribute"), table, DISTRIBUTED[table], beside)
        await connection.execute(query("citus_truncate_local"), table)
    return missing


async def require_distributed(connection: asyncpg.Connection) -> None:
    """Returns when all that is to be distributed is.

    Raises:
        SchemaMismatchError: it is not.
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: the database failed.
    """
    _require_all(await _distributed(connection))


async def require_none_or_all(connection: asyncpg.Connection) -> None:
    """Returns when nothing is distributed, or all that is to be: what an older version distributed is not enough.

    Raises:
        as `require_distributed`.
    """
    if there := await _distributed(connection):
        _require_all(there)


def _require_all(there: set[str]) -> None:
    if missing := DISTRIBUTED.keys() - there:
        raise SchemaMismatchError(
            f"not distributed: {', '.join(sorted(missing))}. Run `joulegate migrate --citus` with gateways and sidecars stopped"
        )


async def _distributed(connection: asyncpg.Connection) -> set[str]:
    if not await connection.fetchval(query("citus_installed")):
        return set()
    return {row["relname"] for row in await connection.fetch(query("citus_distributed"), list(DISTRIBUTED))}
