"""The gateway's side of the database: writers, opened when they are needed, and partitions ahead of need."""

import asyncio
import time

import structlog

from joulegate_core.clock import Clock
from joulegate_core.errors import DatabaseUnavailableError, JoulegateError
from joulegate_db.connect import MIGRATION_SETTINGS, connect, unavailable
from joulegate_db.failures import DATABASE_ERRORS, describe
from joulegate_db.partitions import ensure_partitions
from joulegate_db.quarantine import DEFAULT_MAX_BYTES
from joulegate_db.writer import Writer

log = structlog.get_logger()

PARTITION_CHECK_SECONDS = 3600.0
PARTITION_TIMEOUT_SECONDS = 60.0
"""Longer than the session's lock timeout: it ends a wait for a server that no longer answers at all."""

PAUSE_SECONDS = 60.0
"""So long a backlog is written by one writer before a second one is tried again."""


class Database:
    """Hands out the writers and keeps the partitions.

    Args:
        url: PostgreSQL URL; staging tables need a direct connection or PgBouncer in session mode.
        max_age_days: how far back readings are accepted, hence partitions needed.
        quarantine_max_bytes: what quarantine keeps of each reason, at most.
    """

    def __init__(
        self, url: str, *, max_age_days: int, clock: Clock, quarantine_max_bytes: int = DEFAULT_MAX_BYTES
    ) -> None:
        self._url = url
        self._max_age_days = max_age_days
        self._clock = clock
        self._quarantine_max_bytes = quarantine_max_bytes
        self._writers: list[Writer] = []
        self._more_from = 0.0
        self._opening = asyncio.Lock()

    async def writer(self) -> Writer:
        """The writer; a new connection when its old one is gone.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
            SchemaMismatchError: the schema is not this version's.
        """
        return (await self.writers(1))[0]

    async def writers(self, wanted: int) -> list[Writer]:
        """At most so many writers, and at least one. The others are opened when they are first of use, and done without where they are
        not to be had: the server has no connection left, or its schema is the next version's already.

        Raises:
            as `writer`.
        """
        async with self._opening:
            self._writers = [writer for writer in self._writers if not writer.is_closed]
            if not self._writers:
                self._writers.append(await self._open())
            if len(self._writers) < wanted and time.monotonic() >= self._more_from:
                try:
                    self._writers.append(await self._open())
                except JoulegateError as error:
                    log.warning("second_writer_unavailable", error=str(error), pause_seconds=PAUSE_SECONDS)
                    self._more_from = time.monotonic() + PAUSE_SECONDS
            return self._writers[:wanted]

    async def _open(self) -> Writer:
        return await Writer.open(self._url, quarantine_max_bytes=self._quarantine_max_bytes)

    async def ensure_partitions(self) -> None:
        """Creates missing partitions, over a connection of its own.

        Raises:
            DatabaseUnavailableError: the database cannot be reached, does not answer, or refuses.
        """
        connection = await connect(self._url, MIGRATION_SETTINGS)
        try:
            async with asyncio.timeout(PARTITION_TIMEOUT_SECONDS):
                created = await ensure_partitions(connection, self._clock(), max_age_days=self._max_age_days)
        except DATABASE_ERRORS as error:
            raise unavailable(error) from error
        finally:
            connection.terminate()
        if created:
            log.info("partitions_created", count=created)

    async def keep_partitions(self) -> None:
        """Creates partitions ahead of need, for ever. A failure is logged and tried again at the next round."""
        while True:
            await asyncio.sleep(PARTITION_CHECK_SECONDS)
            try:
                await self.ensure_partitions()
            except (*DATABASE_ERRORS, DatabaseUnavailableError) as error:
                log.warning("partitions_not_checked", error=describe(error))

    def close(self) -> None:
        """Ends the writers' connections."""
        for writer in self._writers:
            writer.terminate()
