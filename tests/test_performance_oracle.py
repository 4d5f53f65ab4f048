"""The reader's answer equals the oracle's, a slow computation that was written from the design and not from the SQL.

Readings come in any order, in batches, with the roller at work between them, so that answers are made of rollups, of buckets that
late readings touched, of the window's edges and of the open tail.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from math import isclose
from typing import Literal, NamedTuple

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.telemetry import Message, MeterReading, Stream, VehicleReading
from joulegate_db.partitions import ensure_partitions
from joulegate_db.performance import Performance
from joulegate_db.reader import open_reader
from joulegate_db.rollups import EnergyDefaults, Rollups
from joulegate_db.windows import Window
from joulegate_db.writer import Writer
from oracle import Answer, Fleet, Point, VehiclePoint, performance
from oracle.strategies import BASE, VEHICLES, fleets, windows

DATABASE = "t_performance_oracle"
TABLES = (
    "meter_history", "vehicle_history", "meter_live", "vehicle_live", "devices", "presence", "links",
    "meter_rollup_15m", "vehicle_rollup_15m", "register_baselines", "rollup_marks",
)  # fmt: skip

Case = tuple[str, Window, Performance | None]


class Step(NamedTuple):
    """What happens after a batch of readings: nothing, or the roller at `minutes` after the strategies' base."""

    does: Literal["nothing", "roll", "roll_marked"]
    minutes: int


steps = st.lists(
    st.builds(Step, st.sampled_from(["nothing", "roll", "roll", "roll_marked"]), st.integers(-30, 240)),
    min_size=1,
    max_size=5,
)


class Stand:
    """One database for all examples, and one event loop to use it from."""

    def __init__(self, url: str, runner: asyncio.Runner) -> None:
        self._url = url
        self._runner = runner

    def answers(self, fleet: Fleet, happenings: list[Step], spans: list[tuple[datetime, datetime]]) -> list[Case]:
        """The reader's answer for every vehicle and span, with the fleet as all of the history."""
        return self._runner.run(self._answers(fleet, happenings, spans))

    async def _answers(
        self, fleet: Fleet, happenings: list[Step], spans: list[tuple[datetime, datetime]]
    ) -> list[Case]:
        connection = await asyncpg.connect(self._url)
        try:
            await _begin(connection, fleet)
            await self._write(connection, fleet, happenings)
        finally:
            await connection.close()
        async with open_reader(self._url) as reader:
            return [
                (device, Window(*span), await reader.performance(device, Window(*span)))
                for device in VEHICLES
                for span in spans
            ]

    async def _write(self, connection: asyncpg.Connection, fleet: Fleet, happenings: list[Step]) -> None:
        rollups = Rollups(connection, _defaults(fleet))
        assert await rollups.lock()
        await rollups.declare_defaults()
        writer = await Writer.open(self._url)
        messages = [_message(point) for pair in _alternate(fleet.meters, fleet.vehicles) for point in pair]
        size = -(-len(messages) // len(happenings)) or 1
        try:
            for number, step in enumerate(happenings):
                await writer.write(messages[number * size : (number + 1) * size], BASE)
                await _happen(rollups, step)
        finally:
            writer.terminate()


async def _begin(connection: asyncpg.Connection, fleet: Fleet) -> None:
    await connection.execute("; ".join(f"delete from {table}" for table in TABLES))
    await connection.execute("update roll_state set (closed_until, rolled_until) = ('epoch', 'epoch')")
    await connection.executemany(
        "insert into links (vehicle, meter, valid) values ($1, $2, tstzrange($3, $4))",
        [(link.vehicle, link.meter, link.valid_from, link.valid_to) for link in fleet.links],
    )
    declared = fleet.energy_kinds.keys() | fleet.max_kw_overrides.keys()
    await connection.executemany(
        "insert into devices (kind, device, energy, max_kw) values ($1, $2, $3, $4)",
        [(*key, fleet.energy_kinds.get(key), fleet.max_kw_overrides.get(key)) for key in declared],
    )


async def _happen(rollups: Rollups, step: Step) -> None:
    if step.does == "roll":
        async for _ in rollups.roll(BASE + timedelta(minutes=step.minutes)):
            pass
    elif step.does == "roll_marked":
        await rollups.roll_marked()


def _defaults(fleet: Fleet) -> EnergyDefaults:
    return EnergyDefaults(fleet.meter_energy, fleet.vehicle_energy, fleet.max_kw, fleet.lookback)


def _alternate(meters: Sequence[Point], vehicles: Sequence[Point]) -> Iterator[list[Point]]:
    for index in range(max(len(meters), len(vehicles))):
        yield [*meters[index : index + 1], *vehicles[index : index + 1]]


def _message(point: Point) -> Message:
    place = (point.device, point.charge_point, point.ts, point.kwh)
    if isinstance(point, VehiclePoint):
        reading = VehicleReading(*place, soc=50.0, battery_temp=point.battery_temp, late=False)
        return Message(Stream.VEHICLE, "t", b"", reading)
    return Message(Stream.METER, "t", b"", MeterReading(*place, voltage=230.0, late=False))


@pytest.fixture(scope="module")
def stand(postgres_server: LocalPostgres) -> Iterator[Stand]:
    """A database with partitions for the days that the strategies use."""

    async def create() -> None:
        maintenance = await asyncpg.connect(postgres_server.url())
        await maintenance.execute(f"create database {DATABASE} template joulegate_template")
        await maintenance.close()
        connection = await asyncpg.connect(postgres_server.url(DATABASE))
        await ensure_partitions(connection, BASE + timedelta(days=1), max_age_days=1)
        await connection.close()

    with asyncio.Runner() as runner:
        runner.run(create())
        yield Stand(postgres_server.url(DATABASE), runner)


def close(one: float | None, other: float | None) -> bool:
    """Equal but for rounding; None equals None only."""
    if one is None or other is None:
        return one is other
    return isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


def status_is_clear(expected: Answer) -> bool:
    """Whether the ratio that is judged is not within rounding of a limit."""
    judged = expected.quality.paired_efficiency_ratio or expected.efficiency_ratio
    return judged is None or not (close(judged, 0.85) or close(judged, 1))


def check(answer: Performance, expected: Answer) -> None:
    """Compares everything that both know."""
    assert close(answer.total_kwh_consumed_ac, expected.total_kwh_consumed_ac)
    assert close(answer.total_kwh_delivered_dc, expected.total_kwh_delivered_dc)
    assert close(answer.efficiency_ratio, expected.efficiency_ratio)
    assert close(answer.avg_battery_temp, expected.avg_battery_temp)
    assert answer.status == expected.status or not status_is_clear(expected)
    assert [one.meter_id for one in answer.meters] == [one.meter_id for one in expected.meters]
    for one, other in zip(answer.meters, expected.meters, strict=True):
        assert close(one.kwh_consumed_ac, other.kwh_consumed_ac)
    quality = answer.quality
    for name in (
        "pairing", "vehicle_readings", "meter_readings", "expected_readings",
        "counter_resets", "glitches", "jumps", "recovered",
    ):  # fmt: skip
        assert getattr(quality, name) == getattr(expected.quality, name), name
    for name in ("coverage", "gap_minutes", "paired_efficiency_ratio"):
        assert close(getattr(quality, name), getattr(expected.quality, name)), name
    assert (quality.reason is not None) == expected.quality.reason_due


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
    a, b, c = edges
    for device, window, answer in stand.answers(fleet, happenings, [(a, b), (b, c), (a, c)]):
        if known(fleet, device):
            assert answer is not None
            check(answer, performance(fleet, device, window.start, window.end))
        else:
            assert answer is None
