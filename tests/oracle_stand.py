"""What the tests that compare with the oracle share: a database for all examples, and a fleet's readings written into it."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from math import isclose
from typing import Literal, NamedTuple

import asyncpg
from hypothesis import strategies as st

from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.telemetry import Message, MeterReading, Stream, VehicleReading
from joulegate_db.charging import Charging
from joulegate_db.partitions import ensure_partitions
from joulegate_db.performance import Performance
from joulegate_db.rollups import EnergyDefaults, Rollups
from oracle import Answer, Fleet, Point, VehiclePoint
from oracle.strategies import BASE

TABLES = (
    "meter_history", "vehicle_history", "meter_live", "vehicle_live", "devices", "presence", "links",
    "meter_rollup_15m", "vehicle_rollup_15m", "register_baselines", "rollup_marks",
    "charging_marks", "charging_15m", "unattributed_15m", "charging_24h",  # after the rollups, whose triggers mark
)  # fmt: skip
CHARGING_BEGINS = "update charging_state set (attributed_until, day_until, stale) = ('epoch', 'epoch', true)"


class Step(NamedTuple):
    """What happens after a batch of readings: nothing, or the roller at `minutes` after the strategies' base, or attribution."""

    does: Literal["nothing", "roll", "roll_marked", "attribute"]
    minutes: int


steps = st.lists(
    st.builds(Step, st.sampled_from(["nothing", "roll", "roll", "roll_marked", "attribute"]), st.integers(-30, 240)),
    min_size=1,
    max_size=5,
)


@contextmanager
def oracle_database(server: LocalPostgres, name: str) -> Iterator[tuple[str, asyncio.Runner]]:
    """A database with partitions for the days that the strategies use, and one event loop to use it from."""

    async def create() -> None:
        maintenance = await asyncpg.connect(server.url())
        await maintenance.execute(f"create database {name} template joulegate_template")
        await maintenance.close()
        connection = await asyncpg.connect(server.url(name))
        await ensure_partitions(connection, BASE + timedelta(days=1), max_age_days=1)
        await connection.close()

    with asyncio.Runner() as runner:
        runner.run(create())
        yield server.url(name), runner


async def begin(connection: asyncpg.Connection, fleet: Fleet) -> None:
    """Empties the database, and declares the fleet's links and devices."""
    await connection.execute("; ".join(f"delete from {table}" for table in TABLES))
    await connection.execute("update roll_state set (closed_until, rolled_until) = ('epoch', 'epoch')")
    await connection.execute(CHARGING_BEGINS)
    await connection.executemany(
        "insert into links (vehicle, meter, valid) values ($1, $2, tstzrange($3, $4))",
        [(link.vehicle, link.meter, link.valid_from, link.valid_to) for link in fleet.links],
    )
    declared = fleet.energy_kinds.keys() | fleet.max_kw_overrides.keys()
    await connection.executemany(
        "insert into devices (kind, device, energy, max_kw) values ($1, $2, $3, $4)",
        [(*key, fleet.energy_kinds.get(key), fleet.max_kw_overrides.get(key)) for key in declared],
    )


async def happen(rollups: Rollups, charging: Charging, step: Step) -> None:
    """Lets the roller do what the step says."""
    if step.does == "roll":
        async for _ in rollups.roll(BASE + timedelta(minutes=step.minutes)):
            pass
    elif step.does == "roll_marked":
        await rollups.roll_marked()
    elif step.does == "attribute":
        while await charging.attribute():
            pass


def defaults(fleet: Fleet) -> EnergyDefaults:
    """The fleet's settings."""
    return EnergyDefaults(fleet.meter_energy, fleet.vehicle_energy, fleet.max_kw, fleet.lookback)


def alternate(meters: Sequence[Point], vehicles: Sequence[Point]) -> Iterator[list[Point]]:
    """A meter's and a vehicle's reading in turn."""
    for index in range(max(len(meters), len(vehicles))):
        yield [*meters[index : index + 1], *vehicles[index : index + 1]]


def message(point: Point) -> Message:
    """The oracle's point as what the gateway writes."""
    place = (point.device, point.charge_point, point.ts, point.kwh)
    if isinstance(point, VehiclePoint):
        reading = VehicleReading(*place, soc=50.0, battery_temp=point.battery_temp, late=False)
        return Message(Stream.VEHICLE, "t", b"", reading)
    return Message(Stream.METER, "t", b"", MeterReading(*place, voltage=230.0, late=False))


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
