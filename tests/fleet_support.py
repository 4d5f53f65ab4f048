"""Readings that are rolled and attributed as the gateway does it, and alerts evaluated at a time of the test's choosing."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from http_support import Reading, _message, at
from joulegate_core.settings import EnergyKind
from joulegate_db.alerts import AlertRules, Evaluated, evaluate
from joulegate_db.charging import Charging
from joulegate_db.connect import ROLLER_SETTINGS, connect
from joulegate_db.rollups import CLOSE_AFTER, EnergyDefaults, Rollups
from joulegate_db.writer import Writer

RULES = AlertRules(efficiency=0.85, hysteresis=0.02, min_kwh=1.0, min_coverage=0.01, forget_after=timedelta(days=7))
LONG_AGO = at(-10_000)


class Plant:
    """A writer, a roller and an evaluator on one database."""

    def __init__(self, writer: Writer, connection: asyncpg.Connection, energy: EnergyKind) -> None:
        self.writer = writer
        self.connection = connection
        self.rollups = Rollups(connection, EnergyDefaults(energy, energy, 2000.0, timedelta(days=8)))
        self.charging = Charging(connection)

    async def write(self, *readings: Reading, received: datetime | None = None) -> None:
        """Commits the readings in one batch, received at the test's ten o'clock unless said otherwise."""
        await self.writer.write([_message(reading) for reading in readings], received or at(0))

    async def roll(self, minute: float) -> None:
        """Rolls all buckets before `minute`, and again those that were touched, without attributing anything."""
        async for _ in self.rollups.roll(at(minute) + CLOSE_AFTER):
            pass
        while await self.rollups.roll_marked():
            pass

    async def settle(self, minute: float) -> None:
        """A round of the gateway without its alerts."""
        await self.roll(minute)
        while await self.charging.attribute():
            pass
        await self.charging.refresh()

    async def evaluate(
        self, now: datetime | None = None, *, listening_since: datetime = LONG_AGO, **rules: Any
    ) -> Evaluated:
        """Evaluates alerts, by default at ten o'clock, when no device that reported is silent."""
        changed = msgspec.structs.replace(RULES, **rules)
        return await evaluate(self.connection, changed, now or at(0), listening_since)


@asynccontextmanager
async def plant(url: str, *, energy: EnergyKind = "interval") -> AsyncIterator[Plant]:
    """A plant for the length of the block."""
    connection = await connect(url, ROLLER_SETTINGS)
    writer = await Writer.open(url)
    try:
        one = Plant(writer, connection, energy)
        assert await one.rollups.lock()
        await one.rollups.declare_defaults()
        yield one
    finally:
        writer.terminate()
        connection.terminate()


async def alerts_of(connection: asyncpg.Connection, kind: str) -> Sequence[Any]:
    """The alerts of a kind, oldest first."""
    rows: Sequence[Any] = await connection.fetch("select * from alerts where kind = $1 order by id", kind)
    return rows
