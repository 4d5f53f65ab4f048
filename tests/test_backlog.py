"""A backlog that drains finds its buckets open: none of its readings is late, and they are rolled once, when all have come."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import cast

import asyncpg
import pytest

from fault_harness import require_mosquitto
from gateway_harness import Gateway, eventually
from joulegate_cli.bench.backlog import create_session, publish, readings
from joulegate_core.broker import parse_broker_url
from joulegate_core.clock import utc_now
from joulegate_core.reasons import Reason
from joulegate_core.telemetry import Message, MeterReading, Rejection, Stream
from joulegate_db.presence import EPOCH
from joulegate_db.rollups import CLOSE_AFTER
from joulegate_db.windows import bucket_of
from joulegate_gateway import backlog as module
from joulegate_gateway import roller
from joulegate_gateway.backlog import MANY, MAX_HOLD_SECONDS, WINDOW_SECONDS, Backlog
from joulegate_gateway.connection import Connection
from joulegate_gateway.inbox import Delivery
from joulegate_simulator.runner import SimulationOptions, run_simulation

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
    assert backlog.closing_time(NOW) == NOW - timedelta(minutes=58)
    backlog.committed([_delivery(Rejection(Reason.BAD_JSON, ""))] * MANY)  # no times are to be had
    assert backlog.closing_time(NOW) == NOW - timedelta(minutes=58)
    backlog.committed(batch(3, 30, -2, 49))  # a device whose clock is ahead does not make it later than now
    assert backlog.closing_time(NOW) == NOW
    monkeypatch.setattr(module, "WINDOW_SECONDS", -1)
    assert backlog.closing_time(NOW) == NOW


class Seconds:
    """A monotonic clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    """The backlog's clock."""
    clock = Seconds()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_buckets_are_closed_as_far_as_a_backlog_had_come_a_window_ago(seconds: Seconds) -> None:
    backlog = Backlog()
    backlog.committed(batch(MANY, 50, 48, 49))
    backlog.committed(batch(MANY, 90, 90, 90))  # of devices that were away for longer
    assert backlog.closing_time(NOW) == NOW - timedelta(minutes=90)  # nothing older is known yet
    seconds.now += WINDOW_SECONDS + 1
    backlog.committed(batch(MANY, 50, 30, 40))  # another connection of the same fleet may still be at minute 48
    assert backlog.closing_time(NOW) == NOW - timedelta(minutes=48)
    seconds.now += WINDOW_SECONDS + 1
    assert backlog.closing_time(NOW) == NOW - timedelta(minutes=30)  # it falters: more may come
    seconds.now += WINDOW_SECONDS + 1
    assert backlog.closing_time(NOW) == NOW


def test_a_backlog_does_not_hold_for_ever_and_one_that_comes_on_does(seconds: Seconds) -> None:
    moving, stuck = Backlog(), Backlog()
    for round_number in range(3 * int(MAX_HOLD_SECONDS / WINDOW_SECONDS)):
        age = 7 * 1440 - round_number
        moving.committed(batch(MANY, age, age, age))
        stuck.committed(batch(MANY, 5000, 5000, 5000))
        assert moving.closing_time(NOW) <= NOW - timedelta(minutes=age)
        held = stuck.closing_time(NOW) < NOW
        assert held == (round_number * WINDOW_SECONDS <= MAX_HOLD_SECONDS)
        seconds.now += WINDOW_SECONDS


def test_hours_of_present_readings_do_not_use_up_the_hold(seconds: Seconds) -> None:
    backlog = Backlog()
    for _ in range(2 * int(MAX_HOLD_SECONDS / WINDOW_SECONDS)):
        backlog.committed(batch(MANY, 0.01, 0.01, 0.01))  # a moment old, as all are
        assert backlog.closing_time(NOW) == NOW
        seconds.now += WINDOW_SECONDS
    seconds.now += 3 * WINDOW_SECONDS  # an outage, and what waited at the broker
    backlog.committed(batch(MANY, 50, 50, 50))
    assert backlog.closing_time(NOW) == NOW - timedelta(minutes=50)


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


async def test_days_that_are_filled_into_an_empty_history_are_not_late(
    gateway: Gateway, db: asyncpg.Connection, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roller, "ROUND_SECONDS", 0.2)
    await gateway.start()
    await asyncio.sleep(1)  # rounds in which there is nothing: were buckets closed now, all that follows would be late
    assert await db.fetchval("select closed_until from roll_state") == EPOCH
    options = SimulationOptions(devices=20, interval_seconds=900, backfill_seconds=6 * 86_400, speed=6 * 86_400 / 4)
    result = await run_simulation(
        options, parse_broker_url(gateway.broker.url), stop=asyncio.Event(), on_progress=lambda _progress: None
    )
    await gateway.settle(result.counts.published, 60)
    until = bucket_of(utc_now() - CLOSE_AFTER)

    async def closed() -> bool:
        return bool(await db.fetchval("select rolled_until >= $1 from roll_state", until))

    await eventually(closed, 60)
    stored = await db.fetchval("select count(*) from meter_history where ts < (select rolled_until from roll_state)")
    assert (
        result.counts.published // 2 - 40 <= stored == await db.fetchval("select sum(readings) from meter_rollup_15m")
    )
    assert "rolled_again" not in capsys.readouterr().out
