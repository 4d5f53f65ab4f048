"""`joulegate bench query`: the performance route beside a short and a long history, and the fleet route, over real HTTP."""

import asyncio
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any

import msgspec

from joulegate_cli.bench.asking import BARE, FIRST_CORE, FLEET, PERFORMANCE, ask
from joulegate_cli.bench.child import Service, http_child
from joulegate_cli.bench.http_load import Answers
from joulegate_cli.bench.report import Figure, Progress, Results
from joulegate_cli.bench.seed import DAY, Past, seed, seed_charging
from joulegate_cli.bench.servers import COUNT_STATEMENTS, Servers, bench_servers
from joulegate_cli.bench.statements import statement
from joulegate_core.clock import utc_now
from joulegate_db.connect import MIGRATION_SETTINGS, connect
from joulegate_db.links import rfc3339
from joulegate_db.presence import BUCKET
from joulegate_db.windows import bucket_of

CLIENTS = 16
INTO_BUCKET = timedelta(minutes=10)
"""The past ends so far into a quarter of an hour, and 24 h up to there are asked for: fifteen readings of each stream are read from
history, ten at the open end and five at the other, whenever the bench runs."""

EXTENSION = "create extension pg_stat_statements"


class Fleet(msgspec.Struct, frozen=True):
    """What is asked about: pairs for the performance route, the two histories in days, pairs for the fleet route."""

    pairs: int
    days: tuple[int, int]
    fleet_pairs: int


class PerformanceResult(msgspec.Struct, frozen=True, rename="camel"):
    """One run of the performance route: 24 h of random vehicles. CPU in us a request."""

    pairs: int
    days: int
    requests: int
    per_second: Annotated[float, Figure("16 clients, each at once again: requests/s", least=1500)]
    p50: Annotated[float, Figure("  median, ms")]
    p99: Annotated[float, Figure("  p99, ms", most=8)]
    half_rate_p50: Annotated[float, Figure("16 clients, half of that rate: median, ms")]
    half_rate_p99: Annotated[float, Figure("  p99, ms", most=8)]
    pages: Annotated[float, Figure("shared buffers a request, execution", most=60)]
    pages_with_planning: Annotated[float, Figure("shared buffers a request, planning included")]
    http_cpu_us: Annotated[float, Figure("CPU of the HTTP sidecar, us a request")]
    database_cpu_us: Annotated[float, Figure("CPU of the database, us a request")]
    bare_per_second: Annotated[float, Figure("/healthz, 16 clients: requests/s")]
    ratio: Annotated[float, Figure("performance / healthz")]


class HistoriesResult(msgspec.Struct, frozen=True, rename="camel"):
    """The long history's figures over the short one's."""

    pages_ratio: Annotated[float, Figure("shared buffers, long / short history", most=1.1)]
    database_cpu_ratio: Annotated[float, Figure("CPU of the database, long / short history", most=1.1)]
    rate_ratio: Annotated[float, Figure("requests/s, long / short history", least=0.9)]


class FleetResult(msgspec.Struct, frozen=True, rename="camel"):
    """One run of the fleet route. Delays in ms."""

    pairs: int
    requests: int
    p50: Annotated[float, Figure("last 24 h, one client: median, ms")]
    p99: Annotated[float, Figure("  p99, ms", most=100)]
    busy_per_second: Annotated[float, Figure("last 24 h, 16 clients: requests/s")]
    busy_p99: Annotated[float, Figure("  p99, ms")]
    window_p50: Annotated[float, Figure("any other 24 h, one client: median, ms")]
    window_p99: Annotated[float, Figure("  p99, ms", most=100)]
    bare_p50: Annotated[float, Figure("/healthz, one client: median, ms")]
    ratio: Annotated[float, Figure("median, last 24 h / healthz")]


def bench_query(fleet: Fleet, seconds: float, progress: Progress) -> Results:
    """One run on servers of its own: every load lasts `seconds`.

    Raises:
        JoulegateError: a part failed, or an answer was not 200.
    """
    now = bucket_of(utc_now()) - BUCKET + INTO_BUCKET
    with bench_servers(COUNT_STATEMENTS) as servers:
        yield from _histories(servers, fleet, now, seconds, progress)
        if fleet.fleet_pairs:
            asyncio.run(seed_charging(servers.create_database("fleet"), fleet.fleet_pairs, now))
            yield f"fleet, {fleet.fleet_pairs:,} pairs", _fleet(servers, fleet.fleet_pairs, now, seconds)


