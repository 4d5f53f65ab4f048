"""Rollups computed anew from history, beside a running roller or without one."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import asyncpg
import msgspec

from joulegate_db.presence import EPOCH
from joulegate_db.rollups import ROLL_STEP, EnergyDefaults, Rolled, Rollups
from joulegate_db.sql import query
from joulegate_db.touched import rollups_changed
from joulegate_db.windows import Window


class RollupState(msgspec.Struct, frozen=True):
    """Where the rollups stand. `since`: from where on history is there, None when there is none. Times are the edges of buckets.

    Buckets before `closed_until` are closed, those before `rolled_until` computed, with `defaults`.
    """

    closed_until: datetime
    rolled_until: datetime
    since: datetime | None
    defaults: EnergyDefaults

    def rolled(self, window: Window) -> Window | None:
        """The whole buckets that `window` touches, as far as they are rolled and their history is still there."""
        whole = window.in_whole_buckets()
        return None if self.since is None else whole.cut(max(self.since, EPOCH), self.rolled_until)


async def rollup_state(connection: asyncpg.Connection) -> RollupState:
    """Where the rollups stand."""
    row = dict(await connection.fetchrow(query("rollup_state")))
    return RollupState(
        closed_until=row["closed_until"],
        rolled_until=row["rolled_until"],
        since=row["since"],
        defaults=EnergyDefaults(row["meter_energy"], row["vehicle_energy"], row["max_kw"], row["look_back"]),
    )


async def marks_waiting(connection: asyncpg.Connection) -> int:
    """How many (device, bucket) are read from history until the roller has computed them anew."""
    return int(await connection.fetchval(query("rollup_marks_waiting")))


async def rebuild(connection: asyncpg.Connection, window: Window) -> AsyncIterator[Rolled]:
    """Computes the rollups of the buckets that `window` touches anew, step by step, each in a transaction.

    It needs not be the roller: each step excludes the roller's steps, and computes with what the roller declared. Buckets
    that are not rolled yet are left to the roller, those of archived days as they are. May be interrupted and called again.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: the database failed; steps that were yielded are done.
    """
    since = window.start
    while (step := await _step(connection, Window(since, max(since, window.end)))) is not None:
        yield step
        since = step.until


async def _step(connection: asyncpg.Connection, window: Window) -> Rolled | None:
    async with rollups_changed(connection):
        state = await rollup_state(connection)
        todo = state.rolled(window)
        if todo is None:
            return None
        step = Rolled(todo.start, min(todo.start + ROLL_STEP, todo.end))
        # retention may have dropped the month's, before the day was restored from an archive
        last_day = (step.until - timedelta(microseconds=1)).date()
        await connection.execute(query("ensure_partitions"), step.since.date(), last_day)
        for name in ("rollup_clear_meter", "rollup_clear_vehicle", "rollup_clear_baselines"):
            await connection.execute(query(name), step.since, step.until)
        await Rollups(connection, state.defaults).compute(step)
    return step
