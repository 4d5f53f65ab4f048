"""The reader's answer equals the oracle's, a slow computation that was written from the design and not from the SQL."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from math import isclose

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings

from http_support import Reading, write
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.telemetry import MeterReading, VehicleReading
from joulegate_db.partitions import ensure_partitions
from joulegate_db.performance import Performance
from joulegate_db.reader import open_reader
from joulegate_db.windows import Window
from oracle import Answer, Fleet, Point, VehiclePoint, performance
from oracle.strategies import BASE, VEHICLES, fleets, windows

DATABASE = "t_performance_oracle"
TABLES = ("meter_history", "vehicle_history", "meter_live", "vehicle_live", "devices", "presence")

Case = tuple[str, Window, Performance | None]


class Stand:
    """One database for all examples, and one event loop to use it from."""

    def __init__(self, url: str, runner: asyncio.Runner) -> None:
        self._url = url
        self._runner = runner

    def answers(self, fleet: Fleet, spans: list[tuple[datetime, datetime]]) -> list[Case]:
        """The reader's answer for every vehicle and span, with the fleet as all of the history."""
        return self._runner.run(self._answers(fleet, spans))

    async def _answers(self, fleet: Fleet, spans: list[tuple[datetime, datetime]]) -> list[Case]:
        connection = await asyncpg.connect(self._url)
        await connection.execute("; ".join(f"delete from {table}" for table in TABLES))
        connection.terminate()
        await write(self._url, [*map(reading_of, fleet.meters), *map(reading_of, fleet.vehicles)])
        async with open_reader(self._url) as reader:
            return [
                (device, Window(*span), await reader.performance(device, Window(*span)))
                for device in VEHICLES
                for span in spans
            ]


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


def reading_of(point: Point) -> Reading:
    """The oracle's point as the reading that the gateway would have accepted."""
    place = (point.device, point.charge_point, point.ts, point.kwh)
    if isinstance(point, VehiclePoint):
        return VehicleReading(*place, soc=50.0, battery_temp=point.battery_temp, late=False)
    return MeterReading(*place, voltage=230.0, late=False)


def interval_only(fleet: Fleet) -> Fleet:
    """The fleet without links and registers."""
    return replace(fleet, links=(), energy_kinds={}, meter_energy="interval", vehicle_energy="interval")


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
    for name in ("pairing", "vehicle_readings", "meter_readings", "expected_readings", "counter_resets"):
        assert getattr(quality, name) == getattr(expected.quality, name), name
    for name in ("coverage", "gap_minutes", "paired_efficiency_ratio"):
        assert close(getattr(quality, name), getattr(expected.quality, name)), name
    assert (quality.reason is not None) == expected.quality.reason_due


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fleet=fleets().map(interval_only), edges=windows())
def test_the_answer_equals_brute_force(stand: Stand, fleet: Fleet, edges: tuple[datetime, datetime, datetime]) -> None:
    a, b, c = edges
    for device, window, answer in stand.answers(fleet, [(a, b), (b, c), (a, c)]):
        if any(point.device == device for point in fleet.vehicles):
            assert answer is not None
            check(answer, performance(fleet, device, window.start, window.end))
        else:
            assert answer is None
