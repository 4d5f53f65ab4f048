"""Energies of register readings that are read from history: computed from where the last accepted reading is known."""

from collections import Counter as Tallies
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from joulegate_core.telemetry import Stream
from joulegate_db.citus import form
from joulegate_db.registers import Counter, Energy, energies
from joulegate_db.roll_view import Register
from joulegate_db.sql import query
from joulegate_db.windows import Window, bucket_of


class RawRange(msgspec.Struct, frozen=True):
    """A part of a stay that is read from history. `stay` is the stay's number."""

    stay: int
    device: str
    window: Window
    register: Register


Place = tuple[int, str, str, datetime]
"""Number of the stay, charge point, linked vehicle, bucket."""


class _Worth(msgspec.Struct):
    bucket_kwh: float = 0.0
    kwh: float = 0.0
    outcomes: Tallies[str] = msgspec.field(default_factory=Tallies)

    def add(self, energy: Energy, *, inside: bool) -> None:
        self.bucket_kwh += energy.kwh
        if inside:
            self.kwh += energy.kwh
            self.outcomes[energy.outcome] += 1

    def fields(self) -> dict[str, float]:
        """The fields of a cell that depend on energies."""
        return {
            "bucket_kwh": self.bucket_kwh,
            "kwh": self.kwh,
            "resets": self.outcomes["reset"],
            "glitches": self.outcomes["glitch"],
            "jumps": self.outcomes["jump"],
            "recovered": self.outcomes["recovered"],
        }


async def register_energies(
    connection: asyncpg.Connection, stream: Stream, ranges: Sequence[RawRange]
) -> dict[Place, dict[str, float]]:
    """For each place in `ranges` the fields of its cell that depend on energies."""
    worths: dict[Place, dict[str, float]] = {}
    begins = await _begins(connection, stream, ranges)
    statement = await form(connection, query(f"register_readings_{stream}"))
    for part, (since, baseline) in zip(ranges, begins, strict=True):
        wide = part.window.in_whole_buckets()
        rows = await connection.fetch(statement, [part.device], [since], [wide.end])
        worths |= _worths(part, rows, baseline)
    return worths


async def _begins(
    connection: asyncpg.Connection, stream: Stream, ranges: Sequence[RawRange]
) -> list[tuple[datetime, Counter | None]]:
    """Where each range's computation begins: with the first bucket in it that has readings and whose baseline holds.

    Baselines hold below `register.since`; there it is itself a place to begin.
    """
    buckets = [bucket_of(part.window.start) for part in ranges]
    rows = await connection.fetch(query("register_nexts"), [part.device for part in ranges], buckets, stream.value)
    found = {(row["device"], row["since"]): row for row in rows}
    begins = []
    for part, bucket in zip(ranges, buckets, strict=True):
        row = found.get((part.device, bucket))
        if row is not None and row["bucket"] < part.register.since:
            begins.append((row["bucket"], Counter(row["ts"], row["kwh"]) if row["ts"] else None))
        else:
            begins.append((part.register.since, part.register.baseline))
    return begins


def _worths(part: RawRange, rows: Sequence[Any], baseline: Counter | None) -> dict[Place, dict[str, float]]:
    following = next((Counter(row["ts"], row["kwh"]) for row in rows if row["following"]), None)
    inside = [row for row in rows if not row["following"]]
    walk = energies([Counter(row["ts"], row["kwh"]) for row in inside], baseline, following, part.register.limits)
    first = bucket_of(part.window.start)
    places: dict[Place, _Worth] = {}
    for row, (energy, _) in zip(inside, walk, strict=True):
        ts = row["ts"]
        if ts >= first:
            worth = places.setdefault((part.stay, row["charge_point"], row["linked_vehicle"], bucket_of(ts)), _Worth())
            worth.add(energy, inside=part.window.start <= ts < part.window.end)
    return {place: worth.fields() for place, worth in places.items()}
