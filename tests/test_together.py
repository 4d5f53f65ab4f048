"""Questions that come while others are answered go in one statement; none waits long for others, nor fails with who left."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import pytest

from fleet_support import Plant, plant
from http_support import window
from joulegate_core.errors import DatabaseUnavailableError
from joulegate_db import together
from joulegate_db.checked_pool import CheckedPool, open_checked_pool
from joulegate_db.connect import PLAIN_READER_SETTINGS
from joulegate_db.performance import Performance
from joulegate_db.plain import Buckets, Question, plain_performances
from joulegate_db.together import MOST, STATEMENTS, PlainQuestions
from test_performance_answer import pair

WINDOW = window(5, 55)
VEHICLES = 40


@pytest.fixture
async def settled(database_url: str) -> AsyncIterator[Plant]:
    """Forty pairs with an hour of readings, settled up to 10:45."""
    async with plant(database_url) as one:
        await one.write(
            *(
                reading
                for number in range(1, VEHICLES + 1)
                for reading in pair(range(60), ac=1.0, dc=0.5 + number / 100, number=number, cp=f"cp-{number}")
            )
        )
        await one.settle(45)
        yield one


@pytest.fixture
async def pool(settled: Plant, database_url: str) -> AsyncIterator[CheckedPool]:
    async with open_checked_pool(database_url, PLAIN_READER_SETTINGS, size=8, seconds=15.0) as pool:
        yield pool


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many questions each statement that was begun had."""
    sizes: list[int] = []

    async def counted(
        connection: asyncpg.Connection, buckets: Buckets, questions: Sequence[Question]
    ) -> list[Performance | None]:
        sizes.append(len(questions))
        return await plain_performances(connection, buckets, questions)

    monkeypatch.setattr(together, "plain_performances", counted)
    return sizes


@asynccontextmanager
async def held(db: asyncpg.Connection) -> AsyncIterator[None]:
    """No statement of a plain answer ends before the block does."""
    async with db.transaction():
        await db.execute("lock table links in access exclusive mode")
        yield


def about(number: int) -> Question:
    return Question(f"v-{number}", WINDOW)


async def test_who_asks_alone_does_not_wait_and_those_who_come_meanwhile_share_a_statement(
    pool: CheckedPool, statements: list[int]
) -> None:
    questions = PlainQuestions(pool)
    await questions.ask(about(1))
    assert statements == [1]
    answers = await asyncio.gather(*(questions.ask(about(number)) for number in range(1, VEHICLES + 1)))
    ratios = [answer.efficiency_ratio for answer in answers if answer]
    assert ratios == pytest.approx([0.5 + number / 100 for number in range(1, VEHICLES + 1)])
    assert sorted(statements[1:]) == [*[1] * STATEMENTS, VEHICLES - STATEMENTS - 2 * MOST, MOST, MOST]


async def test_questions_about_other_buckets_are_not_forgotten(pool: CheckedPool, statements: list[int]) -> None:
    questions = PlainQuestions(pool)
    asked = [Question("v-1", window(5, 40 + minute)) for minute in range(0, 60, 5)] * 2
    answers = await asyncio.gather(*map(questions.ask, asked))
    assert [answer.window for answer in answers if answer] == [one.window for one in asked]
    assert len({one.buckets for one in asked}) < len(statements) < len(asked)


async def test_a_window_without_an_edge_between_two_buckets_is_no_plain_question(
    pool: CheckedPool, statements: list[int]
) -> None:
    assert await PlainQuestions(pool).ask(Question("v-1", window(5, 10))) is None
    assert statements == []


async def test_a_slow_statement_does_not_hold_the_others(
    pool: CheckedPool, statements: list[int], db: asyncpg.Connection
) -> None:
    questions = PlainQuestions(pool)
    await questions.ask(about(1))
    async with held(db):
        asked = [asyncio.create_task(questions.ask(about(number))) for number in range(1, 4 * MOST)]
        async with asyncio.timeout(10):
            while sum(statements) < 1 + len(asked):
                await asyncio.sleep(0.01)
        assert not any(one.done() for one in asked)
    assert len([answer for answer in await asyncio.gather(*asked) if answer]) == VEHICLES


async def test_all_of_a_statement_that_fails_are_told_and_the_next_is_answered(
    pool: CheckedPool, db: asyncpg.Connection
) -> None:
    questions = PlainQuestions(pool)
    await questions.ask(about(1))
    async with held(db):
        asked = [asyncio.create_task(questions.ask(about(number))) for number in (1, 2, 3)]
        await asyncio.sleep(0.2)
        await db.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'joulegate-http'"
            " and datname = current_database()"
        )
        failures = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in failures] == [DatabaseUnavailableError] * 3
    assert await questions.ask(about(1)) is not None


async def test_who_leaves_takes_nothing_from_the_others(
    pool: CheckedPool, statements: list[int], db: asyncpg.Connection
) -> None:
    questions = PlainQuestions(pool)
    await questions.ask(about(1))
    async with held(db):
        asked = [asyncio.create_task(questions.ask(about(number))) for number in range(1, 8)]
        await asyncio.sleep(0)
        for leaving in (asked[0], asked[4]):  # one whose statement has begun, one that waits
            leaving.cancel()
        await asyncio.sleep(0.2)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(one, Performance) for one in answers] == [number not in (0, 4) for number in range(7)]
    assert sum(statements) == 1 + 6
