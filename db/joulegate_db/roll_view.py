"""What the rollups can be relied on for, as seen from one snapshot: up to when, except for which buckets, and registers."""

from collections.abc import Collection
from datetime import datetime

import asyncpg
import msgspec

from joulegate_core.telemetry import Stream
from joulegate_db.presence import BUCKET, EPOCH
from joulegate_db.registers import Counter, Limits
from joulegate_db.sql import query
from joulegate_db.windows import Window


class Register(msgspec.Struct, frozen=True):
    """A register device: from the bucket `since` on energies are computed from history, beginning with `baseline`."""

    since: datetime
    baseline: Counter | None
    limits: Limits


class DeviceView(msgspec.Struct, frozen=True):
    """How one device's readings are to be read. `seen`: it is known; `marks`: rolled buckets that late readings touched."""

    seen: bool
    rolled_until: datetime
    marks: frozenset[datetime]
    register: Register | None

    def rolled(self, window: Window) -> list[Window]:
        """The ranges of whole buckets in `window` that are taken from rollups. The rest of it is taken from history."""
        ranges = []
        start, end = self._rollable(window)
        for mark in sorted(m for m in self.marks if start <= m < end):
            ranges.append(Window(start, mark))
            start = mark + BUCKET
        ranges.append(Window(start, end))
        return [one for one in ranges if one.start < one.end]

    def _rollable(self, window: Window) -> tuple[datetime, datetime]:
        first = -((EPOCH - window.start) // BUCKET) * BUCKET + EPOCH
        last = EPOCH + (window.end - EPOCH) // BUCKET * BUCKET
        limit = self.rolled_until if self.register is None else min(self.rolled_until, self.register.since)
        return first, min(last, limit)


async def view_devices(
    connection: asyncpg.Connection, stream: Stream, devices: Collection[str]
) -> dict[str, DeviceView]:
    """The views of `devices`. `connection` must be in the transaction that reads the rollups too."""
    if not devices:
        return {}
    rows = await connection.fetch(query("roll_view"), stream.value, list(devices))
    registers = await _registers(connection, stream, [row for row in rows if row["is_register"]])
    return {
        row["device"]: DeviceView(
            seen=row["seen"],
            rolled_until=row["rolled_until"],
            marks=frozenset(row["marks"]),
            register=registers.get(row["device"]),
        )
        for row in rows
    }


async def _registers(connection: asyncpg.Connection, stream: Stream, rows: list[asyncpg.Record]) -> dict[str, Register]:
    if not rows:
        return {}
    limits = {row["device"]: Limits(row["max_kw"], row["look_back"]) for row in rows}
    first_marks = [row["marks"][0] if row["marks"] else None for row in rows]
    found = await connection.fetch(query("register_views"), [row["device"] for row in rows], first_marks, stream.value)
    return {
        row["device"]: Register(
            since=row["bucket"] or EPOCH,
            baseline=Counter(row["ts"], row["kwh"]) if row["ts"] else None,
            limits=limits[row["device"]],
        )
        for row in found
    }
