"""Register energies in the rollups: recomputed from a known baseline, on and on until nothing changes any more.

A late register reading changes its own energy, that of the reading before it (whose next it becomes) and those after it, for as long as the
last accepted reading differs from what it was. So a computation begins at the last bucket with readings before the touched one, where the
baseline is known, and ends where it meets a stored baseline that is the same.
"""

from collections import Counter as Tallies
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import asyncpg
import msgspec

from joulegate_core.telemetry import Stream
from joulegate_db.citus import form
from joulegate_db.presence import BUCKET
from joulegate_db.registers import Counter, Limits, Outcome, energies
from joulegate_db.sql import query
from joulegate_db.windows import bucket_of

Starts = dict[str, tuple[datetime, Counter | None]]
"""By device: the bucket with which the computation begins, and the last accepted reading before it."""


class Span(msgspec.Struct, frozen=True):
    """A register device and the buckets [since, until) in which it was touched."""

    device: str
    since: datetime
    until: datetime
    max_kw: float


class _Cell(msgspec.Struct):
    """What the readings of one place are worth."""

    kwh: float = 0.0
    outcomes: Tallies[Outcome] = msgspec.field(default_factory=Tallies)


class _Computed(msgspec.Struct):
    """The result for one device: cells by (bucket, charge point, linked vehicle), baselines by bucket, and the last state."""

    cells: dict[tuple[datetime, str, str], _Cell]
    baselines: dict[datetime, Counter | None]
    accepted: Counter | None


async def recompute_registers(
    connection: asyncpg.Connection, stream: Stream, spans: Iterable[Span], look_back: timedelta
) -> None:
    """Sets the energies of the register devices in `spans`, whose rollup rows exist. Part of the roller's transaction."""
    touched = list(spans)
    starts = await _starts(connection, stream, touched)
    while touched:
        computed = await _compute(connection, stream, touched, starts, look_back)
        await _store(connection, stream, computed)
        touched, starts = await _unfinished(connection, stream, touched, computed)


async def _starts(connection: asyncpg.Connection, stream: Stream, spans: Sequence[Span]) -> Starts:
    """Where each device's computation begins, and with which baseline."""
    rows = await connection.fetch(
        query("register_starts"), [s.device for s in spans], [s.since for s in spans], stream.value
    )
    found = {row["device"]: (row["bucket"], _counter(row)) for row in rows}
    return {span.device: found.get(span.device, (span.since, None)) for span in spans}


async def _compute(
    connection: asyncpg.Connection,
    stream: Stream,
    spans: Sequence[Span],
    starts: Starts,
    look_back: timedelta,
) -> dict[str, _Computed]:
    rows = await connection.fetch(
        await form(connection, query(f"register_readings_{stream}")),
        [span.device for span in spans],
        [starts[span.device][0] for span in spans],
        [span.until for span in spans],
    )
    by_device = {device: list(group) for device, group in groupby(rows, key=lambda row: row["device"])}
    return {
        span.device: _compute_device(
            by_device.get(span.device, []), starts[span.device][1], Limits(span.max_kw, look_back)
        )
        for span in spans
    }


def _compute_device(rows: Sequence[Any], baseline: Counter | None, limits: Limits) -> _Computed:
    inside = [row for row in rows if not row["following"]]
    counters = [Counter(row["ts"], row["kwh"]) for row in inside]
    following = next((Counter(row["ts"], row["kwh"]) for row in rows if row["following"]), None)
    result = _Computed({}, {}, baseline)
    walk = energies(counters, baseline, following, limits)
    for row, counter, (energy, before) in zip(inside, counters, walk, strict=True):
        bucket = bucket_of(counter.ts)
        result.baselines.setdefault(bucket, before)
        cell = result.cells.setdefault((bucket, row["charge_point"], row["linked_vehicle"]), _Cell())
        cell.kwh += energy.kwh
        cell.outcomes[energy.outcome] += 1
        result.accepted = before if energy.outcome == "glitch" else counter
    return result


async def _unfinished(
    connection: asyncpg.Connection, stream: Stream, spans: Sequence[Span], computed: dict[str, _Computed]
) -> tuple[list[Span], Starts]:
    """The devices whose next rolled bucket was computed from another baseline than now: that bucket comes next."""
    rows = await connection.fetch(
        query("register_nexts"), [s.device for s in spans], [s.until for s in spans], stream.value
    )
    nexts = {row["device"]: row for row in rows if _counter(row) != computed[row["device"]].accepted}
    unfinished = [
        msgspec.structs.replace(span, since=nexts[span.device]["bucket"], until=nexts[span.device]["bucket"] + BUCKET)
        for span in spans
        if span.device in nexts
    ]
    return unfinished, {span.device: (span.since, computed[span.device].accepted) for span in unfinished}


async def _store(connection: asyncpg.Connection, stream: Stream, computed: dict[str, _Computed]) -> None:
    cells = [(device, *place, cell) for device, one in computed.items() for place, cell in one.cells.items()]
    if not cells:
        return
    devices, buckets, charge_points, linked_vehicles, worths = zip(*cells, strict=True)
    await connection.execute(
        query(f"register_set_{stream}"),
        devices,
        buckets,
        charge_points,
        [cell.kwh for cell in worths],
        *([cell.outcomes[outcome] for cell in worths] for outcome in ("reset", "glitch", "jump", "recovered")),
        linked_vehicles,
    )
    baselines = [(device, *kept) for device, one in computed.items() for kept in one.baselines.items()]
    await connection.execute(
        query("register_keep_baselines"),
        [device for device, _, _ in baselines],
        stream.value,
        [bucket for _, bucket, _ in baselines],
        [counter and counter.ts for _, _, counter in baselines],
        [counter and counter.kwh for _, _, counter in baselines],
    )


def _counter(row: Any) -> Counter | None:
    return None if row["ts"] is None else Counter(row["ts"], row["kwh"])
