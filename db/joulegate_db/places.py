"""Devices that report from two charge points at once: candidates are noted when rollups are computed, and judged by their readings."""

from datetime import timedelta

import asyncpg

from joulegate_core.telemetry import READING_INTERVAL_SECONDS, STALE_AFTER_INTERVALS
from joulegate_db.sql import query

BACK_WITHIN = timedelta(seconds=READING_INTERVAL_SECONDS * STALE_AFTER_INTERVALS)
RETURNS = 6
"""So many returns within a bucket make an alert. Two devices under one name make about 28; a real move between chargers whose clocks differ
by two minutes makes four."""

ALERT_FOR = timedelta(hours=1)
"""The alert is over when no bucket of the last hour says so."""

CANDIDATES_A_ROUND = 2000
"""Some tens of milliseconds; the rest waits for the next round."""


async def judge_places(connection: asyncpg.Connection) -> None:
    """Counts for new candidates, and forgets old ones. Part of the evaluation of alerts.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: the next round counts.
    """
    await connection.execute(query("places_judge"), CANDIDATES_A_ROUND, BACK_WITHIN)
    await connection.execute(query("places_forget"))
