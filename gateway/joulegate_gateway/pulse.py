"""The pulse: beside the way of a reading, the gateway says every few seconds how it does, and rings when there is something new to see.

Over a connection of its own: the writer's is busy with batches, and a notification must not be part of their commits.
"""

import asyncio
import socket
import time
from datetime import datetime
from importlib.metadata import version

import structlog

from joulegate_core.errors import DatabaseUnavailableError
from joulegate_core.settings import Settings
from joulegate_db.beats import Beat, BeatRecord
from joulegate_gateway.ledger import OUTCOMES, Metrics

log = structlog.get_logger()

RING_SECONDS = 1.0
"""At most one ring in this time, and none while nothing is settled."""

BEAT_SECONDS = 5.0


class Pulse:
    """A gateway's beats and rings.

    Args:
        started_at: when the gateway began to count.
    """

    def __init__(self, settings: Settings, metrics: Metrics, started_at: datetime) -> None:
        self._record = BeatRecord(settings.database_url, settings.client_id)
        self._metrics = metrics
        self._started_at = started_at
        self._rung = 0
        self._settled = 0
        self._beat_at = time.monotonic()
        self._missing = False

    async def run(self) -> None:
        """Beats and rings for ever. Without the database they are missed, which is told once."""
        due = time.monotonic()
        try:
            while True:
                try:
                    await self._ring()
                    if time.monotonic() >= due:
                        due = time.monotonic() + BEAT_SECONDS
                        await self._record.beat(self._beat())
                    self._missing = False
                except DatabaseUnavailableError as error:
                    if not self._missing:
                        log.warning("beat_missed", error=str(error))
                    self._missing = True
                await asyncio.sleep(RING_SECONDS)
        finally:
            self._record.close()

    async def end(self) -> None:
        """Takes the gateway's row away, for it has left for good. A failure is told, and does no harm."""
        try:
            await self._record.forget()
        except DatabaseUnavailableError as error:
            log.warning("beat_not_forgotten", error=str(error))
        finally:
            self._record.close()

    async def _ring(self) -> None:
        settled = self._metrics.ledger.settled.total()
        if settled != self._rung:
            await self._record.ring()
            self._rung = settled

    def _beat(self) -> Beat:
        ledger, now = self._metrics.ledger, time.monotonic()
        settled = ledger.settled.total()
        rate = (settled - self._settled) / max(now - self._beat_at, 0.1)
        self._settled, self._beat_at = settled, now
        sums = {outcome: sum(n for (_, what), n in ledger.settled.items() if what == outcome) for outcome in OUTCOMES}
        return Beat(
            host=socket.gethostname(),
            version=version("joulegate"),
            started_at=self._started_at,
            received=ledger.received.total(),
            pending=ledger.pending,
            rate_per_second=rate,
            lag_seconds=next(iter(self._metrics.lag_seconds.collect())).samples[0].value,
            **sums,
        )
