"""The roller: closes buckets and keeps the rollups equal to history. Several gateways may run one; one at a time rolls."""

import asyncio
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter, Gauge

from joulegate_core.clock import Clock
from joulegate_core.errors import DatabaseUnavailableError
from joulegate_core.settings import Settings
from joulegate_db.connect import ROLLER_SETTINGS, connect
from joulegate_db.failures import DATABASE_ERRORS, describe
from joulegate_db.rollups import CLOSE_AFTER, MARKS_A_STEP, EnergyDefaults, Rollups
from joulegate_db.windows import bucket_of
from joulegate_gateway.backlog import Backlog
from joulegate_gateway.retention import Retention
from joulegate_gateway.watch import Watch

log = structlog.get_logger()

ROUND_SECONDS = 10.0
"""Late readings are in the rollups at most this much later; until then they are read from history."""

FIRST_SECONDS = 2.0
"""How often an empty history is looked at, and the wait after its first readings: what follows them may be days, and closed for none."""


def energy_defaults(settings: Settings) -> EnergyDefaults:
    """What the settings say about energies. A register's last accepted reading is looked for in the clock window + 1 day."""
    return EnergyDefaults(
        meter_energy=settings.meter_energy,
        vehicle_energy=settings.vehicle_energy,
        max_kw=settings.max_kw,
        look_back=timedelta(days=settings.max_age_days + 1),
    )


async def run_roller(settings: Settings, clock: Clock, rolled_until: Gauge, removed: Counter, backlog: Backlog) -> None:
    """Rolls for ever. When the database fails the round is given up, which loses nothing, and begun again.

    Args:
        rolled_until: told how far rollups are, also while another gateway rolls; stands still while nobody can roll.
        removed: told what retention has removed.
        backlog: buckets that it has not come past stay open.
    """
    await backlog.known()
    while True:
        try:
            await _roll_on_one_connection(settings, clock, rolled_until, removed, backlog)
        except (*DATABASE_ERRORS, DatabaseUnavailableError) as error:
            log.warning("roll_interrupted", error=describe(error))
        await asyncio.sleep(ROUND_SECONDS)


async def _roll_on_one_connection(
    settings: Settings, clock: Clock, rolled_until: Gauge, removed: Counter, backlog: Backlog
) -> None:
    connection = await connect(settings.database_url, ROLLER_SETTINGS)
    try:
        rollups = Rollups(connection, energy_defaults(settings))
        while not await rollups.lock():  # another gateway rolls; when it goes, its lock goes
            rolled_until.set((await rollups.rolled_until()).timestamp())
            await asyncio.sleep(ROUND_SECONDS)
        if await rollups.declare_defaults():
            log.warning("rollups_begin_anew", reason="the energy settings changed")
        watch = Watch(connection, settings, clock)
        retention = Retention(connection, settings, clock, removed)
        empty = not await rollups.begun()
        while empty:
            rolled_until.set(bucket_of(clock() - CLOSE_AFTER).timestamp())  # nothing is missing in the rollups
            await retention.round()
            empty = not await rollups.begun()
            await asyncio.sleep(FIRST_SECONDS)
        while True:
            await roll_once(rollups, watch, backlog.closing_time(clock()))
            rolled_until.set((await rollups.rolled_until()).timestamp())
            await retention.round()
            await asyncio.sleep(ROUND_SECONDS)
    finally:
        connection.terminate()


async def roll_once(rollups: Rollups, watch: Watch, closing_time: datetime) -> None:
    """One round: closes the buckets that ended before `closing_time`, computes those anew that late readings touched, and watches."""
    rolled = False
    async for step in rollups.roll(closing_time):
        rolled = True
        log.info("rolled", since=step.since.isoformat(), until=step.until.isoformat())
    marked = MARKS_A_STEP
    # what is marked meanwhile waits for the next round: a backlog that drains touches the same buckets for long
    while marked == MARKS_A_STEP:
        marked = await rollups.roll_marked()
        if marked:
            log.info("rolled_again", buckets=marked)
    if rolled:
        await rollups.vacuum()
    await watch.round()
