"""The HTTP sidecar as a service."""

import asyncio
import gc

import stamina
import structlog

from joulegate_core.asgi import serve
from joulegate_core.clock import Clock, utc_now
from joulegate_core.errors import DatabaseUnavailableError
from joulegate_core.exposure import tokens_for_listening
from joulegate_core.settings import Settings
from joulegate_db.link_store import open_link_store
from joulegate_db.reader import Reader, open_reader
from joulegate_db.replay import Replayer
from joulegate_http.app import create_app
from joulegate_http.cors import parse_origins
from joulegate_http.gate import Gate
from joulegate_http.metrics import Metrics
from joulegate_http.problems import refusal
from joulegate_http.stream_hub import Hub

log = structlog.get_logger()

YOUNG_OBJECTS = 20_000
"""After so many the garbage collector looks for cycles. At Python's 700 it did so every few requests, for a tenth of their time."""


async def run_http(
    settings: Settings, stop: asyncio.Event, *, clock: Clock = utc_now, replayer: Replayer | None = None
) -> None:
    """Answers HTTP until `stop` is set, then finishes open requests.

    While the database is out of reach it answers 503, and goes on by itself when the database is back.

    Args:
        replayer: without it messages in quarantine can be looked at only.

    Raises:
        SettingsError: tokens or origins are not valid, or there are no tokens for callers from other machines.
        SchemaMismatchError: the database's schema is not this version's.
        PoolerError: the reader's URL leads through a pooler in transaction mode, and JOULEGATE_READ_POOLING does not say so.
        PortTakenError: the HTTP port is in use.
    """
    origins = parse_origins(settings.cors_origins)
    gate = Gate(tokens_for_listening(settings), settings.rate_limit, origins)
    async with (
        open_reader(
            settings.read_database_url or settings.database_url, by_transaction=settings.read_pooling == "transaction"
        ) as reader,
        open_link_store(settings.database_url) as links,
    ):
        metrics = Metrics()
        hub = Hub(reader, settings.database_url, clock, metrics)
        app = create_app(reader, clock, metrics, links, hub=hub, replayer=replayer, gate=gate, origins=origins)
        async with (
            serve(app, settings.http_host, settings.http_port, "JOULEGATE_HTTP_PORT", refusal=refusal),
            hub.serving(),  # ends first: a stop waits for open requests, and streams have no end of their own
        ):
            _settle_collector()
            log.info("http_started", host=settings.http_host, port=settings.http_port, asks_for_tokens=gate.is_closed)
            await _check_schema(reader, stop)
            await stop.wait()
    if replayer is not None:
        replayer.close()
    log.info("http_stopped")


def _settle_collector() -> None:
    """What was made to begin with stays to the end: the collector need not look at it again, which would hold up all requests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])


async def _check_schema(reader: Reader, stop: asyncio.Event) -> None:
    """Returns once the schema is seen to be right, or `stop` is set. No route answers from a schema that was not checked."""
    async for attempt in stamina.retry_context(
        on=DatabaseUnavailableError, attempts=None, timeout=None, wait_initial=0.2, wait_max=2.0
    ):
        with attempt:
            if not stop.is_set():
                await reader.check()
