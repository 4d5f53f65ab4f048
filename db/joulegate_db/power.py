"""The fleet's power by minute, over the last minutes: for a live plot. Straight from history; the answers of analytics use rollups."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from joulegate_db.live import STALE_AFTER
from joulegate_db.reader import Reader
from joulegate_db.sql import query

MINUTE = timedelta(minutes=1)
SHOWN_MINUTES = 20
"""10,000 meters and vehicles have 400,000 readings in them."""
LATE = timedelta(seconds=10)
"""A minute is shown once it is over by so much: until then some of its readings are still on their way."""


class MinutePower(msgspec.Struct, frozen=True):
    """Mean power of the minute that begins at `start`: kW of AC drawn and of DC delivered; None without a reading of that stream."""

    start: datetime
    ac_kw: float | None
    dc_kw: float | None


async def fleet_power(reader: Reader, now: datetime) -> Sequence[MinutePower]:
    """The last twenty whole minutes before `now`, oldest first; a minute without any reading has None. Empty when all have."""
    until = (now - LATE).replace(second=0, microsecond=0)
    since = until - SHOWN_MINUTES * MINUTE
    async with reader.snapshot() as connection:
        rows = await connection.fetch(query("fleet_power"), since, until, since - STALE_AFTER)
    measured = {row["minute"]: MinutePower(row["minute"], _power(row["ac"]), _power(row["dc"])) for row in rows}
    minutes = [since + number * MINUTE for number in range(SHOWN_MINUTES)]
    return [measured.get(minute) or MinutePower(minute, None, None) for minute in minutes] if measured else []


def _power(kwh: float | None) -> float | None:
    """kW of what was measured in a minute."""
    return None if kwh is None else kwh * 60
