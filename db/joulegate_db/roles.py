"""Group roles with no more rights than a service needs, which logins are made members of (docs/roles.md).

The owner migrates and archives; `joulegate_writer` is the gateway's, `joulegate_reader` that of who only looks, and `joulegate_operator`
that of who also changes links and devices and replays quarantine. Roles belong to the cluster, their rights to each database.
"""

import asyncpg

from joulegate_db.sql import query


async def grant_roles(connection: asyncpg.Connection) -> None:
    """Makes the roles that are missing, where that is allowed, and brings their rights in this database to this version's.

    Args:
        connection: the owner's, who migrates; nobody else may do so meanwhile.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: the database failed; nothing was granted.
    """
    await connection.execute(query("roles_create"))
    await connection.execute(query("roles_grant"))


async def missing_roles(connection: asyncpg.Connection) -> list[str]:
    """The roles that are not there, because who migrated may not make any. Only who wants to use them needs them."""
    return [row["wanted"] for row in await connection.fetch(query("roles_missing"))]
