"""`joulegate bench ingest`: one gateway drains a backlog, beside a bare receive loop on the same backlog and a COPY of the same rows."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from joulegate_cli.bench.backlog import create_session, publish, readings
from joulegate_cli.bench.bare_loop import BareLoop, BareLoopResult
from joulegate_cli.bench.child import Program, gateway_child, wait_committed
from joulegate_cli.bench.plain_copy import copied_per_second, rows_in_history
from joulegate_cli.bench.report import Figure, Progress, Results
from joulegate_cli.bench.servers import Servers, bench_servers
from joulegate_core.errors import JoulegateError

BARE_CLIENT = "bench-bare-loop"
GATEWAY_CLIENT = "bench-gateway"
POLL_SECONDS = 0.1
STALL_SECONDS = 60.0
BARE_SECONDS = 300.0


class Setup(msgspec.Struct, frozen=True):
    """How many gateways share the work, over a shared subscription if they are more than one, their batches (0: the default), and how
    many minutes ago the newest reading was measured: an outage of the gateway ends so long after the fleet's.
    """

    gateways: int = 1
    batch_max: int = 0
    age_minutes: int = 0

    @property
    def share_group(self) -> str:
        """The group of the subscription, empty for one gateway."""
        return "bench" if self.gateways > 1 else ""

    def client_ids(self, first: str) -> list[str]:
        """The gateways' client ids."""
        return [first, *(f"{first}-{number}" for number in range(2, self.gateways + 1))]

    def environ(self) -> dict[str, str]:
        """Settings for each gateway."""
        batches = {"JOULEGATE_BATCH_MAX": str(self.batch_max)} if self.batch_max else {}
        return batches | ({"JOULEGATE_SHARE_GROUP": self.share_group} if self.share_group else {})

    def __str__(self) -> str:
        """What is not as usual; empty when all is."""
        gateways = f", {self.gateways} gateways" if self.gateways > 1 else ""
        batches = f", batches of at most {self.batch_max:,}" if self.batch_max else ""
        return gateways + batches + (f", {self.age_minutes} minutes old" if self.age_minutes else "")


USUAL = Setup()


class Drained(msgspec.Struct, frozen=True, rename="camel"):
    """How gateways took a backlog: the rate is from the first commit seen to the last. CPU of all, memory of the largest."""

    readings_per_second: float
    cpu_us: float
    database_cpu_us: float
    peak_mb: float
    start_seconds: float


class IngestResult(msgspec.Struct, frozen=True, rename="camel"):
    """One run. CPU is of one core."""

    messages: int
    devices: int
    committed: int
    readings_per_second: Annotated[float, Figure("committed and acknowledged, readings/s", least=60_000)]
    bare_loop_per_second: Annotated[float, Figure("bare loop without a database, messages/s")]
    bare_loop_ratio: Annotated[float, Figure("gateway / bare loop", least=0.4)]
    copy_per_second: Annotated[float, Figure("plain COPY of the same rows, rows/s")]
    copy_ratio: Annotated[float, Figure("gateway / COPY")]
    gateway_cpu_us: Annotated[float, Figure("gateway CPU, us a message")]
    bare_loop_cpu_us: Annotated[float, Figure("bare loop CPU, us a message")]
    cpu_ratio: Annotated[float, Figure("gateway CPU / bare loop CPU")]
    database_cpu_us: Annotated[float, Figure("database CPU, us a message")]
    copy_cpu_us: Annotated[float, Figure("database CPU of the COPY, us a row")]
    database_cpu_ratio: Annotated[float, Figure("database CPU / that of the COPY")]
    gateway_peak_mb: Annotated[float, Figure("gateway peak memory, MB", most=250)]
    start_seconds: Annotated[float, Figure("start of the process to the first commit, s")]
    fill_per_second: Annotated[float, Figure("fill, messages/s acknowledged to the publisher")]


