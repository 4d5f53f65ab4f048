"""What `joulegate doctor` asks the database: facts, no judgement. Read-only, and bounded on large databases."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from joulegate_db.connect import READER_SETTINGS
from joulegate_db.sql import query

CHECKUP_SETTINGS = READER_SETTINGS | {"application_name": "joulegate-doctor", "lock_timeout": "2s"}

BLOAT_FROM_BYTES = 50_000_000
BLOAT_DEAD_PER_LIVE = 0.5
MARKS_COUNTED = 1_000_000
QUARANTINE_LOOKED_AT = 10_000
REPORTS_WITHIN = timedelta(minutes=10)
RECENT = timedelta(days=1)
LATE_WITHIN = timedelta(hours=2)
LATE_LOOKED_AT = 100_000


class Server(msgspec.Struct, frozen=True):
    """The server. Sizes in bytes, `oldest_transaction` in seconds; `off`: settings that should be on, as `name=value`."""

    version: str
    major: int
    clock: datetime
    standby: bool
    octets: int
    transaction_age: int
    connections: int
    max_connections: int
    oldest_transaction: float | None
    data_directory: str | None
    off: Sequence[str]


class Login(msgspec.Struct, frozen=True):
    """A running service, by its `application_name`, and who it is logged in as. `is_owner`: of joulegate's tables."""

    service: str
    login: str
    is_superuser: bool
    is_owner: bool


class Bloated(msgspec.Struct, frozen=True):
    """A table with many dead rows, by the statistics."""

    name: str
    live: int
    dead: int
    octets: int
    last_autovacuum: datetime | None


class Days(msgspec.Struct, frozen=True):
    """The days with partitions in both histories; the bytes of yesterday's, None when there are none."""

    days: Sequence[date]
    yesterday: int | None


class Fleet(msgspec.Struct, frozen=True):
    """Devices by their live state. `worst`: late or ahead the most, for people."""

    devices: int
    reporting: int
    received_at: datetime | None
    late: int
    ahead: int
    worst: Sequence[str] | None


class Lateness(msgspec.Struct, frozen=True):
    """Readings measured in the last LATE_WITHIN, up to LATE_LOOKED_AT of each stream, and how many of them came over five minutes late."""

    readings: int
    late: int


class RollupsNow(msgspec.Struct, frozen=True):
    """How far rollups and attribution are. `marks` is counted up to MARKS_COUNTED."""

    rolled_until: datetime
    attributed_until: datetime
    marks: int
    has_readings: bool


class Refused(msgspec.Struct, frozen=True):
    """Quarantine by reason. `recent`: rows of the last day, among the newest QUARANTINE_LOOKED_AT; `places`: charge points of some."""

    reason: str
    kept_rows: int
    kept_octets: int
    kept_messages: int
    overflowed: int
    last_overflow: datetime | None
    recent: int
    places: Sequence[str]


async def server(connection: asyncpg.Connection) -> Server:
    """Needs no schema of ours."""
    return Server(**dict(await connection.fetchrow(query("doctor_server"))))


async def bloated(connection: asyncpg.Connection) -> list[Bloated]:
    """The worst tables."""
    rows = await connection.fetch(query("doctor_tables"), BLOAT_FROM_BYTES, BLOAT_DEAD_PER_LIVE)
    return [Bloated(**dict(row)) for row in rows]


async def logins(connection: asyncpg.Connection) -> list[Login]:
    """Of the services that are connected, on whatever machine."""
    return [Login(**dict(row)) for row in await connection.fetch(query("doctor_logins"))]


async def days(connection: asyncpg.Connection, today: date) -> Days:
    """`today`: the UTC date."""
    return Days(**dict(await connection.fetchrow(query("doctor_days"), today)))


async def fleet(connection: asyncpg.Connection, now: datetime) -> Fleet:
    """Reads one row a device."""
    return Fleet(**dict(await connection.fetchrow(query("doctor_fleet"), now - REPORTS_WITHIN)))


async def lateness(connection: asyncpg.Connection, now: datetime) -> Lateness:
    """Of the newest history."""
    return Lateness(**dict(await connection.fetchrow(query("doctor_late"), now - LATE_WITHIN, LATE_LOOKED_AT)))


async def rollups(connection: asyncpg.Connection) -> RollupsNow:
    """How far they are."""
    return RollupsNow(**dict(await connection.fetchrow(query("doctor_rollups"), MARKS_COUNTED)))


async def quarantined(connection: asyncpg.Connection, now: datetime) -> list[Refused]:
    """By reason, the most messages first."""
    rows: list[Any] = await connection.fetch(query("doctor_quarantine"), now - RECENT, QUARANTINE_LOOKED_AT)
    return [Refused(**dict(row)) for row in rows]
