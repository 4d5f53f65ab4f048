"""Databases of a test's own, on a server that others use too."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from joulegate_cli.local.postgres import LocalPostgres
from joulegate_db.connect import MIGRATION_SETTINGS, connect


@asynccontextmanager
async def scratch_database(server: LocalPostgres, template: str = "template1") -> AsyncIterator[str]:
    """The URL of a new database for the length of the block, a copy of `template`: by default an empty one."""
    name = f"t_{secrets.token_hex(6)}"
    maintenance = await asyncpg.connect(server.url())
    await maintenance.execute(f"create database {name} template {template}")
    try:
        yield server.url(name)
    finally:
        await maintenance.execute(f"drop database {name} with (force)")
        await maintenance.close()


@asynccontextmanager
async def new_database(server: LocalPostgres) -> AsyncIterator[tuple[str, asyncpg.Connection]]:
    """An empty database for the length of the block: its URL and a connection that migrates."""
    async with scratch_database(server) as url:
        connection = await connect(url, MIGRATION_SETTINGS)
        try:
            yield url, connection
        finally:
            connection.terminate()
