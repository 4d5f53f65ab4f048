"""`joulegate bench roll`: what closing a quarter of an hour takes, for fleets of several sizes."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

import asyncpg
import msgspec

from joulegate_cli.bench.report import Figure, Progress, Results
from joulegate_cli.bench.seed import ALL_PARTITIONS, DAY, MINUTE, roller, seeder
from joulegate_cli.bench.servers import bench_servers
from joulegate_cli.bench.statements import statement
from joulegate_core.clock import utc_now
from joulegate_core.errors import JoulegateError
from joulegate_db.charging import Charging
from joulegate_db.connect import ROLLER_SETTINGS, connect
from joulegate_db.presence import BUCKET
from joulegate_db.rollups import CLOSE_AFTER, Rollups

READINGS_A_BUCKET = 15
NOON = timedelta(hours=12)


class RollResult(msgspec.Struct, frozen=True, rename="camel"):
    """One run with one fleet. `readings` in the bucket, of both streams together."""

    devices: int
    readings: int
    seconds: Annotated[float, Figure("a bucket closed and rolled, s")]
    us_a_device: Annotated[float, Figure("  us a device")]
    aggregate_seconds: Annotated[float, Figure("the same readings only read and summed, s")]
    ratio: Annotated[float, Figure("rolled / only summed")]
    vacuum_seconds: Annotated[float, Figure("vacuum after it, s")]
    attribute_seconds: Annotated[float, Figure("attribution after it, s")]


class SmallRollResult(RollResult, frozen=True, rename="camel"):
    """The same, for the fleet that has a target."""

    seconds: Annotated[float, Figure("a bucket closed and rolled, s", most=1)]


class LinearResult(msgspec.Struct, frozen=True, rename="camel"):
    """How the cost grows."""

    growth: Annotated[float, Figure("cost a device, largest / smallest fleet", most=1.5)]


def bench_roll(sizes: Sequence[int], progress: Progress) -> Results:
    """One run on servers of its own, a database for each fleet: `sizes` are numbers of devices.

    Raises:
        JoulegateError: the rollups do not hold every reading exactly once.
    """
    with bench_servers() as servers:
        results = []
        for number, devices in enumerate(sizes):
            progress("fleets", number, len(sizes))
            url = servers.create_database(f"roll_{devices}")
            kind = RollResult if number else SmallRollResult
            results.append(asyncio.run(_measure(url, devices, kind)))
            asyncio.run(_drop(servers.postgres.url(), f"roll_{devices}"))
            yield f"roll, {devices:,} devices", results[-1]
        progress("fleets", len(sizes), len(sizes))
    yield "roll, how it grows", LinearResult(results[-1].us_a_device / results[0].us_a_device)


async def _measure(url: str, devices: int, kind: type[RollResult]) -> RollResult:
    """Two buckets of readings; the first is rolled before, so that the second finds tables, indexes and caches as in life."""
    first = utc_now().replace(hour=0, minute=0, second=0, microsecond=0) - DAY + NOON
    bucket = first + BUCKET
    await _fill(url, devices // 2, first, bucket + BUCKET)
    connection = await connect(url, ROLLER_SETTINGS)
    charging = Charging(connection)
    async with roller(url) as rollups:
        await _roll(rollups, bucket)
        await _attribute(charging)
        aggregate_seconds = await _aggregate(connection, bucket)
        seconds = await _roll(rollups, bucket + BUCKET)
        vacuum_seconds = await _vacuum(rollups)
    attribute_seconds = await _attribute(charging)
    readings = devices // 2 * 2 * READINGS_A_BUCKET
    rolled = await connection.fetchval(statement("rolled_readings"), bucket)
    await connection.close()
    if rolled != readings:
        raise JoulegateError(f"rollups hold {rolled} readings of {readings}: this is a bug")
    return kind(
        devices=devices,
        readings=readings,
        seconds=seconds,
        us_a_device=seconds / devices * 1e6,
        aggregate_seconds=aggregate_seconds,
        ratio=seconds / aggregate_seconds,
        vacuum_seconds=vacuum_seconds,
        attribute_seconds=attribute_seconds,
    )


async def _fill(url: str, pairs: int, since: datetime, until: datetime) -> None:
    async with seeder(url, pairs) as connection:
        await connection.execute(statement("seed_devices"), until)
        await connection.execute("select pg_temp.seed_history($1, $2, $3)", since, until, MINUTE)
        await connection.fetchval(ALL_PARTITIONS, since.date(), (since + 3 * DAY).date())
        await connection.execute(statement("seed_presence"), since, until)
        await connection.execute(statement("seed_rolled"), since)
        await connection.execute("vacuum analyze")


async def _roll(rollups: Rollups, until: datetime) -> float:
    """Rolls up to `until`; returns the seconds."""
    started = time.perf_counter()
    async for _ in rollups.roll(until + CLOSE_AFTER):
        pass
    return time.perf_counter() - started


async def _vacuum(rollups: Rollups) -> float:
    started = time.perf_counter()
    await rollups.vacuum()
    return time.perf_counter() - started


async def _attribute(charging: Charging) -> float:
    started = time.perf_counter()
    while await charging.attribute():
        pass
    return time.perf_counter() - started


async def _aggregate(connection: asyncpg.Connection, bucket: datetime) -> float:
    started = time.perf_counter()
    await connection.fetchval(statement("aggregate"), bucket, bucket + BUCKET)
    return time.perf_counter() - started


async def _drop(url: str, database: str) -> None:
    connection = await connect(url, ROLLER_SETTINGS)
    await connection.execute(f'drop database "{database}" with (force)')
    await connection.close()
