"""Numbered, forward-only migrations, each in a transaction of its own, checksummed, under an advisory lock."""

import hashlib
import re
from functools import cache
from importlib.resources import files

import asyncpg
import msgspec

from joulegate_core.errors import SchemaMismatchError
from joulegate_db.citus import require_none_or_all
from joulegate_db.roles import grant_roles
from joulegate_db.sql import query

MINIMUM_SERVER_VERSION = 15


class Migration(msgspec.Struct, frozen=True):
    """One file `migrations/NNNN_name.sql`; `checksum` is the SHA-256 of its text."""

    version: int
    name: str
    sql: str
    checksum: str


@cache
def shipped_migrations() -> tuple[Migration, ...]:
    """The migrations of this version of joulegate, in order."""
    found = []
    for entry in (files("joulegate_db") / "migrations").iterdir():
        if match := re.fullmatch(r"(\d{4})_(\w+)\.sql", entry.name):
            text = entry.read_text(encoding="utf-8")
            digest = hashlib.sha256(text.encode()).hexdigest()
            found.append(Migration(version=int(match[1]), name=match[2], sql=text, checksum=digest))
    return tuple(sorted(found, key=lambda migration: migration.version))


async def migrate(connection: asyncpg.Connection) -> list[Migration]:
    """Applies what is missing and returns it, and sees to the roles' rights.

    Two callers at the same time: one waits, then finds nothing to do.

    Raises:
        SchemaMismatchError: the database is newer than this version, an applied migration was changed, or the server
            is too old or stores another encoding than UTF-8.
    """
    _require_server(connection)
    await connection.execute(query("migration_lock"))
    try:
        await connection.execute(query("migration_table"))
        applied = await _applied(connection)
        _require_known(applied)
        missing = [m for m in shipped_migrations() if m.version not in applied]
        for migration in missing:
            async with connection.transaction():
                await connection.execute(migration.sql)
                await connection.execute(
                    query("migration_insert"), migration.version, migration.name, migration.checksum
                )
        await grant_roles(connection)
    finally:
        await connection.execute(query("migration_unlock"))
    return missing


async def require_schema(connection: asyncpg.Connection) -> None:
    """Returns when the schema is exactly this version's, on a cluster too.

    Raises:
        SchemaMismatchError: it is older (run `joulegate migrate`), newer (upgrade joulegate), or was changed; or it is distributed as an
            older version did.
    """
    applied = await _applied(connection) if await connection.fetchval(query("migration_table_exists")) else {}
    _require_known(applied)
    missing = [m.version for m in shipped_migrations() if m.version not in applied]
    if missing:
        raise SchemaMismatchError(
            f"the database's schema is at version {max(applied, default=0)}, this joulegate needs {missing[-1]}: run `joulegate migrate`"
        )
    await require_none_or_all(connection)


async def _applied(connection: asyncpg.Connection) -> dict[int, str]:
    return {row["version"]: row["checksum"] for row in await connection.fetch(query("migration_applied"))}


def _require_server(connection: asyncpg.Connection) -> None:
    version = connection.get_server_version().major
    if version < MINIMUM_SERVER_VERSION:
        raise SchemaMismatchError(f"PostgreSQL {version} is too old: {MINIMUM_SERVER_VERSION} or newer is needed")
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":  # quarantine keeps topics of any characters
        raise SchemaMismatchError(f"the database's encoding is {encoding}: create it with encoding UTF8")


def _require_known(applied: dict[int, str]) -> None:
    shipped = {migration.version: migration.checksum for migration in shipped_migrations()}
    for version, checksum in applied.items():
        if version not in shipped:
            raise SchemaMismatchError(
                f"the database's schema is at version {version}, newer than this joulegate knows: upgrade joulegate"
            )
        if shipped[version] != checksum:
            raise SchemaMismatchError(
                f"migration {version:04d} in the database is not the one shipped: restore the shipped file, migrations never change"
            )
