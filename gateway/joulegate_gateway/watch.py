"""The watch: after each of the roller's rounds, under its lock, attributes what changed, and opens and closes alerts."""

from datetime import timedelta

import asyncpg
import structlog

from joulegate_core.clock import Clock
from joulegate_core.settings import Settings
from joulegate_db.alerts import AlertRules, evaluate
from joulegate_db.charging import Charging

log = structlog.get_logger()


def alert_rules(settings: Settings) -> AlertRules:
    """What the settings say about alerts. A device unheard for the clock window is out of service."""
    return AlertRules(
        efficiency=settings.alert_efficiency,
        hysteresis=settings.alert_hysteresis,
        min_kwh=settings.alert_min_kwh,
        min_coverage=settings.alert_min_coverage,
        forget_after=timedelta(days=settings.max_age_days),
    )


class Watch:
    """Keeps attribution and alerts up to date with the rollups.

    Args:
        connection: the roller's. A watch lives as long as it; silence before it began is put down to the gateway, not to the devices.
    """

    def __init__(self, connection: asyncpg.Connection, settings: Settings, clock: Clock) -> None:
        self._connection = connection
        self._charging = Charging(connection)
        self._rules = alert_rules(settings)
        self._clock = clock
        self._since = clock()

    async def round(self) -> None:
        """One evaluation. May be interrupted anywhere: the next one finishes it.

        Raises:
            asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: the database failed.
        """
        attributed = 0
        while marks := await self._charging.attribute():
            attributed += marks
        if attributed:
            log.info("charging_attributed", places=attributed)
            await self._charging.vacuum()
        await self._charging.refresh()
        changed = await evaluate(self._connection, self._rules, self._clock(), self._since)
        if changed.opened or changed.closed:
            log.info("alerts_changed", opened=changed.opened, closed=changed.closed)
