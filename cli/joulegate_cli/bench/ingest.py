"""`joulegate bench ingest`: drains a backlog with one gateway, beside a bare loop on a backlog of the same size."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

import asyncpg
import msgspec

from joulegate_cli.bench.backlog import fill_session, readings
from joulegate_cli.bench.child import gateway_child, wait_settled
from joulegate_cli.bench.servers import Servers, bench_servers
from joulegate_core.errors import JoulegateError

BARE_CLIENT = "bench-bare-loop"
GATEWAY_CLIENT = "bench-gateway"
POLL_SECONDS = 0.1
STALL_SECONDS = 60.0

Progress = Callable[[str, int], None]
"""Called with the name of a phase and the messages done in it."""


class IngestResult(msgspec.Struct, frozen=True, rename="camel"):
    """One run. Rates in messages per second, CPU in microseconds of one core a message, memory in bytes.

    `readings_per_second` runs from the first commit seen to the last; `start_seconds` is from the start of the
    process to that first commit. `ratio` is the gateway's rate over the bare loop's.
    """

    messages: int
    devices: int
    fill_per_second: float
    bare_loop_per_second: float
    bare_loop_cpu_us: float
    readings_per_second: float
    gateway_cpu_us: float
    gateway_peak_bytes: int
    start_seconds: float
    ratio: float
    committed: int


def bench_ingest(*, messages: int, devices: int, progress: Progress) -> IngestResult:
    """Runs the bench on servers of its own.

    Raises:
        JoulegateError: a part failed, or history does not hold every message exactly once at the end.
    """
    with bench_servers() as servers:
        fill = _fill(servers, BARE_CLIENT, messages, devices, lambda n: progress("fill, for the bare loop", n))
        bare = _bare_loop(servers, messages)
        progress("bare loop", messages)
        _fill(servers, GATEWAY_CLIENT, messages, devices, lambda n: progress("fill, for the gateway", n))
        result = _gateway(servers, messages, devices, lambda n: progress("gateway", n))
        committed = asyncio.run(_count_history(servers.postgres.url()))
    if committed != messages:
        raise JoulegateError(f"history holds {committed} readings, {messages} were published: this is a bug")
    bare_rate = messages / bare["seconds"]
    return msgspec.structs.replace(
        result,
        fill_per_second=fill,
        bare_loop_per_second=bare_rate,
        bare_loop_cpu_us=bare["cpu"] / messages * 1e6,
        ratio=result.readings_per_second / bare_rate,
        committed=committed,
    )


def _fill(servers: Servers, client_id: str, messages: int, devices: int, progress: Callable[[int], None]) -> float:
    """Returns the messages acknowledged to the publisher per second."""
    started = time.perf_counter()
    backlog = readings(devices, messages, datetime.now(UTC))
    asyncio.run(fill_session(servers.broker.url, client_id, backlog, progress))
    return messages / (time.perf_counter() - started)


def _bare_loop(servers: Servers, messages: int) -> dict[str, float]:
    command = [sys.executable, "-m", "joulegate_cli.bench.bare_loop"]
    arguments = [str(servers.broker.port), BARE_CLIENT, str(messages)]
    try:
        done = subprocess.run([*command, *arguments], capture_output=True, check=True, timeout=STALL_SECONDS * 5)
    except subprocess.SubprocessError as error:
        raise JoulegateError(f"the bare loop failed: {error}") from error
    return msgspec.json.decode(done.stdout, type=dict[str, float])


def _gateway(servers: Servers, messages: int, devices: int, progress: Callable[[int], None]) -> IngestResult:
    started = time.perf_counter()
    first: tuple[float, int] | None = None
    with gateway_child(servers.environ, GATEWAY_CLIENT, servers.directory / "gateway.log") as child:
        for settled in wait_settled(child, messages, poll_seconds=POLL_SECONDS, timeout_seconds=STALL_SECONDS):
            if first is None and settled:
                first = (time.perf_counter(), settled)
            progress(settled)
        ended = time.perf_counter()
        cpu, peak = child.cpu_seconds(), child.peak_bytes()
    if first is None or first[1] >= messages:
        raise JoulegateError("the run was too short to be measured: raise --messages")
    return IngestResult(
        messages=messages,
        devices=devices,
        fill_per_second=0,
        bare_loop_per_second=0,
        bare_loop_cpu_us=0,
        readings_per_second=(messages - first[1]) / (ended - first[0]),
        gateway_cpu_us=cpu / messages * 1e6,
        gateway_peak_bytes=peak,
        start_seconds=first[0] - started,
        ratio=0,
        committed=0,
    )


async def _count_history(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        tables = ("meter_history", "vehicle_history")
        return sum([await connection.fetchval("select count(*) from " + table) for table in tables])
    finally:
        await connection.close()
