"""Traces of batches, sent to a receiver of OTLP over HTTP; and nothing of it without the setting."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from structlog.testing import capture_logs

from gateway_harness import Gateway, meter, publisher, vehicle
from joulegate_cli.local.ports import free_port
from joulegate_db.steps import Steps
from joulegate_gateway.traces import open_tracer

STEPS = ["decode_and_wait", "begin", "copy_meter", "merge_meter", "copy_vehicle", "merge_vehicle"]
STEPS += ["presence", "quarantine", "commit", "acknowledge"]


class Receiver(ThreadingHTTPServer):
    """Takes traces at /v1/traces, and keeps the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[ExportTraceServiceRequest] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/traces"

    def spans(self) -> list[Span]:
        """All spans so far."""
        return [
            span
            for request in list(self.requests)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200 if self.path == "/v1/traces" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port."""
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_each_batch_is_a_trace_of_its_steps(gateway: Gateway, receiver: Receiver) -> None:
    await gateway.start(otlp_url=receiver.url, linger_ms=200)
    await send(gateway, 3)
    await gateway.stop()
    spans = receiver.spans()
    batches = [span for span in spans if span.name == "batch"]
    assert sum(attribute(batch, "joulegate.messages") for batch in batches) == 6
    assert {attribute(batch, "joulegate.attempts") for batch in batches} == {1}
    assert len({batch.trace_id for batch in batches}) == len(batches)
    for batch in batches:
        assert not batch.parent_span_id
        steps = sorted((s for s in spans if s.parent_span_id == batch.span_id), key=lambda s: s.start_time_unix_nano)
        assert {step.trace_id for step in steps} == {batch.trace_id}
        names = [step.name for step in steps]
        assert names == [name for name in STEPS if name in names]
        assert {"decode_and_wait", "commit", "acknowledge"} <= set(names)
        edges = [batch.start_time_unix_nano, *(step.end_time_unix_nano for step in steps)]
        assert [step.start_time_unix_nano for step in steps] == edges[:-1]
        assert edges[-1] == batch.end_time_unix_nano
    assert set(STEPS) == {span.name for span in spans} - {"batch"}


async def test_two_transactions_are_side_by_side(receiver: Receiver) -> None:
    async with open_tracer(receiver.url) as tracer:
        assert tracer is not None
        meters, vehicles = Steps(), Steps()
        meters.over("copy_meter")
        vehicles.over("copy_vehicle")
        vehicles.over("commit")
        meters.over("commit")
        tracer.settled(time.monotonic() - 1.0, 4000, 1, [meters, vehicles])
    spans = receiver.spans()
    batch = next(span for span in spans if span.name == "batch")
    inside = {(s.name, s.start_time_unix_nano, s.end_time_unix_nano) for s in spans if s is not batch}
    assert {span.parent_span_id for span in spans if span is not batch} == {batch.span_id}
    for steps in (meters, vehicles):
        began = steps.began
        for name, until in steps.ended:
            assert (name, began, until) in inside
            began = until
    assert ("decode_and_wait", batch.start_time_unix_nano, meters.began) in inside
    assert ("acknowledge", meters.ended[-1][1], batch.end_time_unix_nano) in inside
    assert len(inside) == 6


async def test_a_receiver_that_is_away_holds_nothing_up(gateway: Gateway) -> None:
    with capture_logs() as logs:
        await gateway.start(otlp_url=f"http://127.0.0.1:{free_port()}/v1/traces")
        await send(gateway, 2)
        async with asyncio.timeout(10):
            await gateway.stop()
    assert "traces_not_sent" in {line["event"] for line in logs}


def test_without_the_setting_nothing_is_imported() -> None:
    code = "import joulegate_gateway.service, sys; sys.exit('opentelemetry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def send(gateway: Gateway, pairs: int) -> None:
    """So many readings of each stream, settled."""
    async with publisher(gateway.broker) as publish:
        for number in range(pairs):
            await publish("fleet/cp-1/meter", meter(f"m-{number}"))
            await publish("fleet/cp-1/vehicle", vehicle(f"v-{number}"))
    await gateway.settle(2 * pairs)


def attribute(span: Span, name: str) -> int:
    return next(int(one.value.int_value) for one in span.attributes if one.key == name)
