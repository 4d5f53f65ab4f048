"""The verdict: the publishers' ledger against history, quarantine, live state and the gateways' counters, row by row."""

from collections import Counter
from datetime import datetime

import asyncpg
import msgspec

from chaos.plan import Row, number_of
from chaos.stand import Stand

HISTORY = (
    "select kwh::bigint as n, device, charge_point, ts, kwh, voltage as extra from meter_history"
    " union all select kwh::bigint, device, charge_point, ts, kwh, soc from vehicle_history"
)
LIVE = """
select count(*) from (
    (select device, max(ts) as ts from meter_history group by device
     union all select device, max(ts) from vehicle_history group by device)
    except (select device, ts from meter_live union all select device, ts from vehicle_live)
) as differing
"""
PRESENCE = """
with reported as (
    select charge_point, date_bin('15 min', ts, 'epoch') as bucket, 'meter' as kind, device from meter_history
    union select charge_point, date_bin('15 min', ts, 'epoch'), 'vehicle', device from vehicle_history
), marked as (select charge_point, bucket, kind, device from presence)
select (select count(*) from (select * from reported except select * from marked) as missing)
     + (select count(*) from (select * from marked except select * from reported) as invented)
"""


class Verdict(msgspec.Struct, frozen=True):
    """What became of a scenario's readings. All but the first four must be 0, except what the scenario expects."""

    sent: int
    acknowledged: int
    in_history: int
    in_quarantine: int
    lost: int
    doubled: int
    garbled: int
    misplaced: int
    stale_live: int
    wrong_presence: int
    unbalanced: int
    tracebacks: int

    @property
    def faults(self) -> dict[str, int]:
        """Everything that must be 0 and is not."""
        names = (
            "lost", "doubled", "garbled", "misplaced", "stale_live", "wrong_presence", "unbalanced", "tracebacks",
        )  # fmt: skip
        return {name: value for name in names if (value := getattr(self, name))}


async def judge(stand: Stand) -> Verdict:
    """Compares everything with everything, once the stand is at rest."""
    plan, sent = stand.fleet.plan, stand.fleet.sent
    async with stand.database() as db:
        history = await db.fetch(HISTORY)
        quarantined = [number_of(row[0]) for row in await db.fetch("select payload from quarantine")]
        stale_live = await db.fetchval(LIVE)
        wrong_presence = await db.fetchval(PRESENCE)
    rows = Counter(record["n"] for record in history)
    refused = Counter(quarantined)
    return Verdict(
        sent=sent,
        acknowledged=len(stand.fleet.acknowledged),
        in_history=len(history),
        in_quarantine=len(quarantined),
        lost=sum(not (rows[n] or refused[n]) for n in stand.fleet.acknowledged),
        doubled=sum(count > 1 for count in (rows + refused).values()),
        garbled=sum(not _is_as_planned(stand, record) for record in history),
        misplaced=sum(n >= sent or plan.reading(n).row is not None for n in refused),
        stale_live=stale_live,
        wrong_presence=wrong_presence,
        unbalanced=await _unbalanced(stand),
        tracebacks=sum(gateway.tracebacks() for gateway in stand.gateways),
    )


def _is_as_planned(stand: Stand, record: asyncpg.Record) -> bool:
    number, ts = record["n"], record["ts"]
    assert isinstance(ts, datetime)
    found = Row(record["device"], record["charge_point"], ts, record["kwh"], record["extra"])
    return number < stand.fleet.sent and stand.fleet.plan.reading(number).row == found


async def _unbalanced(stand: Stand) -> int:
    """Messages by which the running gateways' counters do not add up: received = settled, and nothing pending."""
    difference = 0
    for gateway in stand.gateways:
        counters = await gateway.counters() if gateway.pid is not None else None
        if counters is not None:
            difference += abs(counters.received - counters.settled) + counters.pending
    return difference
