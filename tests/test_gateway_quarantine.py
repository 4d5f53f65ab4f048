"""What cannot be accepted is kept with topic, payload and reason, and never costs a neighbour anything."""

import json
from datetime import timedelta

import asyncpg
import pytest

from gateway_harness import Gateway, Json, eventually, meter, now_ms, publisher, vehicle
from joulegate_core.reasons import Reason

VALID = json.dumps(meter("m-ok")).encode()

REFUSALS: list[tuple[Reason, str, bytes | Json]] = [
    (Reason.OVERSIZE, "fleet/cp-1/meter", VALID.ljust(8193)),
    (Reason.OVERSIZE, "fleet/cp-2/vehicle", b"x" * 40 * 1024),
    (Reason.EMPTY, "fleet/cp-1/meter", b""),
    (Reason.NOT_UTF8, "fleet/cp-1/meter", VALID[:-1] + b', "x": "\xff\xfe"}'),
    (Reason.BAD_JSON, "fleet/cp-1/meter", b"{\x00"),
    (Reason.BAD_TOPIC, "fleet/a b/meter", VALID),
    (Reason.BAD_TOPIC, "fleet//meter", VALID),
    (Reason.BAD_TOPIC, "fleet/\u65e5\u672c/vehicle", json.dumps(vehicle()).encode()),
    (Reason.STREAM_MISMATCH, "fleet/cp-1/meter", vehicle()),
    (Reason.STREAM_MISMATCH, "fleet/cp-1/vehicle", meter()),
    (Reason.MISSING_FIELD, "fleet/cp-1/meter", {"meterId": "m-1"}),
    (Reason.WRONG_TYPE, "fleet/cp-1/meter", meter(voltage="230")),
    (Reason.OUT_OF_RANGE, "fleet/cp-1/vehicle", vehicle(soc=100.5)),
    (Reason.BAD_ID, "fleet/cp-1/meter", meter("a\0b")),
    (Reason.BAD_TIMESTAMP, "fleet/cp-1/meter", meter(ts="2026-01-01T00:00:00")),
    (Reason.TOO_OLD, "fleet/cp-1/meter", meter(ts=now_ms() - timedelta(days=8))),
    (Reason.TOO_FAR_AHEAD, "fleet/cp-1/vehicle", vehicle(ts=now_ms() + timedelta(hours=1))),
]


def raw(payload: bytes | Json) -> bytes:
    """A payload as it is published."""
    return payload if isinstance(payload, bytes) else json.dumps(payload).encode()


async def test_one_message_of_every_refusal(gateway: Gateway, db: asyncpg.Connection) -> None:
    assert {reason for reason, _, _ in REFUSALS} == set(Reason) - {
        Reason.CONFLICT,
        Reason.DATABASE_REFUSED,
        Reason.WRONG_PLACE,
    }
    await gateway.start(linger_ms=100)
    async with publisher(gateway.broker) as publish:
        for n, (_, topic, payload) in enumerate(REFUSALS):
            await publish(topic, payload)
            await publish(f"fleet/cp-{n}/meter", meter(f"m-{n}"))
    settled = await gateway.settle(2 * len(REFUSALS))
    assert settled == {"committed": len(REFUSALS), "duplicate": 0, "quarantined": len(REFUSALS)}

    rows = await db.fetch("select topic, payload, reason, detail, count from quarantine order by id")
    kept = sorted((r["reason"], r["topic"], r["payload"], r["count"]) for r in rows)
    assert kept == sorted((str(reason), topic, raw(payload), 1) for reason, topic, payload in REFUSALS)
    assert all(r["detail"] for r in rows)
    assert await db.fetchval("select count(*) from meter_history") == len(REFUSALS)
    assert await db.fetchval("select count(*) from vehicle_history") == 0
    assert not await db.fetch("select from presence where device not like 'm-%'")


async def test_the_same_bad_message_again_counts_in_one_row(gateway: Gateway, db: asyncpg.Connection) -> None:
    await gateway.start(linger_ms=1)
    async with publisher(gateway.broker) as publish:
        await publish("fleet/cp-1/meter", b"bad")
        await gateway.settle(1)
        await publish("fleet/cp-1/meter", b"bad")  # a batch of its own
        await publish("fleet/cp-2/meter", b"bad")  # the same payload, another topic
    await gateway.settle(3)
    rows = await db.fetch("select topic, count, first_seen, last_seen from quarantine order by topic")
    assert [(r["topic"], r["count"]) for r in rows] == [("fleet/cp-1/meter", 2), ("fleet/cp-2/meter", 1)]
    assert rows[0]["first_seen"] < rows[0]["last_seen"]