def bench_ingest(messages: int, devices: int, progress: Progress, setup: Setup = USUAL) -> Results:
    """One run on servers of its own.

    Raises:
        JoulegateError: a part failed, or history does not hold every message exactly once at the end.
    """
    with bench_servers() as servers:
        filled = fill_backlog(servers, BARE_CLIENT, messages, devices, progress)
        bare = _bare_loop(servers, messages)
        fill_backlog(servers, GATEWAY_CLIENT, messages, devices, progress, setup=setup)
        drained = drain(servers, GATEWAY_CLIENT, messages, progress, setup=setup)
        committed = rows_in_history(servers.postgres.url())
        cpu = servers.database_cpu_seconds()
        copied = copied_per_second(servers.postgres.url())
        copy_cpu_us = (servers.database_cpu_seconds() - cpu) / committed * 1e6
    require_all(committed, messages)
    yield (
        f"backlog of {messages:,} readings, {devices:,} devices{setup}",
        IngestResult(
            messages=messages,
            devices=devices,
            committed=committed,
            readings_per_second=drained.readings_per_second,
            bare_loop_per_second=messages / bare.seconds,
            bare_loop_ratio=drained.readings_per_second / (messages / bare.seconds),
            copy_per_second=copied,
            copy_ratio=drained.readings_per_second / copied,
            gateway_cpu_us=drained.cpu_us,
            bare_loop_cpu_us=bare.cpu_seconds / messages * 1e6,
            cpu_ratio=drained.cpu_us / (bare.cpu_seconds / messages * 1e6),
            database_cpu_us=drained.database_cpu_us,
            copy_cpu_us=copy_cpu_us,
            database_cpu_ratio=drained.database_cpu_us / copy_cpu_us,
            gateway_peak_mb=drained.peak_mb,
            start_seconds=drained.start_seconds,
            fill_per_second=filled,
        ),
    )


def fill_backlog(
    servers: Servers,
    client_id: str,
    messages: int,
    devices: int,
    progress: Progress,
    *,
    first_slot: int = 0,
    setup: Setup = USUAL,
) -> float:
    """Lets a backlog wait for `client_id`. Returns the messages acknowledged to the publisher per second."""
    for member in setup.client_ids(client_id):
        create_session(servers.broker.url, member, setup.share_group)
    end = datetime.now(UTC) - timedelta(minutes=setup.age_minutes)
    filler, backlog = f"filler of {client_id}", readings(devices, messages, end, first_slot=first_slot)
    return publish(servers.broker.url, filler, backlog, _phase(progress, filler, messages))


def drain(
    servers: Servers,
    client_id: str,
    messages: int,
    progress: Progress,
    database: str = "postgres",
    *,
    setup: Setup = USUAL,
) -> Drained:
    """Runs gateways until they have settled the whole backlog.

    Raises:
        JoulegateError: one ended, they make no progress, or the backlog is too small to be timed.
    """
    started, database_cpu = time.perf_counter(), servers.database_cpu_seconds()
    environ = servers.environ(database) | setup.environ()
    with ExitStack() as stack:
        gateways = [
            stack.enter_context(gateway_child(environ, member, servers.directory / f"{member}.log"))
            for member in setup.client_ids(client_id)
        ]
        settling = wait_committed(gateways, messages, poll_seconds=POLL_SECONDS, timeout_seconds=STALL_SECONDS)
        seen = list(_timed(settling, _phase(progress, client_id, messages)))
        cpu = sum(gateway.cpu_seconds() for gateway in gateways)
        peak = max(gateway.peak_mb() for gateway in gateways)
    first = next((at, settled) for at, settled in seen if settled)
    ended = seen[-1][0]
    if first[1] >= messages:
        raise JoulegateError("the run was too short to be measured: raise --messages")
    return Drained(
        readings_per_second=(messages - first[1]) / (ended - first[0]),
        cpu_us=cpu / messages * 1e6,
        database_cpu_us=(servers.database_cpu_seconds() - database_cpu) / messages * 1e6,
        peak_mb=peak,
        start_seconds=first[0] - started,
    )


def require_all(committed: int, messages: int) -> None:
    """Raises JoulegateError unless every message was committed, and none twice."""
    if committed != messages:
        raise JoulegateError(f"history holds {committed} readings, {messages} were published: this is a bug")


def _timed(settling: Iterator[int], progress: Callable[[int], None]) -> Iterator[tuple[float, int]]:
    for settled in settling:
        progress(settled)
        yield time.perf_counter(), settled


def _bare_loop(servers: Servers, messages: int) -> BareLoopResult:
    task = BareLoop(servers.broker.port, BARE_CLIENT, messages)
    result: BareLoopResult = Program("bare_loop", task).result(BareLoopResult, timeout_seconds=BARE_SECONDS)
    return result


def _phase(progress: Progress, phase: str, total: int) -> Callable[[int], None]:
    return lambda done: progress(phase, done, total)
