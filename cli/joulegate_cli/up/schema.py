"""Brings the database of `up` to this version."""

import asyncpg

from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.clock import utc_now
from joulegate_db.connect import MIGRATION_SETTINGS, connect
from joulegate_db.migrate import migrate
from joulegate_db.partitions import ensure_partitions


async def prepare_database(postgres: LocalPostgres, name: str, *, max_age_days: int) -> str:
    """Creates the database when it is missing, migrates it and makes its partitions; returns what was done."""
    maintenance = await connect(postgres.url(), MIGRATION_SETTINGS)
    try:
        if not await maintenance.fetchval("select exists (select from pg_database where datname = $1)", name):
            await maintenance.execute(f"create database {name}")
    finally:
        await maintenance.close()
    connection = await connect(postgres.url(name), MIGRATION_SETTINGS)
    try:
        return await _bring_up_to_date(connection, max_age_days=max_age_days)
    finally:
        await connection.close()


async def _bring_up_to_date(connection: asyncpg.Connection, *, max_age_days: int) -> str:
    applied = await migrate(connection)
    created = await ensure_partitions(connection, utc_now(), max_age_days=max_age_days)
    return f"{len(applied)} migrations applied, {created} partitions created"
