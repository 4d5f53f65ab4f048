"""The reader's answer equals the oracle's, a slow computation that was written from the design and not from the SQL.

Readings come in any order, in batches, with the roller at work between them, so that answers are made of rollups, of buckets that
late readings touched, of the window's edges and of the open tail.
"""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import datetime

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from joulegate_cli.local.postgres import LocalPostgres
from joulegate_db.charging import Charging
from joulegate_db.connect import READER_SETTINGS, connect
from joulegate_db.performance import Performance
from joulegate_db.plain import Question, plain_performances
from joulegate_db.reader import open_reader
from joulegate_db.rollups import Rollups
from joulegate_db.windows import Window
from joulegate_db.writer import Writer
from oracle import Fleet, performance
from oracle.strategies import BASE, VEHICLES, fleets, plain_fleets, wide_windows, windows
from oracle_stand import Step, alternate, begin, check, defaults, happen, message, oracle_database, steps

DATABASE = "t_performance_oracle"
Case = tuple[str, Window, Performance | None]
Span = tuple[datetime, datetime]

ends = st.tuples(st.sampled_from([20, 50, 65, 120, 120]), st.sampled_from([1, 2, 3, 3, 3, 3])).map(
    lambda drawn: [Step("roll", drawn[0]), Step("roll_marked", 0), Step("attribute", 0)][: drawn[1]]
)
"""The beginning of a round of the roller, or all of it."""


class Stand:
    """One database for all examples, and one event loop to use it from."""

    def __init__(self, url: str, runner: asyncio.Runner) -> None:
        self._url = url
        self._runner = runner

    def answers(self, fleet: Fleet, happenings: list[Step], spans: list[Span]) -> list[Case]:
        """The reader's answer for every vehicle and span, with the fleet as all of the history."""
        return self._runner.run(self._answers(fleet, happenings, spans))

    async def _answers(self, fleet: Fleet, happenings: list[Step], spans: list[Span]) -> list[Case]:
        connection = await asyncpg.connect(self._url)
        try:
            await begin(connection, fleet)
            await self._write(connection, fleet, happenings)
        finally:
            await connection.close()
        async with open_reader(self._url) as reader:
            return [
                (device, Window(*span), await reader.performance(device, Window(*span)))
                for device in VEHICLES
                for span in spans
            ]

    def plain_answers(self, fleet: Fleet, happenings: list[Step], last: list[Step], span: Span) -> list[Case]:
        """What the plain case's statement alone says; None where it leaves the answer to the general way.

        `last`: what happens after all readings are written.
        """
        return self._runner.run(self._plain_answers(fleet, happenings, last, span))

    async def _plain_answers(self, fleet: Fleet, happenings: list[Step], last: list[Step], span: Span) -> list[Case]:
        connection = await connect(self._url, READER_SETTINGS)
        try:
            await connection.execute("set default_transaction_read_only = off")
            await begin(connection, fleet)
            await self._write(connection, fleet, happenings, last)
            questions = [Question(device, Window(*span)) for device in VEHICLES]
            buckets = questions[0].buckets
            answers = await plain_performances(connection, buckets, questions) if buckets else [None] * len(questions)
            return [(one.vehicle, one.window, answer) for one, answer in zip(questions, answers, strict=True)]
        finally:
            await connection.close()

    async def _write(
        self, connection: asyncpg.Connection, fleet: Fleet, happenings: list[Step], last: Iterable[Step] = ()
    ) -> None:
        rollups, charging = Rollups(connection, defaults(fleet)), Charging(connection)
        assert await rollups.lock()
        await rollups.declare_defaults()
        writer = await Writer.open(self._url)
        messages = [message(point) for pair in alternate(fleet.meters, fleet.vehicles) for point in pair]
        size = -(-len(messages) // len(happenings)) or 1
        try:
            for number, step in enumerate(happenings):
                await writer.write(messages[number * size : (number + 1) * size], BASE)
                await happen(rollups, charging, step)
            for step in last:
                await happen(rollups, charging, step)
        finally:
            writer.terminate()


@pytest.fixture(scope="module")
def stand(postgres_server: LocalPostgres) -> Iterator[Stand]:
    """One for all examples."""
    with oracle_database(postgres_server, DATABASE) as (url, runner):
        yield Stand(url, runner)


def known(fleet: Fleet, vehicle: str) -> bool:
    """Whether the vehicle reported, was declared, or was ever linked."""
    declared = ("vehicle", vehicle) in fleet.energy_kinds.keys() | fleet.max_kw_overrides.keys()
    reported = any(point.device == vehicle for point in fleet.vehicles)
    return reported or declared or any(link.vehicle == vehicle for link in fleet.links)


@settings(
    max_examples=120,
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(fleet=fleets(), happenings=steps, edges=windows())
def test_the_answer_equals_brute_force(
    stand: Stand, fleet: Fleet, happenings: list[Step], edges: tuple[datetime, datetime, datetime]
) -> None:
    compare(stand, fleet, happenings, edges)


def compare(stand: Stand, fleet: Fleet, happenings: list[Step], edges: tuple[datetime, datetime, datetime]) -> None:
    """Every vehicle's answer over three windows that meet."""
    a, b, c = edges
    for device, window, answer in stand.answers(fleet, happenings, [(a, b), (b, c), (a, c)]):
        if known(fleet, device):
            assert answer is not None
            check(answer, performance(fleet, device, window.start, window.end))
        else:
            assert answer is None


def test_the_plain_answer_equals_brute_force_and_is_no_rare_case(stand: Stand) -> None:
    plain = 0

    @settings(max_examples=100, phases=[Phase.generate], deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(fleet=plain_fleets(), happenings=steps, last=ends, span=wide_windows())
    def compare(fleet: Fleet, happenings: list[Step], last: list[Step], span: Span) -> None:
        nonlocal plain
        for device, window, answer in stand.plain_answers(fleet, happenings, last, span):
            if answer is not None:
                check(answer, performance(fleet, device, window.start, window.end))
                plain += 1

    compare()
    assert plain > 20
