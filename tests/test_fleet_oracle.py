"""What is attributed bucket by bucket adds up to the oracle's answers, which know of no buckets' sums and no marks.

Readings come in any order, with the roller and the attribution at work between them, as in test_performance_oracle.
"""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from joulegate_cli.local.postgres import LocalPostgres
from joulegate_db.charging import Charging
from joulegate_db.rollups import Rollups
from joulegate_db.writer import Writer
from oracle import Fleet, performance, unattributed_kwh_ac
from oracle.strategies import BASE, VEHICLES, fleets
from oracle_stand import Step, alternate, begin, close, defaults, happen, message, oracle_database, steps

DATABASE = "t_fleet_oracle"
ROLLED_UNTIL = BASE + timedelta(days=1)
PAIRINGS = {None: "none", 1: "shared", 2: "exclusive", 3: "link"}
SUMS = "select * from charging_sums($1, $2)"
UNATTRIBUTED = "select coalesce(sum(ac), 0) from unattributed_15m where bucket >= $1 and bucket < $2"

Span = tuple[datetime, datetime]


class Stand:
    """One database for all examples, and one event loop to use it from."""

    def __init__(self, url: str, runner: asyncio.Runner) -> None:
        self._url = url
        self._runner = runner

    def sums(self, fleet: Fleet, happenings: list[Step], span: Span) -> tuple[dict[str, Any], float, dict[str, Any]]:
        """By vehicle the sums of the span, what nobody could be given, and the rows of the last 24 h."""
        return self._runner.run(self._sums(fleet, happenings, span))

    async def _sums(
        self, fleet: Fleet, happenings: list[Step], span: Span
    ) -> tuple[dict[str, Any], float, dict[str, Any]]:
        connection = await asyncpg.connect(self._url)
        try:
            await begin(connection, fleet)
            await self._write(connection, fleet, happenings)
            found = {row["vehicle"]: row for row in await connection.fetch(SUMS, *span)}
            day = {row["vehicle"]: row for row in await connection.fetch("select * from charging_24h")}
            return found, await connection.fetchval(UNATTRIBUTED, *span), day
        finally:
            await connection.close()

    async def _write(self, connection: asyncpg.Connection, fleet: Fleet, happenings: list[Step]) -> None:
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
                if step.does != "nothing":
                    await settle(charging)
        finally:
            writer.terminate()
        async for _ in rollups.roll(ROLLED_UNTIL + timedelta(minutes=2)):
            pass
        while await rollups.roll_marked():
            pass
        await settle(charging)


async def settle(charging: Charging) -> None:
    """Attributes all there is, as the gateway does after a round."""
    while await charging.attribute():
        pass
    await charging.refresh()


@pytest.fixture(scope="module")
def stand(postgres_server: LocalPostgres) -> Iterator[Stand]:
    """One for all examples."""
    with oracle_database(postgres_server, DATABASE) as (url, runner):
        yield Stand(url, runner)


def check(fleet: Fleet, vehicle: str, row: Any, span: Span) -> None:
    """Compares the sums of one vehicle with the oracle's answer; no row is no reading and no AC."""
    expected = performance(fleet, vehicle, *span)
    quality = expected.quality
    if row is None:
        assert (expected.total_kwh_consumed_ac, expected.total_kwh_delivered_dc) == (None, None)
        return
    assert close(row["ac"], expected.total_kwh_consumed_ac)
    assert close(row["dc"], expected.total_kwh_delivered_dc)
    assert (row["vehicle_readings"], row["meter_readings"]) == (quality.vehicle_readings, quality.meter_readings)
    assert row["events"] == quality.counter_resets + quality.glitches + quality.jumps
    assert PAIRINGS[row["pairing"]] == quality.pairing
    judged = quality.paired_efficiency_ratio
    ratio = row["judged_dc"] / row["judged_ac"] if row["judged_ac"] and row["judged_dc"] is not None else None
    assert close(ratio, expected.efficiency_ratio if judged is None else judged)


bucket_edges = st.tuples(st.integers(-2, 8), st.integers(-2, 8)).map(
    lambda two: (BASE + timedelta(minutes=15 * min(two)), BASE + timedelta(minutes=15 * max(two)))
)


@settings(
    max_examples=30,
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(fleet=fleets(), happenings=steps, span=bucket_edges)
def test_sums_over_whole_buckets_equal_brute_force(
    stand: Stand, fleet: Fleet, happenings: list[Step], span: Span
) -> None:
    compare(stand, fleet, happenings, span)


def compare(stand: Stand, fleet: Fleet, happenings: list[Step], span: Span) -> None:
    """Every vehicle's sums of the span and of the last day, and what nobody could be given."""
    found, unattributed, day = stand.sums(fleet, happenings, span)
    last_day = (ROLLED_UNTIL - timedelta(hours=24), ROLLED_UNTIL)
    for vehicle in {*VEHICLES, "v-unseen", *found, *day}:
        check(fleet, vehicle, found.get(vehicle), span)
        check(fleet, vehicle, day.get(vehicle), last_day)
    assert close(unattributed, unattributed_kwh_ac(fleet, *span))
