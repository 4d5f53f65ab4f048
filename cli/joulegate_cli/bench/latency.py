"""`joulegate bench latency`: from the moment a reading is due at its device to its visibility in the live tables."""

import asyncio
import statistics
import time
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from joulegate_cli.bench.backlog import create_session, publish, readings
from joulegate_cli.bench.child import Program, Service, gateway_child, wait_committed
from joulegate_cli.bench.paced_publisher import Paced
from joulegate_cli.bench.plain_copy import rows_in_history
from joulegate_cli.bench.report import Figure, Progress, Results, percentile
from joulegate_cli.bench.schedule import Schedule
from joulegate_cli.bench.servers import Servers, bench_servers
from joulegate_cli.bench.visibility import watch
from joulegate_core.errors import JoulegateError
from joulegate_db.connect import WRITER_SETTINGS, connect

CLIENT = "bench-gateway"
COMMITS = 200
LEAD_SECONDS = 1.5


class Load(msgspec.Struct, frozen=True):
    """A load: readings a second of so many devices, for so long."""

    devices: int
    rate: float
    seconds: float


class LatencyResult(msgspec.Struct, frozen=True, rename="camel"):
    """One run. Delays in ms; CPU in per cent of one core while the load lasts."""

    devices: int
    readings: int
    committed: int
    samples: int
    rate: Annotated[float, Figure("readings/s published")]
    p50: Annotated[float, Figure("due to visible in live, median, ms")]
    p99: Annotated[float, Figure("due to visible in live, p99, ms", most=150)]
    slowest: Annotated[float, Figure("due to visible in live, slowest, ms")]
    commit_p50: Annotated[float, Figure("one-row transaction on the idle server, median, ms")]
    ratio: Annotated[float, Figure("median / one-row transaction")]
    gateway_cpu_percent: Annotated[float, Figure("gateway CPU, % of a core", most=3)]
    gateway_mb: Annotated[float, Figure("gateway memory at the end, MB", most=120)]


class SustainedResult(LatencyResult, frozen=True, rename="camel"):
    """The same, on a machine that is loaded."""

    p99: Annotated[float, Figure("due to visible in live, p99, ms", most=1000)]
    gateway_cpu_percent: Annotated[float, Figure("gateway CPU, % of a core")]
    gateway_mb: Annotated[float, Figure("gateway memory at the end, MB", most=250)]


def bench_latency(sustained: Load, fleet: Load, progress: Progress) -> Results:
    """One run of both loads, each on servers of its own.

    Raises:
        JoulegateError: a part failed, or a reading is lost or doubled.
    """
    yield f"sustained: {sustained.rate:,.0f} readings/s", _measure(sustained, SustainedResult, progress)
    yield f"fleet of {fleet.devices:,} devices, a reading a minute each", _measure(fleet, LatencyResult, progress)


def _measure(load: Load, kind: type[LatencyResult], progress: Progress) -> LatencyResult:
    with bench_servers() as servers:
        commit = asyncio.run(_one_row_commits(servers.postgres.url()))
        create_session(servers.broker.url, CLIENT)
        with gateway_child(servers.environ(), CLIENT, servers.directory / "gateway.log") as gateway:
            _introduce(servers, gateway, load.devices)
            started, cpu = time.perf_counter(), gateway.cpu_seconds()
            schedule, delays, paced = _run_load(servers, load, progress)
            used = (gateway.cpu_seconds() - cpu) / (time.perf_counter() - started)
            expected = load.devices + paced.acknowledged
            _wait(gateway, expected)
            memory = gateway.rss_mb()
        committed = rows_in_history(servers.postgres.url())
    if committed != expected:
        raise JoulegateError(f"history holds {committed} readings of {expected}: this is a bug")
    return kind(
        devices=load.devices,
        readings=schedule.count,
        committed=committed,
        samples=len(delays),
        rate=load.rate,
        p50=percentile(delays, 0.5),
        p99=percentile(delays, 0.99),
        slowest=max(delays),
        commit_p50=commit,
        ratio=percentile(delays, 0.5) / commit,
        gateway_cpu_percent=used * 100,
        gateway_mb=memory,
    )


def _introduce(servers: Servers, gateway: Service, devices: int) -> None:
    """One earlier reading of each device: rows of devices that are known are updated, as in life."""
    publish(servers.broker.url, "bench-first", readings(devices, devices, datetime.now(UTC)), lambda _: None)
    _wait(gateway, devices)


def _wait(gateway: Service, count: int) -> None:
    for _ in wait_committed([gateway], count, poll_seconds=0.1, timeout_seconds=30):
        pass


def _run_load(servers: Servers, load: Load, progress: Progress) -> tuple[Schedule, list[float], Paced]:
    count = int(load.rate * load.seconds)
    schedule = Schedule(servers.broker.url, time.time() + LEAD_SECONDS, load.rate, load.devices, count)
    publisher = Program("paced_publisher", schedule)
    phase = f"{load.rate:,.0f} readings/s"
    try:
        delays = asyncio.run(watch(servers.postgres.url(), schedule, lambda done: progress(phase, done, count)))
        return schedule, delays, publisher.result(Paced, timeout_seconds=30)
    finally:
        publisher.stop()


async def _one_row_commits(url: str) -> float:
    """The median time of a transaction that writes a row, as durably as the gateway's, in ms."""
    connection = await connect(url, WRITER_SETTINGS)
    await connection.execute("create table bench_commits (n integer)")
    times = []
    for number in range(COMMITS):
        started = time.perf_counter()
        await connection.execute("insert into bench_commits values ($1)", number)
        times.append(time.perf_counter() - started)
    await connection.close()
    return statistics.median(times) * 1000
