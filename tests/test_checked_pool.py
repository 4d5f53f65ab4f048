"""Connections between two questions: kept, given up when idle, and replaced when the server has ended them."""

from typing import Any

import asyncpg
import pytest

from gateway_harness import eventually
from joulegate_db import checked_pool
from joulegate_db.checked_pool import CheckedPool, open_checked_pool
from joulegate_db.connect import READER_SETTINGS

PID = "select pg_backend_pid()"


async def pid_of_one(pool: CheckedPool) -> int:
    """The server's process that answers a question."""
    async with pool.connection() as connection:
        return int(await connection.fetchval(PID))


async def test_a_connection_serves_one_question_after_the_other(database_url: str) -> None:
    async with open_checked_pool(database_url, READER_SETTINGS, size=2, seconds=5) as pool:
        first = await pid_of_one(pool)
        async with pool.connection() as one:
            assert await one.fetchval(PID) == first
            assert await pid_of_one(pool) != first
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with pool.connection() as one:
                await one.fetchval("select 1 / 0")
        assert isinstance(await pid_of_one(pool), int)


async def test_one_that_the_server_has_ended_is_replaced(database_url: str, db: asyncpg.Connection) -> None:
    async with open_checked_pool(database_url, READER_SETTINGS, size=1, seconds=5) as pool:
        first = await pid_of_one(pool)
        await db.execute("select pg_terminate_backend($1)", first)

        async def is_gone() -> bool:
            return not await db.fetchval("select exists (select from pg_stat_activity where pid = $1)", first)

        await eventually(is_gone)
        assert await pid_of_one(pool) != first
        assert isinstance(await pid_of_one(pool), int)


async def test_what_has_had_no_question_for_long_goes_back_to_asyncpg(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose own timer closes it."""
    released = 0
    release = asyncpg.Pool.release

    async def noted(self: asyncpg.Pool, *arguments: Any, **named: Any) -> None:
        nonlocal released
        released += 1
        await release(self, *arguments, **named)

    monkeypatch.setattr(asyncpg.Pool, "release", noted)
    async with open_checked_pool(database_url, READER_SETTINGS, size=2, seconds=5) as pool:
        await pid_of_one(pool)
        assert released == 0
        monkeypatch.setattr(checked_pool, "KEEP_SECONDS", -1.0)
        await pid_of_one(pool)
        assert released == 1
