"""The pipeline: batches from the inbox go to the database, and acknowledgements to the broker after the commit."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

import msgspec
import stamina
import structlog

from joulegate_core.clock import Clock
from joulegate_core.errors import DatabaseUnavailableError
from joulegate_core.reasons import Reason
from joulegate_core.telemetry import Rejection, Stream
from joulegate_db.failures import DATABASE_ERRORS, describe, is_missing_partition, is_permanent, needs_new_connection
from joulegate_db.steps import Steps
from joulegate_db.writer import TRANSACTION_TIMEOUT_SECONDS, Writer
from joulegate_gateway.backlog import Backlog
from joulegate_gateway.batch import Batch, Part
from joulegate_gateway.database import Database
from joulegate_gateway.inbox import Delivery, Inbox
from joulegate_gateway.ledger import Metrics
from joulegate_gateway.overflow import OverflowLog
from joulegate_gateway.traces import BatchTracer

log = structlog.get_logger()

OUTAGE_SECONDS = 5.0
"""A batch that cannot be committed for longer means an outage: the queue is left to the broker."""

MAX_RETRY_SECONDS = 5.0


class _HeldError(Exception):
    """The database failed in a way that passes; the batch is held and tried again."""


class _Failure(msgspec.Struct, frozen=True):
    """Why a part of a batch was not committed; `is_permanent`: a row in it is refused for its content."""

    error: Exception
    is_permanent: bool


class Pipeline:
    """Settles deliveries in order of arrival: commit, then acknowledge.

    `outage` is set while a batch has been waiting for the database for more than five seconds. `backlog` is told of what is committed.
    """

    def __init__(
        self,
        inbox: Inbox,
        database: Database,
        metrics: Metrics,
        clock: Clock,
        *,
        backlog: Backlog,
        tracer: BatchTracer | None = None,
    ) -> None:
        self.outage = asyncio.Event()
        self.healthy = asyncio.Event()
        self.healthy.set()
        self.backlog = backlog
        self._inbox = inbox
        self._database = database
        self._metrics = metrics
        self._clock = clock
        self._overflow = OverflowLog(clock)
        self._tracer = tracer
        self._attempts = 0
        self._steps: list[Steps] = []

    async def run(self) -> None:
        """Runs until the inbox is closed and empty."""
        while (batch := await self._inbox.next_batch()) is not None:
            await self._settle(batch)

    async def _settle(self, deliveries: Sequence[Delivery], through: AbstractSet[Stream] = frozenset()) -> None:
        """Commits and acknowledges `deliveries`. A row that the database refuses is isolated by halving; the order is kept.

        Args:
            through: the streams whose messages are committed already, and are only to be acknowledged.
        """
        batch = Batch(deliveries, through)
        try:
            await self._commit(batch)
        except DATABASE_ERRORS as error:
            self._book(batch)
            if len(deliveries) > 1:
                half = len(deliveries) // 2
                await self._settle(deliveries[:half], batch.through)
                await self._settle(deliveries[half:], batch.through)
            else:
                await self._settle([_refused(deliveries[0], error)])
            return
        self._book(batch)
        self._metrics.batch_size.observe(len(deliveries))
        self._metrics.lag_seconds.set(time.monotonic() - deliveries[0].arrived)
        self.backlog.committed(deliveries)
        acknowledge(deliveries)
        self._inbox.settled(len(deliveries))
        if self._tracer is not None:
            self._tracer.settled(deliveries[0].arrived, len(deliveries), self._attempts, self._steps)

    def _book(self, batch: Batch) -> None:
        self._metrics.ledger.settle(batch.tally)
        self._overflow.note(batch.tally)

    async def _commit(self, batch: Batch) -> None:
        """Writes `batch`, for as long as it takes. Raises only what is permanent: some row is refused for its content."""
        self._attempts = 0
        async with self._outage_alarm():
            async for attempt in stamina.retry_context(
                on=_HeldError,
                attempts=None,
                timeout=None,
                wait_initial=0.1,
                wait_max=MAX_RETRY_SECONDS,
                wait_jitter=0.5,
            ):
                with attempt:
                    return await self._try_commit(batch)
        raise AssertionError("unreachable: retries are not limited")

    async def _try_commit(self, batch: Batch) -> None:
        started = time.monotonic()
        self._attempts += 1
        self._steps = []
        try:
            writers = await self._database.writers(batch.writers)
        except (*DATABASE_ERRORS, DatabaseUnavailableError) as error:
            if _is_cancelled():
                raise asyncio.CancelledError from error
            await self._hold(error)
            raise _HeldError(describe(error)) from error
        failures = await self._write_all(batch, writers)
        for failure in failures:
            if not failure.is_permanent:
                await self._hold(failure.error)
                raise _HeldError(describe(failure.error)) from failure.error
        if failures:
            raise failures[0].error
        self._metrics.commit_seconds.observe(time.monotonic() - started)

    async def _write_all(self, batch: Batch, writers: Sequence[Writer]) -> list[_Failure]:
        """Writes what is left of `batch`, each writer a part; returns when all have ended, with what went wrong."""
        now = self._clock()
        parts = zip(batch.parts(len(writers)), writers, strict=True)
        writing = [self._write(batch, part, writer, now) for part, writer in parts]
        outcomes = await asyncio.gather(*writing, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return [outcome for outcome in outcomes if isinstance(outcome, _Failure)]

    async def _write(self, batch: Batch, part: Part, writer: Writer, now: datetime) -> _Failure | None:
        """Writes `part` of `batch`; returns why it could not."""
        steps = Steps()
        try:
            with _time_limit(writer):
                tally = await writer.write(part.messages, now, steps)
        except DATABASE_ERRORS as error:
            if _is_cancelled():
                raise asyncio.CancelledError from error
            if needs_new_connection(error):
                writer.terminate()
            return _Failure(error, is_permanent(error) and not _is_only_rejections(part))
        self._steps.append(steps)
        batch.written(part, tally)
        return None

    async def _hold(self, error: Exception) -> None:
        """Books a failure that passes, and does what can be done about it."""
        self._metrics.database_failures.inc()
        log.warning("batch_held", error=describe(error), pending=self._metrics.ledger.pending)
        if is_missing_partition(error):
            with contextlib.suppress(*DATABASE_ERRORS, DatabaseUnavailableError):
                await self._database.ensure_partitions()

    @contextlib.asynccontextmanager
    async def _outage_alarm(self) -> AsyncIterator[None]:
        alarm = asyncio.get_running_loop().call_later(OUTAGE_SECONDS, self._declare_outage)
        try:
            yield
        finally:
            alarm.cancel()
        if self.outage.is_set():
            self.outage.clear()
            self.healthy.set()
            log.info("database_recovered")

    def _declare_outage(self) -> None:
        self.healthy.clear()
        self.outage.set()
        log.error("database_outage", seconds=OUTAGE_SECONDS, pending=self._metrics.ledger.pending)


def acknowledge(batch: Sequence[Delivery]) -> None:
    """Acknowledges in order of arrival, each delivery to the connection that brought it. QoS 0 needs none."""
    for connection, deliveries in itertools.groupby(batch, key=lambda delivery: delivery.connection):
        connection.acknowledge([d.packet_id for d in deliveries if d.packet_id is not None])


@contextlib.contextmanager
def _time_limit(writer: Writer) -> Iterator[None]:
    """Drops the connection when a transaction takes too long. Cancelling it would wait for the ROLLBACK's answer."""
    alarm = asyncio.get_running_loop().call_later(TRANSACTION_TIMEOUT_SECONDS, writer.terminate)
    try:
        yield
    finally:
        alarm.cancel()


def _is_cancelled() -> bool:
    """True when the task was cancelled, also if a ROLLBACK that failed has hidden that."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _is_only_rejections(part: Part) -> bool:
    """True for what goes to quarantine alone: that the database refuses it too can only be mended there."""
    return all(isinstance(message.content, Rejection) for message in part.messages)


def _refused(delivery: Delivery, error: BaseException) -> Delivery:
    log.warning("reading_refused_by_database", error=describe(error), stream=delivery.message.stream)
    rejection = Rejection(Reason.DATABASE_REFUSED, describe(error))
    message = msgspec.structs.replace(delivery.message, content=rejection)
    return msgspec.structs.replace(delivery, message=message)
