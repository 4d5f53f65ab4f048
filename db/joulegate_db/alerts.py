"""Alerts: opened and closed by comparing what is known of the devices with what is open. Hysteresis keeps them from flapping.

`low_efficiency` and `implausible` are judged on the last 24 h of whole rolled buckets, `register_reset` on those buckets'
events, `silent_device` on when the newest reading was received, `two_places` on where readings of the last hour came from.
"""

from datetime import datetime, timedelta
from typing import Literal

import asyncpg
import msgspec

from joulegate_db.live import STALE_AFTER
from joulegate_db.performance import INTERVAL
from joulegate_db.places import ALERT_FOR, RETURNS, judge_places
from joulegate_db.reader import Reader
from joulegate_db.sql import query

DAY_READINGS = timedelta(hours=24) // INTERVAL

SILENT_AGAIN_WITHIN = timedelta(hours=1)
SILENT_AGAIN_AFTER = 2 * STALE_AFTER
"""A device that was silent within the last hour must be silent for twice as long to be so again."""

AlertKind = Literal["low_efficiency", "implausible", "register_reset", "silent_device", "two_places"]
AlertState = Literal["open", "closed", "all"]


class AlertRules(msgspec.Struct, frozen=True):
    """When alerts open: ratios without unit, energy in kWh. `forget_after`: a device unheard for so long is out of service."""

    efficiency: float
    hysteresis: float
    min_kwh: float
    min_coverage: float
    forget_after: timedelta

    @property
    def readings(self) -> int:
        """Vehicle readings that the last 24 h must have."""
        return round(self.min_coverage * DAY_READINGS)


class Alert(msgspec.Struct, frozen=True):
    """One alert. `value` and `detail` are as at opening; `closed_at` and `closed_because` are None while it is open."""

    id: int
    kind: AlertKind
    device: str
    device_kind: Literal["meter", "vehicle"]
    opened_at: datetime
    closed_at: datetime | None
    value: float | None
    threshold: float
    detail: str
    closed_because: str | None


class AlertFilter(msgspec.Struct, frozen=True):
    """Which alerts; None: any."""

    state: AlertState
    kind: AlertKind | None
    device: str | None


class Evaluated(msgspec.Struct, frozen=True):
    """How many alerts of each kind an evaluation opened and closed."""

    opened: dict[str, int]
    closed: dict[str, int]


async def evaluate(
    connection: asyncpg.Connection, rules: AlertRules, now: datetime, listening_since: datetime
) -> Evaluated:
    """Opens and closes alerts, in one transaction. The same again changes nothing.

    Args:
        connection: the roller's: one evaluates at a time. The sums of the last 24 h are refreshed.
        listening_since: from when on readings were taken; silence before it is not the devices'.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: nothing was changed.
    """
    silent_since, forgotten = now - STALE_AFTER, now - rules.forget_after
    async with connection.transaction():
        await judge_places(connection)
        closed = await connection.fetch(
            query("alert_close"), now, min(rules.efficiency + rules.hysteresis, 1.0), 1 - rules.hysteresis,
            rules.readings, rules.min_kwh, silent_since, forgotten, RETURNS, ALERT_FOR,
        )  # fmt: skip
        opened = await connection.fetch(
            query("alert_open"), now, rules.efficiency, rules.readings, rules.min_kwh,
            silent_since, listening_since, forgotten, now - SILENT_AGAIN_WITHIN, now - SILENT_AGAIN_AFTER,
            RETURNS, ALERT_FOR,
        )  # fmt: skip
    return Evaluated({row["kind"]: row["count"] for row in opened}, {row["kind"]: row["count"] for row in closed})


async def alert_page(reader: Reader, which: AlertFilter, before: int, limit: int) -> list[Alert]:
    """At most `limit` alerts with ids under `before`, newest first.

    Raises:
        what every method of the reader raises.
    """
    async with reader.snapshot() as connection:
        rows = await connection.fetch(query("alert_list"), which.state, which.kind, which.device, before, limit)
    return [Alert(**row) for row in rows]
