"""Links, declarations, readings, the roller and attribution in any order: the answers, and whose energy it is by the table, are those of
brute force over what holds in the end."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

import oracle
from declarations_support import ROLLUP
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.telemetry import Stream
from joulegate_db.charging import Charging
from joulegate_db.devices import Declaration, declare_devices
from joulegate_db.links import LinkOverlapError, LinkPut, delete_link, put_link
from joulegate_db.reader import open_reader
from joulegate_db.rebuild import rebuild
from joulegate_db.rollups import Rollups
from joulegate_db.windows import Window
from joulegate_db.writer import Writer
from oracle.strategies import BASE, METERS, VEHICLES, fleets, moments, windows
from oracle_stand import CHARGING_BEGINS, TABLES, alternate, check, close, defaults, message, oracle_database
from test_fleet_oracle import SUMS, UNATTRIBUTED
from test_fleet_oracle import check as check_sums
from test_fleet_oracle import settle as attribute_all
from test_performance_oracle import Case, known

DATABASE = "t_links_oracle"
SECOND = timedelta(seconds=1)
WHOLE = (BASE - timedelta(hours=1), BASE + timedelta(hours=3))
"""All readings are in it."""

Attributed = tuple[dict[str, Any], float]
"""The sums of WHOLE by vehicle, and what nobody could be given in it."""


class Put(msgspec.Struct, frozen=True):
    """Puts a link, which may be refused."""

    link: LinkPut


class Delete(msgspec.Struct, frozen=True):
    """Deletes one of the links that there are."""

    nth: int


class Declare(msgspec.Struct, frozen=True):
    """Declares a device."""

    declaration: Declaration


class Roll(msgspec.Struct, frozen=True):
    """The roller closes and rolls, so many minutes after the strategies' base."""

    minutes: int


class Again(msgspec.Struct, frozen=True):
    """The roller takes the marks."""


class Attribute(msgspec.Struct, frozen=True):
    """The roller attributes what changed in the rollups so far."""


class Rebuild(msgspec.Struct, frozen=True):
    """Somebody rebuilds beside the roller."""

    start: datetime


class Arrive(msgspec.Struct, frozen=True):
    """The next part of the readings arrives."""


links = st.builds(
    lambda vehicle, meter, start, length: LinkPut(
        vehicle, meter, start, None if length is None else start + timedelta(minutes=length)
    ),
    st.sampled_from([*VEHICLES, "v-unseen"]),
    st.sampled_from(METERS),
    moments,
    st.sampled_from([None, 1, 15, 22, 60]),
)
declarations = st.builds(
    Declaration,
    kind=st.sampled_from(Stream),
    device=st.sampled_from([*METERS, *VEHICLES]),
    energy=st.sampled_from([UNSET, None, "interval", "register"]),
    max_kw=st.sampled_from([UNSET, None, 6.0, 2000.0]),
)
happenings = st.lists(
    st.one_of(
        links.map(Put),
        links.map(Put),
        st.builds(Delete, st.integers(0, 9)),
        declarations.map(Declare),
        st.builds(Roll, st.integers(-30, 240)),
        st.just(Again()),
        st.just(Attribute()),
        moments.map(Rebuild),
        st.just(Arrive()),
        st.just(Arrive()),
    ),
    min_size=4,
    max_size=14,
)


