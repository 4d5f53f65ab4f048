"""Logins of their own for a test, in the server's group roles."""

import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from joulegate_cli.local.postgres import USER

Logins = Callable[[str], Coroutine[Any, Any, str]]
"""Makes a login in a group role, and returns the URL of the test's database with it."""


@asynccontextmanager
async def logins(database_url: str) -> AsyncIterator[Logins]:
    """Gives a `Logins`; takes the logins away again, and what they have made."""
    owner = await asyncpg.connect(database_url)
    made = []

    async def make(role: str) -> str:
        name = f"l_{secrets.token_hex(6)}"
        await owner.execute(f"create role {name} login in role {role}")
        made.append(name)
        return database_url.replace(f"//{USER}@", f"//{name}@")

    try:
        yield make
    finally:
        for name in made:
            await owner.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1 and pid <> pg_backend_pid()",
                name,
            )
            await owner.execute(f"drop owned by {name}")
            await owner.execute(f"drop role {name}")
        await owner.close()
