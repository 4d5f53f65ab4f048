"""Pages of devices with their newest measured state, in the order of their ids."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import asyncpg
import msgspec

from joulegate_core.telemetry import Stream
from joulegate_db.attribution import Pairing
from joulegate_db.citus import form
from joulegate_db.live import STALE_AFTER, MeterState, StateT, VehicleState, with_registers
from joulegate_db.performance import DEGRADED_UNDER, INTERVAL, PAIRINGS, Status
from joulegate_db.reader import Reader
from joulegate_db.sql import query

DAY_READINGS = timedelta(hours=24) // INTERVAL

MORE_ROWS = 1000
"""So many are fetched at least where the first rows did not fill a page: a short page of few registers among many must not take thousands
of questions."""


class LiveFilter(msgspec.Struct, frozen=True):
    """Which devices; None: any. `status` is of vehicles only."""

    charging: bool | None = None
    stale: bool | None = None
    status: Status | None = None


class ListedVehicle(VehicleState, frozen=True):
    """A vehicle's state, and its last 24 h of attributed quarters of an hour, as they are kept ready."""

    efficiency_ratio: float | None
    status: Status
    pairing: Pairing
    coverage: float


async def meter_page(reader: Reader, which: LiveFilter, after: str, limit: int, now: datetime) -> list[MeterState]:
    """At most `limit` meters whose ids come after `after`.

    Raises:
        what every method of the reader raises.
    """
    arguments = (now - STALE_AFTER, which.charging, which.stale)
    async with reader.snapshot() as connection:
        statement = await form(connection, query("live_page_meter"))

        async def fetch(start: str, size: int) -> list[asyncpg.Record]:
            return list(await connection.fetch(statement, start, size, *arguments))

        return await _page(connection, Stream.METER, _meter, fetch, which, after, limit)


async def vehicle_page(reader: Reader, which: LiveFilter, after: str, limit: int, now: datetime) -> list[ListedVehicle]:
    """At most `limit` vehicles whose ids come after `after`.

    Raises:
        what every method of the reader raises.
    """
    arguments = (now - STALE_AFTER, which.charging, which.stale, which.status, DEGRADED_UNDER, DAY_READINGS)
    async with reader.snapshot() as connection:
        statement = await form(connection, query("live_page_vehicle"))

        async def fetch(start: str, size: int) -> list[asyncpg.Record]:
            return list(await connection.fetch(statement, start, size, *arguments))

        return await _page(connection, Stream.VEHICLE, _vehicle, fetch, which, after, limit)


async def _page(
    connection: asyncpg.Connection,
    stream: Stream,
    make: Callable[[asyncpg.Record], StateT],
    fetch: Callable[[str, int], Awaitable[list[asyncpg.Record]]],
    which: LiveFilter,
    after: str,
    limit: int,
) -> list[StateT]:
    """Fetches until the page is full: of registers the database gives all that may be charging, and some are not."""
    page: list[StateT] = []
    size = limit
    while len(page) < limit:
        rows = await fetch(after, size)
        states = [make(row) for row in rows]
        registers = [state.device for state, row in zip(states, rows, strict=True) if row["is_register"]]
        states = await with_registers(connection, stream, states, registers)
        page += [state for state in states if which.charging in (None, state.charging)]
        if len(rows) < size:
            break
        after, size = states[-1].device, max(limit, MORE_ROWS)
    return page[:limit]


def _meter(row: asyncpg.Record) -> MeterState:
    return MeterState(**{name: row[name] for name in MeterState.__struct_fields__})


def _vehicle(row: asyncpg.Record) -> ListedVehicle:
    fields = {name: row[name] for name in ListedVehicle.__struct_fields__}
    return ListedVehicle(**fields | {"pairing": PAIRINGS[row["pairing"]]})