class Stage:
    """One database for all examples, and what must be in it."""

    def __init__(self, url: str, connection: asyncpg.Connection, fleet: oracle.Fleet, writer: Writer) -> None:
        self._url = url
        self._connection = connection
        self._rollups = Rollups(connection, defaults(fleet))
        self._charging = Charging(connection)
        self._fleet = fleet
        self._writer = writer
        self._waiting = [message(point) for pair in alternate(fleet.meters, fleet.vehicles) for point in pair]
        self._links: dict[int, oracle.Link] = {}
        self._energies: dict[Any, Any] = {}
        self._caps: dict[Any, float] = {}

    async def play(self, script: list[Any]) -> oracle.Fleet:
        """Lets all of it happen, and the rest of the readings arrive; returns what the oracle is to be asked about."""
        for link in self._fleet.links:
            await self.happen(Put(LinkPut(link.vehicle, link.meter, link.valid_from, link.valid_to)))
        for happening in script:
            await self.happen(happening)
        await self._writer.write(self._waiting, BASE)
        return oracle.Fleet(
            self._fleet.meters,
            self._fleet.vehicles,
            list(self._links.values()),
            energy_kinds=self._energies,
            meter_energy=self._fleet.meter_energy,
            vehicle_energy=self._fleet.vehicle_energy,
            max_kw=self._fleet.max_kw,
            max_kw_overrides=self._caps,
        )

    async def happen(self, happening: Any) -> None:
        """One of the happenings."""
        match happening:
            case Put(link):
                await self._put(link)
            case Delete(nth):
                await self._delete(nth)
            case Declare(declaration):
                await self._declare(declaration)
            case Arrive():
                await self._writer.write(self._waiting[:12], BASE)
                del self._waiting[:12]
            case _:
                await self._compute(happening)

    async def _compute(self, happening: Any) -> None:
        match happening:
            case Roll(minutes):
                async for _ in self._rollups.roll(BASE + timedelta(minutes=minutes)):
                    pass
            case Rebuild(start):
                async for _ in rebuild(self._connection, Window(start, start + timedelta(minutes=40))):
                    pass
            case Again():
                await self._rollups.roll_marked()
            case Attribute():
                await attribute_all(self._charging)

    async def _delete(self, nth: int) -> None:
        if self._links:
            number = sorted(self._links)[nth % len(self._links)]
            assert await delete_link(self._connection, number) is not None
            del self._links[number]

    async def _put(self, put: LinkPut) -> None:
        wanted = oracle.Link(put.vehicle, put.meter, put.valid_from, put.valid_to)

        def is_same(link: oracle.Link) -> bool:
            return (link.vehicle, link.meter, link.valid_from) == (put.vehicle, put.meter, put.valid_from)

        in_the_way = any(link.overlaps(wanted) for link in self._links.values() if not is_same(link))
        try:
            link, outcome = await put_link(self._connection, put)
        except LinkOverlapError:
            assert in_the_way
            return
        assert not in_the_way
        assert (outcome == "created") == (link.id not in self._links)
        self._links[link.id] = wanted

    async def _declare(self, declaration: Declaration) -> None:
        key = (declaration.kind.value, declaration.device)
        await declare_devices(self._connection, [declaration])
        changes: list[tuple[Any, dict[Any, Any]]] = [
            (declaration.energy, self._energies),
            (declaration.max_kw, self._caps),
        ]
        for value, values in changes:
            if value is None:
                values.pop(key, None)
            elif value is not UNSET:
                values[key] = value

    async def settle(self) -> list[Attributed]:
        """The roller does all that is left to do, and a rebuild finds the same. What is attributed, before it and after."""
        async for _ in self._rollups.roll(BASE + timedelta(hours=3)):
            pass
        while await self._rollups.roll_marked():
            pass
        before = await self._attributed()
        rolled = await self._connection.fetch(ROLLUP)
        async for _ in rebuild(self._connection, Window(*WHOLE)):
            pass
        assert await self._connection.fetch(ROLLUP) == rolled
        return [before, await self._attributed()]

    async def _attributed(self) -> Attributed:
        await attribute_all(self._charging)
        rows = {row["vehicle"]: row for row in await self._connection.fetch(SUMS, *WHOLE)}
        return rows, await self._connection.fetchval(UNATTRIBUTED, *WHOLE)


class Stand:
    """One database for all examples, and one event loop to use it from."""

    def __init__(self, url: str, runner: asyncio.Runner) -> None:
        self._url = url
        self._runner = runner

    def answers(
        self, fleet: oracle.Fleet, script: list[Any], spans: list[tuple[datetime, datetime]]
    ) -> tuple[oracle.Fleet, list[Case], list[Attributed]]:
        """What holds in the end, the reader's answers before the roller has done the rest and after, and what is attributed then."""
        return self._runner.run(self._answers(fleet, script, spans))

    async def _answers(
        self, fleet: oracle.Fleet, script: list[Any], spans: list[tuple[datetime, datetime]]
    ) -> tuple[oracle.Fleet, list[Case], list[Attributed]]:
        connection = await asyncpg.connect(self._url)
        writer = await Writer.open(self._url)
        try:
            await connection.execute("; ".join(f"delete from {table}" for table in TABLES))
            await connection.execute("update roll_state set (closed_until, rolled_until) = ('epoch', 'epoch')")
            await connection.execute(CHARGING_BEGINS)
            await Rollups(connection, defaults(fleet)).declare_defaults()
            stage = Stage(self._url, connection, fleet, writer)
            final = await stage.play(script)
            cases = await self._ask(spans)
            attributed = await stage.settle()
            return final, cases + await self._ask(spans), attributed
        finally:
            writer.terminate()
            await connection.close()

    async def _ask(self, spans: list[tuple[datetime, datetime]]) -> list[Case]:
        async with open_reader(self._url) as reader:
            return [
                (device, Window(*span), await reader.performance(device, Window(*span)))
                for device in VEHICLES
                for span in spans
            ]


@pytest.fixture(scope="module")
def stand(postgres_server: LocalPostgres) -> Iterator[Stand]:
    """One for all examples."""
    with oracle_database(postgres_server, DATABASE) as (url, runner):
        yield Stand(url, runner)


@settings(
    max_examples=30,
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(fleet=fleets(), script=happenings, edges=windows())
def test_the_answer_equals_brute_force_whatever_changes(
    stand: Stand, fleet: oracle.Fleet, script: list[Any], edges: tuple[datetime, datetime, datetime]
) -> None:
    compare(stand, fleet, script, edges)


def compare(stand: Stand, fleet: oracle.Fleet, script: list[Any], edges: tuple[datetime, datetime, datetime]) -> None:
    """Every vehicle's answers, its sums of what is attributed, and what nobody could be given."""
    a, _, c = edges
    final, cases, settled = stand.answers(fleet, script, [(a, c), (BASE, BASE + timedelta(minutes=75))])
    for device, window, answer in cases:
        if answer is None:
            assert not known(final, device)
        else:
            check(answer, oracle.performance(final, device, window.start, window.end))
    for attributed, unattributed in settled:
        for vehicle in {*VEHICLES, "v-unseen", *attributed}:
            check_sums(final, vehicle, attributed.get(vehicle), WHOLE)
        assert close(unattributed, oracle.unattributed_kwh_ac(final, *WHOLE))
