"""`joulegate bench ingest --stalled S`: the memory of a gateway whose database commits nothing while a backlog waits."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from joulegate_cli.bench.backlog import publish, readings
from joulegate_cli.bench.child import Service, gateway_child, wait_committed
from joulegate_cli.bench.ingest import GATEWAY_CLIENT, POLL_SECONDS, STALL_SECONDS, require_all
from joulegate_cli.bench.plain_copy import rows_in_history
from joulegate_cli.bench.report import Figure, Progress, Results
from joulegate_cli.bench.servers import bench_servers
from joulegate_cli.bench.statements import statement
from joulegate_core.errors import JoulegateError
from joulegate_db.connect import MIGRATION_SETTINGS, connect


class StalledResult(msgspec.Struct, frozen=True, rename="camel"):
    """One run. `idle_mb`: connected, before anything was published."""

    waiting: int
    stalled_seconds: float
    committed: int
    idle_mb: Annotated[float, Figure("gateway memory before, MB")]
    stalled_peak_mb: Annotated[float, Figure("gateway peak memory while stalled, MB", most=250)]
    ratio: Annotated[float, Figure("while stalled / before")]
    peak_mb: Annotated[float, Figure("gateway peak memory until all is committed, MB", most=250)]
    recovery_seconds: Annotated[float, Figure("end of the stall to the last commit, s")]


def bench_stalled(messages: int, devices: int, seconds: int, progress: Progress) -> Results:
    """One run on servers of its own: history is locked, a backlog is published, the lock is let go after `seconds`.

    Raises:
        JoulegateError: a part failed, something was settled during the stall, or a message is lost or doubled.
    """
    with bench_servers() as servers:
        log = servers.directory / "gateway.log"
        with gateway_child(servers.environ(), GATEWAY_CLIENT, log) as gateway:
            gateway.wait_ready()
            idle = gateway.rss_mb()
            with _history_locked(servers.postgres.url()):
                backlog = readings(devices, messages, datetime.now(UTC))
                publish(servers.broker.url, "filler", backlog, lambda done: progress("filler", done, messages))
                _hold(gateway, seconds, progress)
            stalled_peak, ended = gateway.peak_mb(), time.perf_counter()
            for done in wait_committed([gateway], messages, poll_seconds=POLL_SECONDS, timeout_seconds=STALL_SECONDS):
                progress("after the stall", done, messages)
            recovery, peak = time.perf_counter() - ended, gateway.peak_mb()
        committed = rows_in_history(servers.postgres.url())
    require_all(committed, messages)
    yield (
        f"database stalled for {seconds} s, {messages:,} readings of {devices:,} devices waiting",
        StalledResult(messages, seconds, committed, idle, stalled_peak, stalled_peak / idle, peak, recovery),
    )


def _hold(gateway: Service, seconds: int, progress: Progress) -> None:
    for second in range(seconds):
        progress("stalled", second + 1, seconds)
        time.sleep(1)
    if sum(gateway.settled().values()):
        raise JoulegateError("something was settled while history was locked")


@contextmanager
def _history_locked(url: str) -> Iterator[None]:
    with asyncio.Runner() as runner:
        connection = runner.run(connect(url, MIGRATION_SETTINGS))
        runner.run(connection.execute("begin"))
        runner.run(connection.execute(statement("lock_history")))
        try:
            yield
        finally:
            runner.run(connection.close())