async def test_the_same_bad_message_twice_in_a_batch(gateway: Gateway, db: asyncpg.Connection) -> None:
    await gateway.start(linger_ms=500)
    async with publisher(gateway.broker) as publish:
        for _ in range(3):
            await publish("fleet/cp-1/meter", b"bad")
    assert (await gateway.settle(3))["quarantined"] == 3
    assert (await gateway.metrics())["joulegate_batch_size_count"] == 1
    assert [tuple(r) for r in await db.fetch("select reason, count from quarantine")] == [("bad_json", 3)]


async def test_rows_that_the_database_refuses_are_isolated(gateway: Gateway, db: asyncpg.Connection) -> None:
    await db.execute("alter table meter_history add constraint not_thirteen check (voltage <> 13)")
    await db.execute("alter table vehicle_history add constraint not_fourteen check (soc <> 14)")
    await gateway.start(linger_ms=300)
    async with publisher(gateway.broker) as publish:
        for n in range(30):
            await publish("fleet/cp-1/meter", meter(f"m-{n}", voltage=13 if n in {0, 7, 8, 29} else 230))
            await publish("fleet/cp-1/vehicle", vehicle(f"v-{n}", soc=14 if n == 3 else 50))
    assert await gateway.settle(60) == {"committed": 55, "duplicate": 0, "quarantined": 5}
    rows = await db.fetch("select topic, payload, reason, detail from quarantine order by detail, id")
    assert [r["reason"] for r in rows] == ["database_refused"] * 5
    assert rows[0]["detail"] == "SQLSTATE 23514 CheckViolationError, constraint not_fourteen"
    assert rows[4]["detail"] == "SQLSTATE 23514 CheckViolationError, constraint not_thirteen"
    assert json.loads(rows[0]["payload"])["vehicleId"] == "v-3"
    assert {json.loads(r["payload"])["meterId"] for r in rows[1:]} == {"m-0", "m-7", "m-8", "m-29"}
    for table in ("meter_live", "meter_history", "presence"):
        assert not await db.fetch(f"select from {table} where device in ('m-0', 'm-7', 'm-8', 'm-29', 'v-3')")
    assert (await gateway.metrics())["joulegate_database_failures_total"] == 0  # a verdict is no failure


async def test_a_conflict_keeps_the_payload_that_lost(gateway: Gateway, db: asyncpg.Connection) -> None:
    await gateway.start()
    ts = now_ms()
    async with publisher(gateway.broker) as publish:
        await publish("fleet/cp-1/vehicle", vehicle(ts=ts, batteryTemp=30))
        await gateway.settle(1)
        for _ in range(2):
            await publish("fleet/cp-1/vehicle", vehicle(ts=ts, batteryTemp=31))
    assert await gateway.settle(3) == {"committed": 1, "duplicate": 0, "quarantined": 2}
    row = await db.fetchrow("select payload, reason, detail, count from quarantine")
    assert (row["reason"], row["count"], json.loads(row["payload"])["batteryTemp"]) == ("conflict", 2, 31)
    assert await db.fetchval("select battery_temp from vehicle_live") == 30


async def test_quarantine_holds_up_until_it_can_be_written(gateway: Gateway, db: asyncpg.Connection) -> None:
    await db.execute("alter table quarantine add constraint none check (reason <> 'bad_json')")
    await gateway.start()
    async with publisher(gateway.broker) as publish:
        await publish("fleet/cp-1/meter", b"bad")

        async def is_held() -> bool:
            return (await gateway.metrics())["joulegate_database_failures_total"] >= 2

        await eventually(is_held)
        assert (await gateway.ledger())[2] == 1
        await db.execute("alter table quarantine drop constraint none")
    assert (await gateway.settle(1))["quarantined"] == 1


@pytest.mark.parametrize("size", [65_000, 65_400])
async def test_payloads_near_the_packet_limit_reach_quarantine(
    gateway: Gateway, db: asyncpg.Connection, size: int
) -> None:
    await gateway.start()
    async with publisher(gateway.broker) as publish:
        await publish("fleet/cp-1/meter", b"x" * size)
    await gateway.settle(1)
    row = await db.fetchrow("select length(payload) as length, reason from quarantine")
    assert (row["length"], row["reason"]) == (size, "oversize")
