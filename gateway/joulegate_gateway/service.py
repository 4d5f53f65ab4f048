"""The gateway as a service: builds its parts, runs them, and drains them in order."""

import asyncio
import gc
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack
from typing import Any

import stamina
import structlog

from joulegate_core.asgi import serve
from joulegate_core.broker import broker_address
from joulegate_core.clock import Clock, utc_now
from joulegate_core.errors import DatabaseUnavailableError
from joulegate_core.settings import Settings
from joulegate_gateway.backlog import Backlog
from joulegate_gateway.bindings import BindingsWatch
from joulegate_gateway.database import Database
from joulegate_gateway.decoder import Decoder
from joulegate_gateway.errands import NotLeftError
from joulegate_gateway.inbox import Inbox
from joulegate_gateway.ledger import Metrics
from joulegate_gateway.operations import operations_app
from joulegate_gateway.pipeline import Pipeline
from joulegate_gateway.pulse import Pulse
from joulegate_gateway.roller import run_roller
from joulegate_gateway.subscriber import Subscriber
from joulegate_gateway.traces import BatchTracer, open_tracer

log = structlog.get_logger()

DRAIN_SECONDS = 15.0
"""How long a stop waits for what was taken to be committed; what is not stays with the broker."""

GARBAGE_THRESHOLD = 100_000
"""Containers made between two looks of the garbage collector: a few batches' worth."""


async def run_gateway(settings: Settings, stop: asyncio.Event, *, clock: Clock = utc_now, leave: bool = False) -> None:
    """Runs a gateway until `stop` is set, then drains: takes nothing more, commits, acknowledges, leaves its session.

    Args:
        leave: takes the gateway away for good: unsubscribes, drains the session, ends it, and returns.

    Raises:
        SettingsError: the broker's URL or a TLS file cannot be used.
        SchemaMismatchError: the database's schema is not this version's.
        SessionTakenOverError: another client uses our client id.
        PortTakenError: the metrics port is in use.
        UnsubscribeError: the broker does not let the gateway leave.
        NotLeftError: `stop` was set before the gateway had left.
        MissingExtraError: traces are wanted, and OpenTelemetry is not installed.
    """
    async with open_tracer(settings.otlp_url) as tracer:
        await _run(settings, stop, clock=clock, leave=leave, tracer=tracer)


async def _run(
    settings: Settings, stop: asyncio.Event, *, clock: Clock, leave: bool, tracer: BatchTracer | None
) -> None:
    _spare_the_collector()
    metrics = Metrics()
    database = Database(
        settings.database_url,
        max_age_days=settings.max_age_days,
        clock=clock,
        quarantine_max_bytes=int(settings.quarantine_max_mb * 1_000_000),
    )
    inbox = Inbox(
        batch_max=settings.batch_max, linger_seconds=settings.linger_ms / 1000, capacity=settings.receive_maximum
    )
    pipeline = Pipeline(inbox, database, metrics, clock, backlog=Backlog(), tracer=tracer)
    decoder = Decoder(max_age_days=settings.max_age_days, max_ahead_seconds=settings.max_ahead_seconds)
    bindings = BindingsWatch(settings.database_url, decoder)
    subscriber = Subscriber(
        settings,
        broker_address(settings),
        inbox=inbox,
        pipeline=pipeline,
        decoder=decoder,
        metrics=metrics,
        clock=clock,
        leave=leave,
    )
    pulse = Pulse(settings, metrics, clock())
    async with AsyncExitStack() as stack:
        if settings.metrics_port:
            app = operations_app(metrics, database, subscriber)
            await stack.enter_async_context(
                serve(app, settings.metrics_host, settings.metrics_port, "JOULEGATE_METRICS_PORT")
            )
        stack.callback(database.close)
        stack.callback(bindings.close)
        if await _wait_for_database(database, bindings, stop):
            upkeep: tuple[Coroutine[Any, Any, None], ...] = (bindings.run(),)
            if not leave:
                rolling = run_roller(settings, clock, metrics.rolled_until, metrics.removed, pipeline.backlog)
                upkeep += database.keep_partitions(), rolling, pulse.run()
            await _run_parts(subscriber, pipeline, database, stop, upkeep)
    log.info("gateway_stopped", pending=metrics.ledger.pending)
    if subscriber.left:
        await pulse.end()
    if leave and not subscriber.left:
        raise NotLeftError("stopped before the session was drained: run `joulegate gateway --leave` again to finish")


def _spare_the_collector() -> None:
    """Readings and rows have no cycles: looking for some among them took a twentieth of the CPU."""
    gc.freeze()  # what was imported stays
    gc.set_threshold(GARBAGE_THRESHOLD)


async def _wait_for_database(database: Database, bindings: BindingsWatch, stop: asyncio.Event) -> bool:
    """Opens the writer, creates partitions and reads bindings before anything is taken from the broker; False when `stop` came first."""
    opening = asyncio.create_task(_open_database(database, bindings), name="database-open")
    stopping = asyncio.create_task(stop.wait(), name="database-open-stop")
    try:
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            await opening
        return opening.done()
    finally:
        for task in (opening, stopping):
            task.cancel()
        await asyncio.gather(opening, stopping, return_exceptions=True)


async def _open_database(database: Database, bindings: BindingsWatch) -> None:
    async for attempt in stamina.retry_context(
        on=DatabaseUnavailableError, attempts=None, timeout=None, wait_initial=0.2, wait_max=5.0
    ):
        with attempt:
            try:
                await database.writer()
                await database.ensure_partitions()
                await bindings.look()
            except DatabaseUnavailableError as error:
                log.warning("database_unavailable", error=str(error))
                raise


async def _run_parts(
    subscriber: Subscriber,
    pipeline: Pipeline,
    database: Database,
    stop: asyncio.Event,
    upkeep: Iterable[Coroutine[Any, Any, None]],
) -> None:
    """Runs the way of a reading, and beside it the `upkeep`, which ends with it."""
    drained = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        settling = group.create_task(pipeline.run(), name="pipeline")
        settling.add_done_callback(lambda _: drained.set())
        beside = [group.create_task(_limit_drain(stop, drained), name="drain-limit")]
        beside += [group.create_task(task, name="upkeep") for task in upkeep]
        await subscriber.run(stop, drained=drained)
        for task in beside:
            task.cancel()
        if not settling.done():
            database.close()  # a server that does not answer would hold the cancellation up
            settling.cancel()


async def _limit_drain(stop: asyncio.Event, drained: asyncio.Event) -> None:
    """Declares the drain over when it takes too long: the broker still has what is not acknowledged."""
    await stop.wait()
    await asyncio.sleep(DRAIN_SECONDS)
    log.error("drain_incomplete", seconds=DRAIN_SECONDS)
    drained.set()
