"""When alerts open and close: judged on real readings, rolled and attributed, at a faked time."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from fleet_support import Plant, alerts_of, plant
from http_support import at, meter, vehicle

HOUR = 60
DAY = 24 * HOUR


@pytest.fixture
async def fleet(database_url: str) -> AsyncIterator[Plant]:
    """A plant whose devices publish intervals."""
    async with plant(database_url) as one:
        yield one


async def hours(fleet: Plant, first: int, ratios: list[float], ac: float = 1.0) -> None:
    """A pair of readings an hour from the hour `first` on, then a round of the gateway."""
    pairs = [
        (meter(HOUR * hour, ac), vehicle(HOUR * hour, ac * ratio)) for hour, ratio in enumerate(ratios, start=first)
    ]
    await fleet.write(*(reading for pair in pairs for reading in pair))
    await fleet.settle(HOUR * (first + len(ratios)))


async def test_a_ratio_that_oscillates_around_the_threshold_opens_one_alert(
    fleet: Plant, db: asyncpg.Connection
) -> None:
    sent = [0.84] * 24
    await hours(fleet, -23, sent)
    assert (await fleet.evaluate()).opened == {"low_efficiency": 1}
    for hour, target in enumerate([0.855, 0.845, 0.86, 0.845, 0.869, 0.845], start=1):
        sent.append(24 * target - sum(sent[-23:]))
        await hours(fleet, hour, sent[-1:])
        changed = await fleet.evaluate(at(HOUR * hour), forget_after=timedelta(days=30))
        assert (changed.opened.get("low_efficiency"), changed.closed) == (None, {})
    [alert] = await alerts_of(db, "low_efficiency")
    assert (alert["closed_at"], alert["value"], alert["threshold"]) == (None, pytest.approx(0.84), 0.85)

    sent.append(24 * 0.871 - sum(sent[-23:]))
    await hours(fleet, 7, sent[-1:])
    assert (await fleet.evaluate(at(7 * HOUR))).closed == {"low_efficiency": 1}
    [alert] = await alerts_of(db, "low_efficiency")
    assert (alert["closed_at"], alert["closed_because"]) == (at(7 * HOUR), "the ratio recovered")

    sent.append(24 * 0.851 - sum(sent[-23:]))
    await hours(fleet, 8, sent[-1:])
    assert "low_efficiency" not in (await fleet.evaluate(at(8 * HOUR))).opened


@pytest.mark.parametrize(
    ("rules", "opens"),
    [({}, True), ({"min_kwh": 24.0}, True), ({"min_kwh": 24.1}, False), ({"min_coverage": 0.02}, False)],
    ids=["enough", "exactly the energy", "too little energy", "too few readings"],
)
async def test_only_what_has_enough_energy_and_coverage_is_judged(
    fleet: Plant, rules: dict[str, Any], *, opens: bool
) -> None:
    await hours(fleet, -24, [0.8] * 24)
    assert ("low_efficiency" in (await fleet.evaluate(**rules)).opened) is opens


async def test_an_alert_stays_open_while_there_is_nothing_to_judge(fleet: Plant) -> None:
    await hours(fleet, -24, [0.8] * 24)
    await fleet.evaluate()
    await hours(fleet, 0, [1.0] * 24, ac=0.01)
    assert (await fleet.evaluate(at(0))).closed == {}
    assert (await fleet.evaluate(at(0), min_kwh=0.1)).closed == {"low_efficiency": 1}


async def test_more_dc_than_ac_is_implausible_until_it_is_clearly_not(fleet: Plant, db: asyncpg.Connection) -> None:
    sent = [1.005] * 24
    await hours(fleet, -24, sent)
    assert (await fleet.evaluate()).opened == {"implausible": 1}
    for hour, (target, closed) in enumerate([(0.99, {}), (1.01, {}), (0.97, {"implausible": 1})]):
        sent.append(24 * target - sum(sent[-23:]))
        await hours(fleet, hour, sent[-1:])
        changed = await fleet.evaluate(at(1))
        assert (changed.opened, changed.closed) == ({}, closed)
    [alert] = await alerts_of(db, "implausible")
    assert alert["value"] == pytest.approx(1.005)


async def test_a_meter_that_reads_nothing_while_dc_flows_is_implausible(fleet: Plant, db: asyncpg.Connection) -> None:
    await fleet.write(*(meter(-HOUR * n, 0.0) for n in range(1, 25)))
    await fleet.write(*(vehicle(-HOUR * n, 0.5) for n in range(1, 25)))
    await fleet.settle(0)
    assert (await fleet.evaluate()).opened == {"implausible": 1}
    [alert] = await alerts_of(db, "implausible")
    assert alert["value"] is None


async def test_a_reset_is_an_alert_until_it_left_the_last_24_hours(database_url: str, db: asyncpg.Connection) -> None:
    async with plant(database_url, energy="register") as fleet:
        await fleet.write(*(meter(minute, kwh) for minute, kwh in [(-90, 100.0), (-89, 101.0), (-88, 0.5), (-87, 0.6)]))
        await fleet.settle(0)
        assert (await fleet.evaluate()).opened == {"register_reset": 1}
        [alert] = await alerts_of(db, "register_reset")
        assert (alert["device"], alert["device_kind"], alert["value"]) == ("m-1", "meter", 1.0)
        await fleet.settle(-90 + DAY)
        assert (await fleet.evaluate()).closed == {}
        await fleet.settle(-75 + DAY)
        assert (await fleet.evaluate()).closed == {"register_reset": 1}


async def test_the_same_evaluation_again_changes_nothing(fleet: Plant, db: asyncpg.Connection) -> None:
    await hours(fleet, -24, [0.8] * 24)
    now = at(10)
    assert (await fleet.evaluate(now)).opened == {"low_efficiency": 1, "silent_device": 2}
    before = await db.fetch("select * from alerts order by id")
    again = await fleet.evaluate(now)
    assert (again.opened, again.closed) == ({}, {})
    assert await db.fetch("select * from alerts order by id") == before


async def test_an_evaluation_that_was_cut_off_is_made_up_for(fleet: Plant, db: asyncpg.Connection) -> None:
    await hours(fleet, -24, [0.8] * 24)
    cut_off = fleet.connection.transaction()
    await cut_off.start()
    await fleet.evaluate()
    await cut_off.rollback()
    assert await db.fetchval("select count(*) from alerts") == 0
    assert (await fleet.evaluate()).opened == {"low_efficiency": 1}


async def test_a_device_has_at_most_one_open_alert_of_a_kind(fleet: Plant, db: asyncpg.Connection) -> None:
    await hours(fleet, -24, [0.8] * 24)
    await fleet.evaluate()
    copy = (
        "insert into alerts (opened_at, threshold, kind, device, device_kind, detail) "
        "select opened_at, threshold, kind, device, device_kind, detail from alerts"
    )
    with pytest.raises(asyncpg.UniqueViolationError):
        await db.execute(copy)
