"""A gateway's roller evaluates: what the writer committed becomes attribution and alerts without anyone's doing."""

import asyncio

import asyncpg
from prometheus_client import CollectorRegistry, Counter, Gauge

from fleet_support import alerts_of
from gateway_harness import eventually
from http_support import at, meter, vehicle, write
from joulegate_core.settings import load_settings
from joulegate_gateway.backlog import Backlog
from joulegate_gateway.roller import run_roller


async def test_a_round_of_the_roller_attributes_and_evaluates(database_url: str, db: asyncpg.Connection) -> None:
    await write(database_url, [reading for n in range(60) for reading in (meter(n, 0.1), vehicle(n, 0.07))])
    given = {"JOULEGATE_DATABASE_URL": database_url, "JOULEGATE_ALERT_MIN_COVERAGE": "0.04"}
    registry = CollectorRegistry()
    rolled_until = Gauge("rolled_until", "", registry=registry)
    removed = Counter("removed", "", ["kind"], registry=registry)
    backlog = Backlog()
    backlog.connected(session_present=False)
    rolling = asyncio.create_task(run_roller(load_settings(given), lambda: at(70), rolled_until, removed, backlog))

    async def evaluated() -> bool:
        return bool(await alerts_of(db, "low_efficiency"))

    async def told() -> bool:
        return registry.get_sample_value("rolled_until") == at(60).timestamp()

    try:
        await eventually(evaluated, 20)
        await eventually(told, 5)
    finally:
        rolling.cancel()
        await asyncio.gather(rolling, return_exceptions=True)
    [alert] = await alerts_of(db, "low_efficiency")
    assert (alert["device"], round(alert["value"], 9), alert["opened_at"]) == ("v-1", 0.7, at(70))
    assert await db.fetchval("select attributed_until from charging_state") == at(60)
