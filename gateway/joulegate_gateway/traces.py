"""Traces of batches by OpenTelemetry, over OTLP/HTTP: an extra, which is imported only when JOULEGATE_OTLP_URL is set.

A batch that was committed is one trace, made after its acknowledgement: nothing of this is on the way of a reading. Spans are sent by a
thread of the library's; what it cannot send in time it drops.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING

import structlog

from joulegate_core.errors import JoulegateError
from joulegate_db.steps import Steps

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Tracer

log = structlog.get_logger()

EXPORT_SECONDS = 3.0
"""How long sending may take, also at the end of the process."""


class MissingExtraError(JoulegateError):
    """OpenTelemetry is not installed."""


class BatchTracer:
    """Makes a trace of each batch. Made by `open_tracer`."""

    def __init__(self, tracer: "Tracer") -> None:
        self._tracer = tracer

    def settled(self, arrived: float, messages: int, attempts: int, transactions: Sequence[Steps]) -> None:
        """A batch was acknowledged just now.

        Args:
            arrived: of its oldest message, monotonic seconds.
            attempts: how often it was tried to write it; all but the last had to be tried again.
            transactions: the steps of those that the last try committed, one or several at the same time.
        """
        from opentelemetry.trace import set_span_in_context  # noqa: PLC0415 - an extra

        now = time.time_ns()
        first = min((one.began for one in transactions), default=now)
        last = max((one.ended[-1][1] for one in transactions), default=first)
        began = min(now - int((time.monotonic() - arrived) * 1e9), first)
        given = {"joulegate.messages": messages, "joulegate.attempts": attempts}
        batch = self._tracer.start_span("batch", start_time=began, attributes=given)
        inside = set_span_in_context(batch)
        spans = [("decode_and_wait", began, first), ("acknowledge", last, now)]
        for steps in transactions:
            since = steps.began
            for name, until in steps.ended:
                spans.append((name, since, until))
                since = until
        for name, since, until in spans:
            self._tracer.start_span(name, context=inside, start_time=since).end(until)
        batch.end(now)


@asynccontextmanager
async def open_tracer(url: str) -> AsyncIterator[BatchTracer | None]:
    """A tracer that sends to `url` while the block runs, and what is left at its end; None without a URL.

    Raises:
        MissingExtraError: the extra `otel` is not installed.
    """
    if not url:
        yield None
        return
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise MissingExtraError(
            "JOULEGATE_OTLP_URL needs OpenTelemetry, the extra `otel`: pip install 'joulegate[otel]', or leave the setting empty"
        )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # its lines are not JSON; failures are logged here
    resource = {"service.name": "joulegate-gateway", "service.version": version("joulegate")}
    provider = TracerProvider(resource=Resource.create(resource), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_exporter(url)))
    try:
        yield BatchTracer(provider.get_tracer("joulegate"))
    finally:
        await asyncio.to_thread(provider.shutdown)


def _exporter(url: str) -> "SpanExporter":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415

    class Exporter(OTLPSpanExporter):
        """Says so in our log when spans cannot be sent, once until they can again."""

        is_failing = False

        def export(self, spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
            result = super().export(spans)
            failed = result is not SpanExportResult.SUCCESS
            if failed and not self.is_failing:
                log.warning("traces_not_sent", spans=len(spans))
            self.is_failing = failed
            return result

    return Exporter(endpoint=url, timeout=EXPORT_SECONDS)
