"""The pipeline: batches from the inbox go to the database, and acknowledgements to the broker after the commit."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Iterator, Sequence

import msgspec
import stamina
import structlog

from joulegate_core.clock import Clock
from joulegate_core.errors import DatabaseUnavailableError
from joulegate_core.reasons import Reason
from joulegate_core.telemetry import Rejection
from joulegate_db.failures import DATABASE_ERRORS, describe, is_missing_partition, is_permanent, needs_new_connection
from joulegate_db.steps import Steps
from joulegate_db.writer import TRANSACTION_TIMEOUT_SECONDS, Tally, Writer
from joulegate_gateway.backlog import Backlog
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
        self._steps: Steps | None = None

    async def run(self) -> None:
        """Runs until the inbox is closed and empty."""
        while (batch := await self._inbox.next_batch()) is not None:
            await self._settle(batch)

    async def _settle(self, batch: Sequence[Delivery]) -> None:
        """Commits and acknowledges `batch`. A row that the database refuses is isolated by halving; the order is kept."""
        self._attempts = 0
        try:
            tally = await self._commit(batch)
        except DATABASE_ERRORS as error:
            if len(batch) > 1:
                half = len(batch) // 2
                await self._settle(batch[:half])
                await self._settle(batch[half:])
            else:
                await self._settle([_refused(batch[0], error)])
            return
        self._metrics.ledger.settle(tally)
        self._overflow.note(tally)
        self._metrics.lag_seconds.set(time.monotonic() - batch[0].arrived)
        self.backlog.committed(batch)
        acknowledge(batch)
        self._inbox.settled(len(batch))
        if self._tracer is not None and self._steps is not None:
            self._tracer.settled(batch[0].arrived, len(batch), self._attempts, self._steps)

    async def _commit(self, batch: Sequence[Delivery]) -> Tally:
        """Writes `batch`, for as long as it takes. Raises only what is permanent: some row is refused for its content."""
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

    async def _try_commit(self, batch: Sequence[Delivery]) -> Tally:
        started = time.monotonic()
        messages = [delivery.message for delivery in batch]
        try:
            writer = await self._database.writer()
            self._attempts += 1
            if self._tracer is not None:
                self._steps = writer.steps = Steps()
            with _time_limit(writer):
                tally = await writer.write(messages, self._clock())
        except (*DATABASE_ERRORS, DatabaseUnavailableError) as error:
            if _is_cancelled():
                raise asyncio.CancelledError from error
            if is_permanent(error) and not _is_only_rejections(batch):
                raise
            await self._hold(error)
            raise _HeldError(describe(error)) from error
        self._metrics.batch_size.observe(len(batch))
        self._metrics.commit_seconds.observe(time.monotonic() - started)
        return tally

    async def _hold(self, error: BaseException) -> None:
        """Books a failure that passes, and does what can be done about it."""
        self._metrics.database_failures.inc()
        log.warning("batch_held", error=describe(error), pending=self._metrics.ledger.pending)
        if is_missing_partition(error):
            with contextlib.suppress(*DATABASE_ERRORS, DatabaseUnavailableError):
                await self._database.ensure_partitions()
        if needs_new_connection(error):
            self._database.drop_writer()

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


def _is_only_rejections(batch: Sequence[Delivery]) -> bool:
    """True for what goes to quarantine alone: that the database refuses it too can only be mended there."""
    return all(isinstance(delivery.message.content, Rejection) for delivery in batch)


def _refused(delivery: Delivery, error: BaseException) -> Delivery:
    log.warning("reading_refused_by_database", error=describe(error), stream=delivery.message.stream)
    rejection = Rejection(Reason.DATABASE_REFUSED, describe(error))
    message = msgspec.structs.replace(delivery.message, content=rejection)
    return msgspec.structs.replace(delivery, message=message)
