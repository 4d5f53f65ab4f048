"""`joulegate bench stream`: a backlog drained with and without clients of the stream.

A backlog is the worst case: nearly every device changes in every second. In life a fleet of 20,000 devices changes 333 a second.
"""

import time
from typing import Annotated

import msgspec

from joulegate_cli.bench.child import Program, http_child
from joulegate_cli.bench.ingest import drain, fill_backlog, require_all
from joulegate_cli.bench.plain_copy import rows_in_history
from joulegate_cli.bench.report import Figure, Progress, Results
from joulegate_cli.bench.servers import bench_servers
from joulegate_cli.bench.stream_clients import Readers, Streamed

DATABASE = "streaming"
GREETED_SECONDS = 3.0


class StreamResult(msgspec.Struct, frozen=True, rename="camel"):
    """One run."""

    messages: int
    devices: int
    clients: int
    committed: int
    drained_alone: Annotated[float, Figure("backlog alone, readings/s")]
    drained_beside: Annotated[float, Figure("backlog beside the stream's clients, readings/s")]
    drained_ratio: Annotated[float, Figure("  beside / alone")]
    megabytes: Annotated[float, Figure("sent to all clients, MB")]
    events: Annotated[int, Figure("events to all clients")]
    ended: Annotated[int, Figure("streams ended because the client was too slow")]
    sidecar_cpu_seconds: Annotated[float, Figure("sidecar CPU while the backlog drains, s")]


def bench_stream(messages: int, devices: int, clients: int, progress: Progress) -> Results:
    """One run on servers of its own: the same devices in both backlogs, their readings later in the second.

    Raises:
        JoulegateError: a part failed, or a reading is lost or doubled.
    """
    with bench_servers() as servers:
        url = servers.create_database(DATABASE)
        fill_backlog(servers, "alone", messages, devices, progress)
        alone = drain(servers, "alone", messages, progress, DATABASE)
        with http_child(servers.environ(DATABASE), servers.directory / "http.log") as http:
            fill_backlog(servers, "beside", messages, devices, progress, first_slot=devices // 2 * 2)
            readers = Program("stream_clients", Readers(http.port, clients))
            try:
                time.sleep(GREETED_SECONDS)
                cpu = http.cpu_seconds()
                beside = drain(servers, "beside", messages, progress, DATABASE)
                cpu = http.cpu_seconds() - cpu
                readers.finish()
                streamed: Streamed = readers.result(Streamed, timeout_seconds=30)
            finally:
                readers.stop()
        committed = rows_in_history(url)
    require_all(committed, 2 * messages)
    yield (
        f"{clients} clients of the stream, a backlog of {messages:,} of {devices:,} devices",
        StreamResult(
            messages=messages,
            devices=devices,
            clients=clients,
            committed=committed,
            drained_alone=alone.readings_per_second,
            drained_beside=beside.readings_per_second,
            drained_ratio=beside.readings_per_second / alone.readings_per_second,
            megabytes=streamed.megabytes,
            events=streamed.events,
            ended=streamed.ended,
            sidecar_cpu_seconds=cpu,
        ),
    )
