"""Retention beside the roller: every six hours what is older than the settings say is removed, a few batches after each of its rounds."""

import time
from collections import Counter as Tallies
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import structlog
from prometheus_client import Counter

from joulegate_core.clock import Clock
from joulegate_core.settings import Settings
from joulegate_db.retention import Keep, Removed, remove_old

log = structlog.get_logger()

EVERY_SECONDS = 6 * 3600.0
BATCHES_A_ROUND = 20
"""Rolling goes on: a month of a large fleet's presence takes some hundred rounds."""


def keep(settings: Settings) -> Keep:
    """What the settings say about retention."""
    least = settings.max_age_days + 1
    return Keep(
        rollups=_days(settings.rollup_keep_days, least),
        quarantine=_days(settings.quarantine_keep_days, least),
        alerts=_days(settings.alert_keep_days, least),
    )


def _days(number: int, least: int) -> timedelta | None:
    return timedelta(days=max(number, least)) if number else None


class Retention:
    """Removes over the roller's connection, hence in one gateway at a time.

    Args:
        removed: counts, by `kind`, rows, and for rollups partitions.
    """

    def __init__(self, connection: asyncpg.Connection, settings: Settings, clock: Clock, removed: Counter) -> None:
        self._connection = connection
        self._keep = keep(settings)
        self._clock = clock
        self._removed = removed
        self._steps: AsyncIterator[Removed] | None = None
        self._rows: Tallies[str] = Tallies()
        self._due = time.monotonic()

    async def round(self) -> None:
        """A few batches, when it is time. May be interrupted anywhere: the next one begins anew.

        Raises:
            asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: the database failed.
        """
        if self._steps is None:
            if time.monotonic() < self._due:
                return
            self._steps = remove_old(self._connection, self._keep, self._clock())
        for _ in range(BATCHES_A_ROUND):
            one = await anext(self._steps, None)
            if one is None:
                self._end()
                return
            self._note(one)

    def _note(self, one: Removed) -> None:
        if one.table is not None:
            log.info("retention_dropped", table=one.table)
        self._rows[one.kind] += one.rows
        self._removed.labels(one.kind).inc(one.rows if one.table is None else 1)

    def _end(self) -> None:
        rows = {kind: number for kind, number in self._rows.items() if number}
        if rows:
            log.info("retention_removed", **rows)
        self._rows.clear()
        self._steps = None
        self._due = time.monotonic() + EVERY_SECONDS
