"""A backlog that drains finds its buckets open: none of its readings is late, and they are rolled once, when all have come."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import cast

import asyncpg
import pytest

from fault_harness import require_mosquitto
from gateway_harness import Gateway, eventually
from joulegate_cli.bench.backlog import create_session, publish, readings
from joulegate_core.clock import utc_now
from joulegate_core.reasons import Reason
from joulegate_core.telemetry import Message, MeterReading, Rejection, Stream
from joulegate_db.rollups import CLOSE_AFTER
from joulegate_db.windows import bucket_of
from joulegate_gateway import backlog as module
from joulegate_gateway.backlog import MANY, Backlog
from joulegate_gateway.connection import Connection
from joulegate_gateway.inbox import Delivery

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
DEVICES, ROUNDS = 200, 20


def batch(count: int, *minutes_old: float) -> list[Delivery]:
    """`count` deliveries; their first, middle and last reading are as old as told, None being no reading."""
    ages = {0: minutes_old[0], count // 2: minutes_old[1], count - 1: minutes_old[2]}
    contents = [
        MeterReading("m-1", "cp-1", NOW - timedelta(minutes=ages.get(n, 0)), 1.0, 230.0, late=True)
        for n in range(count)
    ]
    return [_delivery(content) for content in contents]


def _delivery(content: MeterReading | Rejection) -> Delivery:
    return Delivery(Message(Stream.METER, "fleet/cp-1/meter", b"", content), cast("Connection", None), 1, 0.0)


def test_buckets_close_by_the_clock_but_for_a_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    backlog = Backlog()
    assert backlog.closing_time(NOW) == NOW
    backlog.committed(batch(MANY - 1, 60, 58, 59))  # the late readings of a few devices
    assert backlog.closing_time(NOW) == NOW
    backlog.committed(batch(1, 50, 50, 50))
    assert backlog.closing_time(NOW) == NOW - timedelta(minutes=50)
    backlog.committed([_delivery(Rejection(Reason.BAD_JSON, ""))] * MANY)  # no times are to be had
    assert backlog.closing_time(NOW) == NOW - timedelta(minutes=50)
    backlog.committed(batch(3, 30, -2, 49))  # a device whose clock is ahead does not make it later than now
    assert backlog.closing_time(NOW) == NOW
    monkeypatch.setattr(module, "WINDOW_SECONDS", -1)
    assert backlog.closing_time(NOW) == NOW


def test_a_backlog_has_come_as_far_as_the_newest_in_the_window() -> None:
    backlog = Backlog()
    backlog.committed(batch(MANY, 50, 48, 49))
    backlog.committed(batch(MANY, 50, 50, 47))
    backlog.committed(batch(MANY, 90, 90, 90))  # of devices that were away for longer
    assert backlog.closing_time(NOW) == NOW - timedelta(minutes=47)


def test_a_backlog_does_not_hold_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    backlog = Backlog()
    backlog.committed(batch(MANY, 50, 48, 49))
    assert backlog.closing_time(NOW) < NOW
    monkeypatch.setattr(module, "MAX_HOLD_SECONDS", -1)
    assert backlog.closing_time(NOW) == NOW


async def test_a_new_session_has_no_backlog_and_a_resumed_one_is_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    new, resumed = Backlog(), Backlog()
    new.connected(session_present=False)
    await asyncio.wait_for(new.known(), 1)
    monkeypatch.setattr(module, "RESUMED_SECONDS", 0.2)
    waiting = asyncio.create_task(resumed.known())
    resumed.connected(session_present=True)
    resumed.committed(batch(3, 0, 0, 0))  # more may come
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await asyncio.wait_for(waiting, 5)


async def test_after_an_outage_nothing_is_late(
    gateway: Gateway, db: asyncpg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    require_mosquitto(gateway.broker)
    # by hand: a gateway that had run a moment ago would have closed the buckets
    await asyncio.to_thread(create_session, gateway.broker.url, gateway.client_id)
    end = utc_now() - timedelta(minutes=40)
    waiting = readings(DEVICES, DEVICES * ROUNDS, end)
    await asyncio.to_thread(publish, gateway.broker.url, f"{gateway.client_id}-fleet", waiting, lambda _: None)
    await gateway.start(batch_max=500)
    await gateway.settle(DEVICES * ROUNDS, 60)
    until = bucket_of(utc_now() - CLOSE_AFTER)

    async def closed() -> bool:
        return bool(await db.fetchval("select rolled_until >= $1 from roll_state", until))

    await eventually(closed, 60)
    rolled = await db.fetchval("select sum(readings) from meter_rollup_15m")
    assert rolled == DEVICES // 2 * ROUNDS
    assert await db.fetchval("select count(*) from rollup_marks") == 0
    log = capsys.readouterr().out
    assert "rolled " in log
    assert "rolled_again" not in log
