"""Rollups: history by device, charge point and 15-minute bucket, kept equal to history by one roller at a time."""

from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from joulegate_core.settings import EnergyKind
from joulegate_core.telemetry import Stream
from joulegate_db.citus import settle_rollups, settle_writers
from joulegate_db.presence import BUCKET, EPOCH
from joulegate_db.register_rollups import Span, recompute_registers
from joulegate_db.sql import query
from joulegate_db.touched import rollups_changed
from joulegate_db.windows import bucket_of

CLOSE_AFTER = timedelta(minutes=2)
"""A bucket is closed so long after its end: readings that are a little late need no recomputation."""

ROLL_STEP = timedelta(hours=3)
"""At most so much is rolled in one transaction: a day's backlog shows progress and can be interrupted."""

MARKS_A_STEP = 20_000


class EnergyDefaults(msgspec.Struct, frozen=True):
    """How energies are computed where a device has no declaration of its own."""

    meter_energy: EnergyKind
    vehicle_energy: EnergyKind
    max_kw: float
    look_back: timedelta

    def kind(self, stream: Stream) -> EnergyKind:
        """The stream's energy kind."""
        return self.meter_energy if stream is Stream.METER else self.vehicle_energy


class Rolled(msgspec.Struct, frozen=True):
    """One step of the roller: rollups were computed for [since, until)."""

    since: datetime
    until: datetime


class Rollups:
    """The roller's hands. Every method may be interrupted anywhere and called again.

    Args:
        connection: one of its own; `lock` must have succeeded on it before anything else is called.
    """

    def __init__(self, connection: asyncpg.Connection, defaults: EnergyDefaults) -> None:
        self._connection = connection
        self._defaults = defaults

    async def lock(self) -> bool:
        """Becomes the roller, for as long as the connection lasts; False while another one is."""
        return bool(await self._connection.fetchval(query("roll_lock")))

    async def begun(self) -> bool:
        """Whether there is a reading, or a bucket was closed. Before, none needs to be: history may be filled in first."""
        return bool(await self._connection.fetchval(query("roll_begun")))

    async def rolled_until(self) -> datetime:
        """Up to when rollups are computed, whoever rolls; the epoch when none are."""
        until: datetime = await self._connection.fetchval(query("roll_until"))
        return until

    async def declare_defaults(self) -> bool:
        """Makes the defaults those of the rollups; when they were others everything is to be rolled anew. True then."""
        d = self._defaults
        values = (d.meter_energy, d.vehicle_energy, d.max_kw, d.look_back)
        return bool(await self._connection.fetchval(query("roll_declare"), *values))

    async def roll(self, now: datetime) -> AsyncIterator[Rolled]:
        """Closes the buckets that ended two minutes before `now`, and computes their rollups in steps."""
        until = bucket_of(now - CLOSE_AFTER)
        since, until = await self._close(until)
        if since == EPOCH:  # nothing was ever rolled: begin where history begins
            oldest = await self._connection.fetchval(query("roll_oldest"))
            since = until if oldest is None else min(bucket_of(oldest), until)
            await self._connection.execute(query("roll_advance"), since)
        while since < until:
            step = Rolled(since, min(since + ROLL_STEP, until))
            await self._roll_range(step)
            yield step
            since = step.until

    async def roll_marked(self) -> int:
        """Computes the buckets anew that late readings touched, up to a limit; returns how many (device, bucket) there were."""
        async with rollups_changed(self._connection):
            marks = await self._connection.fetch(query("roll_take_marks"), MARKS_A_STEP)
            await settle_writers(self._connection)  # the marks' readings are seen by what follows
            for stream in Stream:
                rows = [(row["device"], row["bucket"]) for row in marks if row["kind"] == stream]
                if rows:
                    devices, buckets = zip(*rows, strict=True)
                    if stream is Stream.METER:
                        await self._connection.execute(query("roll_clear_marked"), devices, buckets)
                    await self._roll("roll_marked", stream, devices, buckets)
        return len(marks)

    async def vacuum(self) -> None:
        """Makes what was rolled visible to all in the visibility map: only then are answers index-only scans."""
        for statement in ("roll_vacuum_meter", "roll_vacuum_vehicle"):
            await self._connection.execute(query(statement))

    async def compute(self, step: Rolled) -> None:
        """Computes the rollups of the step's buckets. Part of a transaction of the caller's, by `rollups_changed`."""
        for stream in Stream:
            await self._roll("roll_range", stream, step.since, step.until)

    async def _close(self, until: datetime) -> tuple[datetime, datetime]:
        """Closes the buckets before `until`; returns up to where the rollups are computed, and up to where buckets are closed."""
        async with self._connection.transaction():
            await self._connection.execute(query("wait_for_writers"))
            await settle_writers(self._connection)
            row = await self._connection.fetchrow(query("roll_close"), until)
        return row["rolled_until"], row["closed_until"]

    async def _roll_range(self, step: Rolled) -> None:
        async with rollups_changed(self._connection):
            await self.compute(step)
        await settle_rollups(self._connection)  # readers take from the rollups what is there on all nodes
        await self._connection.execute(query("roll_advance"), step.until)

    async def _roll(self, name: str, stream: Stream, *where: Any) -> None:
        """Runs one of the roll statements, and sets the energies of the register devices that it names."""
        rows: Iterable[Any] = await self._connection.fetch(
            query(f"{name}_{stream}"), *where, self._defaults.kind(stream), self._defaults.max_kw
        )
        spans = [Span(row["device"], row["since"], row["last"] + BUCKET, row["max_kw"]) for row in rows]
        if spans:
            await recompute_registers(self._connection, stream, spans, self._defaults.look_back)
