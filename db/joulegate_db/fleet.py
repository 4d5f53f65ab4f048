"""The fleet's answer: sums of what was attributed, how the vehicles' ratios are distributed, and which are the worst.

Made of whole rolled buckets. The last 24 h are kept ready by the gateway; any other window is summed from the buckets when it is asked for.
"""

from datetime import datetime, timedelta

import asyncpg
import msgspec

from joulegate_db.attribution import Pairing
from joulegate_db.fleet_reasons import window_note, worst_reason
from joulegate_db.live import STALE_AFTER
from joulegate_db.performance import DEGRADED_UNDER, INTERVAL, PAIRINGS, Status
from joulegate_db.presence import EPOCH
from joulegate_db.reader import Reader
from joulegate_db.sql import query
from joulegate_db.windows import Window

DAY = timedelta(hours=24)

EDGES = (0.0, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
"""Lower edges of the distribution's bins, the last without end. 0.85 and 1 are where the status changes."""

MIN_KWH = 1.0
MIN_COVERAGE = 0.5
"""A vehicle is among the worst with at least this much AC in kWh and this share of the expected readings: the defaults of alerts."""


class Bin(msgspec.Struct, frozen=True):
    """How many vehicles have a ratio from `start` to under `end`; the last bin has no end."""

    start: float
    end: float | None
    vehicles: int


class Worst(msgspec.Struct, frozen=True):
    """A vehicle with a low ratio: `ratio` is the judged one (of the paired buckets where there are any). kWh."""

    vehicle_id: str
    ratio: float
    total_kwh_consumed_ac: float
    total_kwh_delivered_dc: float
    coverage: float
    pairing: Pairing
    status: Status
    reason: str


class Counts(msgspec.Struct, frozen=True):
    """How many: now (the first five), and by status in the window. `unknown` includes vehicles without a reading in it."""

    vehicles: int
    meters: int
    charging: int
    silent_vehicles: int
    silent_meters: int
    ok: int
    degraded: int
    implausible: int
    unknown: int


class FleetAnswer(msgspec.Struct, frozen=True):
    """The answer. Energies in kWh, None is not known. `window` is what was summed; `note` says why it is not `requested`.

    `efficiency_ratio` is DC/AC of the totals; `paired_efficiency_ratio` that of the vehicles which have both, over their paired buckets.
    """

    requested: Window
    window: Window
    note: str | None
    total_kwh_consumed_ac: float | None
    total_kwh_delivered_dc: float | None
    unattributed_kwh_ac: float
    efficiency_ratio: float | None
    paired_efficiency_ratio: float | None
    counts: Counts
    distribution: tuple[Bin, ...]
    worst: tuple[Worst, ...]


class _WorstRow(msgspec.Struct, frozen=True):
    vehicle: str
    ratio: float
    ac: float
    dc: float
    vehicle_readings: int
    pairing: int
    status: Status


async def fleet_answer(
    connection: asyncpg.Connection, requested: Window | None, now: datetime, worst: int
) -> FleetAnswer:
    """The fleet's answer for `requested`, widened to whole buckets and cut where attribution stands; by default the last 24 h before that.

    Args:
        connection: in one snapshot.
        worst: how many of the worst vehicles.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: the database failed.
    """
    state = await connection.fetchrow(query("fleet_state"))
    until = state["attributed_until"]
    day = Window(max(until - DAY, EPOCH), until) if until > EPOCH else Window(now, now)
    asked = requested or day
    window = _whole_rolled_buckets(asked, until)
    is_ready = window == day and state["day_until"] == until
    row = await connection.fetchrow(
        query("fleet_summary"), window.start, window.end, is_ready, DEGRADED_UNDER, EDGES, worst, MIN_KWH,
        MIN_COVERAGE * (window.length // INTERVAL),
    )  # fmt: skip
    unattributed = await _unattributed(connection, window, state["day_unattributed"] if is_ready else None)
    return FleetAnswer(
        requested=asked,
        window=window,
        note=window_note(asked, window, until, measured=row["ac"] is not None or row["dc"] is not None),
        total_kwh_consumed_ac=row["ac"],
        total_kwh_delivered_dc=row["dc"],
        unattributed_kwh_ac=unattributed,
        efficiency_ratio=_ratio(row["dc"], row["ac"]),
        paired_efficiency_ratio=_ratio(row["judged_dc"], row["judged_ac"]),
        counts=await _counts(connection, row, now),
        distribution=_bins(row["distribution"]),
        worst=tuple(_worst(one, window) for one in msgspec.json.decode(row["worst"], type=list[_WorstRow])),
    )


def _whole_rolled_buckets(asked: Window, until: datetime) -> Window:
    """Widened to the edges of buckets, cut at `until`; empty when nothing is left."""
    wide = asked.in_whole_buckets()
    return wide.cut(EPOCH, until) or Window(wide.start, wide.start)


async def _unattributed(connection: asyncpg.Connection, window: Window, known: float | None) -> float:
    if known is not None:
        return known
    return float(await connection.fetchval(query("fleet_unattributed"), window.start, window.end))


async def _counts(connection: asyncpg.Connection, row: asyncpg.Record, now: datetime) -> Counts:
    present = await connection.fetchrow(query("fleet_now"), now - STALE_AFTER, now - STALE_AFTER)
    return Counts(
        **present,
        ok=row["ok"],
        degraded=row["degraded"],
        implausible=row["implausible"],
        unknown=row["unknown"] + row["unseen"],
    )


def _ratio(dc: float | None, ac: float | None) -> float | None:
    return dc / ac if dc is not None and ac else None


def _bins(counts: list[int]) -> tuple[Bin, ...]:
    ends = (*EDGES[1:], None)
    return tuple(Bin(start, end, vehicles) for start, end, vehicles in zip(EDGES, ends, counts, strict=True))


def _worst(row: _WorstRow, window: Window) -> Worst:
    pairing = PAIRINGS[row.pairing]
    return Worst(
        vehicle_id=row.vehicle,
        ratio=row.ratio,
        total_kwh_consumed_ac=row.ac,
        total_kwh_delivered_dc=row.dc,
        coverage=min(1.0, row.vehicle_readings / (window.length // INTERVAL)),
        pairing=pairing,
        status=row.status,
        reason=worst_reason(row.status, row.ratio, pairing),
    )


async def fleet(reader: Reader, requested: Window | None, now: datetime, worst: int) -> FleetAnswer:
    """`fleet_answer` from one snapshot of the reader's.

    Raises:
        what every method of the reader raises.
    """
    async with reader.snapshot() as connection:
        return await fleet_answer(connection, requested, now, worst)
