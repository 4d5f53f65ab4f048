"""`joulegate migrate`: brings the database's schema to this version."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from joulegate_core.settings import Settings


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 when the schema is not this version's.")
    ] = False,
    citus: Annotated[
        bool,
        typer.Option(
            "--citus",
            help="Also distribute history, live rows and rollups by device over the workers of a Citus cluster.",
        ),
    ] = False,
) -> None:
    """Applies the migrations that the database lacks. Safe to run again, and from several places at once."""
    import asyncio

    from joulegate_core.settings import load_settings

    settings = load_settings(os.environ)
    asyncio.run(_check(settings, citus=citus) if check else _migrate(settings, citus=citus))


async def _migrate(settings: "Settings", *, citus: bool) -> None:
    from joulegate_core.clock import utc_now
    from joulegate_db.citus import DISTRIBUTED, distribute
    from joulegate_db.connect import MIGRATION_SETTINGS, connect, unavailable
    from joulegate_db.failures import DATABASE_ERRORS
    from joulegate_db.migrate import migrate as apply_migrations
    from joulegate_db.partitions import ensure_partitions
    from joulegate_db.roles import missing_roles

    connection = await connect(settings.database_url, MIGRATION_SETTINGS)
    try:
        applied = await apply_migrations(connection)
        for migration in applied:
            print(f"applied {migration.version:04d} {migration.name}")
        if citus:
            for table in await distribute(connection):
                print(f"distributed {table} by {DISTRIBUTED[table]}")
        created = await ensure_partitions(connection, utc_now(), max_age_days=settings.max_age_days)
        print(f"schema is current; {created} partitions created")
        if missing := await missing_roles(connection):
            print(f"note: {_how_to_make(missing)}")
    except DATABASE_ERRORS as error:  # no rights, a lock that is held, a full disk
        raise unavailable(error) from error
    finally:
        await connection.close()


async def _check(settings: "Settings", *, citus: bool) -> None:
    from joulegate_db.citus import require_distributed
    from joulegate_db.connect import MIGRATION_SETTINGS, connect
    from joulegate_db.migrate import require_schema

    connection = await connect(settings.database_url, MIGRATION_SETTINGS)
    try:
        await require_schema(connection)
        if citus:
            await require_distributed(connection)
    finally:
        await connection.close()
    print("schema is current")


def _how_to_make(missing: list[str]) -> str:
    """For an administrator; an installation with one login needs none of them."""
    statements = " ".join(f"create role {name} nologin;" for name in missing)
    return (
        f"this login may not create roles, which services with fewer rights need (docs/roles.md). To use them, as one who may: {statements}"
        " Then run `joulegate migrate` again"
    )
