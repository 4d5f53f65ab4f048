"""What a quarter of an hour costs the roller on a Citus cluster: closed, rolled and attributed, beside one server.

    JOULEGATE_TEST_CITUS_URL=... PYTHONPATH=tests .venv/bin/python bench/citus_roll.py 20000 3 8        # devices, turns, shards

In turns: one server of its own; a database of somebody's cluster with history distributed; one with the rollups, too.
"""

import asyncio
import sys
from contextlib import ExitStack

import citus_harness
from citus_harness import empty_cluster_database
from joulegate_cli.bench.roll import RollResult, _measure
from joulegate_cli.bench.servers import bench_servers
from joulegate_db import citus
from joulegate_db.connect import MIGRATION_SETTINGS, connect
from joulegate_db.migrate import migrate

HISTORY = {"meter_history": "device", "vehicle_history": "device"}


async def on_a_cluster(devices: int, tables: dict[str, str]) -> RollResult:
    """One measurement in a database of its own, with `tables` distributed."""
    async with empty_cluster_database() as url:
        connection = await connect(url, MIGRATION_SETTINGS)
        await migrate(connection)
        citus.DISTRIBUTED.clear()
        citus.DISTRIBUTED.update(tables)
        await citus.distribute(connection)
        await connection.close()
        return await _measure(url, devices, RollResult)


def main() -> None:
    """Prints a line for each measurement."""
    devices, turns, citus_harness.SHARDS = (int(argument) for argument in sys.argv[1:4])
    everything = dict(citus.DISTRIBUTED)
    with ExitStack() as stack:
        servers = stack.enter_context(bench_servers())
        for turn in range(turns):
            show("one server", asyncio.run(_measure(servers.create_database(f"roll_{turn}"), devices, RollResult)))
            show("history distributed", asyncio.run(on_a_cluster(devices, HISTORY)))
            show("rollups, too", asyncio.run(on_a_cluster(devices, everything)))


def show(name: str, result: RollResult) -> None:
    print(
        f"{name:20} rolled in {result.seconds:.2f} s, attributed in {result.attribute_seconds:.2f} s, vacuum {result.vacuum_seconds:.2f} s",
        flush=True,
    )


main()
