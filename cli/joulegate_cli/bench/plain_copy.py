"""The baseline of writing: a plain COPY of the same rows, ready in the wire's binary form, into equal tables without partitions."""

import asyncio
import io
import time

from joulegate_cli.bench.statements import statement
from joulegate_db.connect import MIGRATION_SETTINGS, connect

TABLES = {"meter_history": "plain_meter", "vehicle_history": "plain_vehicle"}


def copied_per_second(url: str) -> float:
    """How many rows a second a COPY of all history into plain tables takes, commit included."""
    return asyncio.run(_copy(url))


def rows_in_history(url: str) -> int:
    """How many readings history holds."""
    return asyncio.run(_count(url))


async def _count(url: str) -> int:
    connection = await connect(url, MIGRATION_SETTINGS)
    counts = [int(await connection.fetchval(f"select count(*) from {history}")) for history in TABLES]
    await connection.close()
    return sum(counts)


async def _copy(url: str) -> float:
    connection = await connect(url, MIGRATION_SETTINGS)
    await connection.execute(statement("plain_tables"))
    rows, seconds = 0, 0.0
    for history, plain in TABLES.items():
        binary = io.BytesIO()
        await connection.copy_from_query(f"table {history}", output=binary, format="binary")
        binary.seek(0)
        started = time.perf_counter()
        status = await connection.copy_to_table(plain, source=binary, format="binary")
        seconds += time.perf_counter() - started
        rows += int(status.split()[1])
    await connection.close()
    return rows / seconds
