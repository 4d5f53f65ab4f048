"""Permanent or passing: every SQLSTATE that asyncpg knows, and what a real server answers."""

import inspect
from typing import Any

import asyncpg
import pytest
from asyncpg import exceptions

from joulegate_core.errors import DatabaseUnavailableError
from joulegate_db.failures import DATABASE_ERRORS, describe, is_missing_partition, is_permanent, needs_new_connection

SECRET = "s3cr3t"


def known_errors() -> list[Any]:
    """Every class of asyncpg that stands for a SQLSTATE."""
    classes: list[Any] = [kind for _, kind in inspect.getmembers(exceptions, inspect.isclass)]
    return [kind for kind in classes if issubclass(kind, asyncpg.PostgresError) and kind.sqlstate is not None]


PASSING = [
    "0A000", "25006", "40001", "40P01", "42501", "42P01", "53100", "53300", "55P03", "57014", "57P01", "57P03", "58030",
    "08006", "XX000",
]  # fmt: skip
"""Those that cost a reading elsewhere when they are taken for permanent."""


def test_only_classes_22_and_23_are_permanent() -> None:
    for kind in known_errors():
        error = kind("message")
        if kind is asyncpg.CheckViolationError:
            error.constraint_name = "some_check"
        assert is_permanent(error) == (kind.sqlstate[:2] in {"22", "23"}), kind
        assert isinstance(error, DATABASE_ERRORS)
        assert describe(error).startswith(f"SQLSTATE {kind.sqlstate} {kind.__name__}")


def test_the_states_that_the_design_names_are_among_them() -> None:
    assert set(PASSING) <= {kind.sqlstate for kind in known_errors()}
    assert not any(is_permanent(kind("message")) for kind in known_errors() if kind.sqlstate in PASSING)


def test_when_the_connection_is_not_to_be_used_again() -> None:
    for error in (
        OSError(),
        TimeoutError(),
        asyncpg.InterfaceError("closed"),
        asyncpg.ReadOnlySQLTransactionError("m"),
    ):
        assert needs_new_connection(error)
    for kind in (asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError, asyncpg.CheckViolationError):
        assert not needs_new_connection(kind("m"))


@pytest.mark.parametrize(
    "error",
    [
        OSError("gone"),
        ConnectionResetError(),
        TimeoutError(),
        asyncpg.InterfaceError("connection is closed"),
        exceptions.ClientConfigurationError("a bad URL"),
        asyncpg.InternalClientError("unknown protocol state"),
        asyncpg.PostgresError("without a state"),
    ],
)
def test_what_is_not_the_server_s_verdict_passes(error: Exception) -> None:
    assert isinstance(error, DATABASE_ERRORS)
    assert not is_permanent(error)
    assert not is_missing_partition(error)
    assert describe(error)


async def failure_of(connection: asyncpg.Connection, statement: str, *arguments: object) -> Exception:
    """What the database answers to a statement that must fail."""
    try:
        await connection.execute(statement, *arguments)
    except DATABASE_ERRORS as error:
        return error
    pytest.fail("the statement succeeded")


INSERT = "insert into meter_history (ts, kwh, voltage, late, device, charge_point) values ($1::text::timestamptz, 1, $2, false, $3, 'c')"


async def test_a_missing_partition_is_no_verdict_on_the_row(db: asyncpg.Connection) -> None:
    error = await failure_of(db, INSERT, "2001-01-01", 1.0, SECRET)
    assert is_missing_partition(error)
    assert not is_permanent(error)
    assert SECRET not in describe(error)


async def test_a_check_constraint_is_a_verdict(db: asyncpg.Connection) -> None:
    await db.execute("alter table meter_history add constraint not_thirteen check (voltage <> 13)")
    error = await failure_of(db, INSERT, "now", 13.0, SECRET)
    assert is_permanent(error)
    assert not is_missing_partition(error)
    assert describe(error) == "SQLSTATE 23514 CheckViolationError, constraint not_thirteen"


@pytest.mark.parametrize("value", [1e300, "a\0b", "\ud800"])
async def test_a_value_that_cannot_be_stored_is_a_verdict(db: asyncpg.Connection, value: float | str) -> None:
    await db.execute("create temporary table stage (number real, text text)")
    record = (value, "") if isinstance(value, float) else (0.0, value)
    with pytest.raises(DATABASE_ERRORS) as caught:
        await db.copy_records_to_table("stage", records=[record], columns=("number", "text"))
    assert is_permanent(caught.value)
    assert await db.fetchval("select count(*) from stage") == 0  # the connection is fit for the next batch


async def test_the_cause_is_told_when_a_rollback_fails_too(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)

    async def lose_the_connection() -> None:
        async with connection.transaction():
            await connection.execute("select pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(asyncpg.InterfaceError) as caught:
        await lose_the_connection()
    assert describe(caught.value).startswith("SQLSTATE ")


def test_an_error_of_ours_is_told_in_its_own_words() -> None:
    assert describe(DatabaseUnavailableError("no route")) == "no route"


async def test_no_detail_of_a_row_is_repeated(db: asyncpg.Connection) -> None:
    await db.execute("insert into devices (device, kind) values ($1, 'meter')", SECRET)
    error = await failure_of(db, "insert into devices (device, kind) values ($1, 'meter')", SECRET)
    assert SECRET in str(getattr(error, "detail", ""))  # the server does say it
    assert describe(error) == "SQLSTATE 23505 UniqueViolationError, constraint devices_pkey"