def _histories(servers: Servers, fleet: Fleet, now: datetime, seconds: float, progress: Progress) -> Results:
    """Both are filled before one is measured: what others do on the machine has little time to change between the two."""
    pasts = [Past(fleet.pairs, days, now) for days in fleet.days]
    for past in pasts:
        url = servers.create_database(_database(past))
        asyncio.run(seed(url, past, partial(progress, f"seed {past.days} days")))
    short, long = results = [_performance(servers, past, seconds) for past in pasts]
    for past, result in zip(pasts, results, strict=True):
        yield f"performance, {past.pairs:,} vehicles, {past.days} days of history", result
    yield (
        "both histories",
        HistoriesResult(
            pages_ratio=long.pages / short.pages,
            database_cpu_ratio=long.database_cpu_us / short.database_cpu_us,
            rate_ratio=long.per_second / short.per_second,
        ),
    )


def last_day(past: Past) -> str:
    """The performance route for the last 24 h of that past, for `ask`."""
    return f"{PERFORMANCE}?from={rfc3339(past.now - DAY)}&to={rfc3339(past.now)}"


def _database(past: Past) -> str:
    return f"days_{past.days}"


def _performance(servers: Servers, past: Past, seconds: float) -> PerformanceResult:
    url, path = servers.postgres.url(_database(past)), last_day(past)
    value(url, EXTENSION)
    pages_before = value(url, statement("pages_of_database"))
    with http_child(servers.environ(_database(past)), servers.directory / "http.log") as http:
        http.pin({FIRST_CORE})
        bare = ask(http, BARE, clients=CLIENTS, seconds=seconds / 2)
        value(url, statement("pages_reset"))
        full, http_cpu, database_cpu = _with_cpu(servers, http, past, seconds)
        pages = value(url, statement("pages_of_statements"))
        half = ask(http, path, devices=past.pairs, clients=CLIENTS, seconds=seconds, rate=full.per_second / 2)
    pages_after = value(url, statement("pages_of_database"))
    return PerformanceResult(
        pairs=past.pairs,
        days=past.days,
        requests=full.requests,
        per_second=full.per_second,
        p50=full.p50,
        p99=full.p99,
        half_rate_p50=half.p50,
        half_rate_p99=half.p99,
        pages=pages / full.asked,
        pages_with_planning=(pages_after - pages_before) / (full.asked + half.asked),
        http_cpu_us=http_cpu / full.asked * 1e6,
        database_cpu_us=database_cpu / full.asked * 1e6,
        bare_per_second=bare.per_second,
        ratio=full.per_second / bare.per_second,
    )


def _with_cpu(servers: Servers, http: Service, past: Past, seconds: float) -> tuple[Answers, float, float]:
    """The answers of the full load, and the CPU seconds of sidecar and database."""
    sidecar, database = http.cpu_seconds(), servers.database_cpu_seconds()
    answers = ask(http, last_day(past), devices=past.pairs, clients=CLIENTS, seconds=seconds)
    return answers, http.cpu_seconds() - sidecar, servers.database_cpu_seconds() - database


def _fleet(servers: Servers, pairs: int, now: datetime, seconds: float) -> FleetResult:
    until = bucket_of(now) - 2 * BUCKET  # a quarter of an hour before the 24 h that are kept ready
    other = f"{FLEET}?from={rfc3339(until - DAY)}&to={rfc3339(until)}"
    with http_child(servers.environ("fleet"), servers.directory / "http.log") as http:
        http.pin({FIRST_CORE})
        bare = ask(http, BARE, clients=1, seconds=seconds / 2)
        day = ask(http, FLEET, clients=1, seconds=seconds)
        busy = ask(http, FLEET, clients=CLIENTS, seconds=seconds)
        window = ask(http, other, clients=1, seconds=seconds)
    return FleetResult(
        pairs=pairs,
        requests=day.requests,
        p50=day.p50,
        p99=day.p99,
        busy_per_second=busy.per_second,
        busy_p99=busy.p99,
        window_p50=window.p50,
        window_p99=window.p99,
        bare_p50=bare.p50,
        ratio=day.p50 / bare.p50,
    )


def value(url: str, sql: str) -> Any:
    """The only value that a statement returns."""
    return asyncio.run(_value(url, sql))


async def _value(url: str, sql: str) -> Any:
    connection = await connect(url, MIGRATION_SETTINGS)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()
