"""The performance answer from real history: each rule of correlation by an example that can be worked by hand.

Times are minutes after ten o'clock: buckets begin at 0, 15, 30 and 45.
"""

from datetime import timedelta

import asyncpg
import pytest

from http_support import Reading, ask, at, meter, vehicle, window, write
from joulegate_core.telemetry import MeterReading, VehicleReading
from joulegate_db.performance import MeterEnergy, Performance
from joulegate_db.reader import open_reader


def pair(minutes: range, ac: float, dc: float, number: int = 1, cp: str = "cp-1") -> list[Reading]:
    """A meter and a vehicle that report in each of the minutes."""
    meters = [meter(m, ac, f"m-{number}", cp) for m in minutes]
    return [*meters, *(vehicle(m, dc, f"v-{number}", cp) for m in minutes)]


def by_meter(answer: Performance) -> dict[str, float]:
    """The vehicle's AC by meter."""
    return {one.meter_id: one.kwh_consumed_ac for one in answer.meters}


async def test_one_pair_is_exact(database_url: str) -> None:
    await write(database_url, pair(range(60), ac=1.0, dc=0.9))
    answer = await ask(database_url)
    assert answer.total_kwh_consumed_ac == pytest.approx(60)
    assert answer.total_kwh_delivered_dc == pytest.approx(54)
    assert answer.efficiency_ratio == pytest.approx(0.9)
    assert answer.avg_battery_temp == 30
    assert answer.status == "ok"
    assert by_meter(answer) == pytest.approx({"m-1": 60})
    quality = answer.quality
    assert (quality.pairing, quality.reason, quality.counter_resets) == ("exclusive", None, 0)
    assert (quality.vehicle_readings, quality.meter_readings, quality.expected_readings) == (60, 60, 60)
    assert (quality.coverage, quality.gap_minutes) == (1.0, 0.0)
    assert quality.paired_efficiency_ratio == pytest.approx(0.9)


async def test_a_shared_charge_point_is_split_by_dc(database_url: str) -> None:
    await write(database_url, [meter(1, 10.0), vehicle(1, 6.0), vehicle(2, 2.0, "v-2")])
    answer, other = await ask(database_url), await ask(database_url, device="v-2")
    assert answer.total_kwh_consumed_ac == pytest.approx(7.5)
    assert other.total_kwh_consumed_ac == pytest.approx(2.5)
    assert answer.quality.pairing == other.quality.pairing == "shared"
    assert answer.quality.meter_readings == other.quality.meter_readings == 1


async def test_without_dc_a_shared_charge_point_is_split_equally(database_url: str) -> None:
    await write(database_url, [meter(1, 9.0), *(vehicle(2, 0.0, f"v-{n}") for n in (1, 2, 3))])
    answer = await ask(database_url)
    assert answer.total_kwh_consumed_ac == pytest.approx(3)
    assert answer.quality.pairing == "shared"


async def test_a_share_of_nothing_is_zero_and_not_null(database_url: str) -> None:
    await write(database_url, [meter(1, 9.0), vehicle(1, 0.0), vehicle(2, 4.0, "v-2")])
    answer = await ask(database_url)
    assert answer.total_kwh_consumed_ac == 0
    assert answer.quality.meter_readings == 1
    assert answer.efficiency_ratio is None
    assert answer.status == "unknown"
    assert "zero" in (answer.quality.reason or "")


async def test_pairing_is_the_weakest_of_the_buckets(database_url: str) -> None:
    await write(database_url, [*pair(range(30), ac=1.0, dc=0.9), vehicle(20, 0.9, "v-2")])
    assert (await ask(database_url, 0, 15)).quality.pairing == "exclusive"
    assert (await ask(database_url, 15, 30)).quality.pairing == "shared"
    assert (await ask(database_url, 0, 30)).quality.pairing == "shared"


async def test_readings_beyond_the_windows_edges_define_the_shares(database_url: str) -> None:
    """The other vehicle reports at 12 and 1, the meter at 5: in the window [4, 6) all of it counts for the share."""
    others = [vehicle(12, 3.0, "v-2"), vehicle(1, 3.0, "v-2")]
    await write(database_url, [meter(5, 10.0), vehicle(0, 1.0), vehicle(5, 1.0), *others])
    answer = await ask(database_url, 4, 6)
    assert answer.total_kwh_consumed_ac == pytest.approx(2.5)
    assert answer.total_kwh_delivered_dc == 1.0
    assert answer.quality.pairing == "shared"


async def test_presence_beyond_the_windows_edge_attributes_ac(database_url: str) -> None:
    """The vehicle reports only before the window, but in the same bucket: AC is known, DC is not."""
    await write(database_url, [meter(10, 2.0), vehicle(3, 1.0)])
    answer = await ask(database_url, 8, 12)
    assert answer.total_kwh_consumed_ac == 2.0
    assert answer.total_kwh_delivered_dc is None
    assert answer.efficiency_ratio is None
    assert "No reading of this vehicle" in (answer.quality.reason or "")


async def test_the_window_is_half_open(database_url: str) -> None:
    await write(database_url, [*pair(range(10, 21, 5), ac=2.0, dc=1.0)])
    answer = await ask(database_url, 10, 20)
    assert answer.total_kwh_consumed_ac == 4.0
    assert answer.total_kwh_delivered_dc == 2.0
    assert (answer.quality.vehicle_readings, answer.quality.meter_readings) == (2, 2)


async def test_adjacent_windows_add_up(database_url: str) -> None:
    shared = [*pair(range(60), ac=1.0, dc=0.8), *(vehicle(m, 0.3, "v-2") for m in range(7, 50, 3))]
    await write(database_url, shared)
    first, second, whole = [await ask(database_url, *edges) for edges in ((3, 22), (22, 51), (3, 51))]
    sums = (first.total_kwh_consumed_ac or 0) + (second.total_kwh_consumed_ac or 0)
    assert sums == pytest.approx(whole.total_kwh_consumed_ac)
    assert first.quality.meter_readings + second.quality.meter_readings == whole.quality.meter_readings == 48


@pytest.mark.parametrize(
    ("dc", "status"), [(0.9, "ok"), (0.85, "ok"), (0.84, "degraded"), (1.0, "ok"), (1.01, "implausible")]
)
async def test_status_by_ratio(database_url: str, dc: float, status: str) -> None:
    await write(database_url, pair(range(1), ac=1.0, dc=dc))
    assert (await ask(database_url)).status == status


async def test_dc_without_any_ac_is_implausible(database_url: str) -> None:
    await write(database_url, pair(range(1), ac=0.0, dc=1.0))
    answer = await ask(database_url)
    assert (answer.total_kwh_consumed_ac, answer.efficiency_ratio, answer.status) == (0.0, None, "implausible")
    assert "zero" in (answer.quality.reason or "")


async def test_too_little_ac_to_divide_by_gives_no_ratio(database_url: str) -> None:
    await write(database_url, pair(range(1), ac=5e-324, dc=1e9))
    answer = await ask(database_url)
    assert answer.efficiency_ratio is None
    assert answer.quality.reason is not None


async def test_status_goes_by_the_buckets_that_both_streams_cover(database_url: str) -> None:
    """In the second bucket 10 of 15 meter readings are missing: the plain ratio is 1.35, the paired one 0.9."""
    lost = [reading for reading in pair(range(15, 30), ac=1.0, dc=0.9) if isinstance(reading, VehicleReading)]
    await write(database_url, [*pair(range(15), ac=1.0, dc=0.9), *lost, *(meter(m, 1.0) for m in range(15, 20))])
    answer = await ask(database_url, 0, 30)
    assert answer.efficiency_ratio == pytest.approx(27 / 20)
    assert answer.quality.paired_efficiency_ratio == pytest.approx(0.9)
    assert answer.status == "ok"


@pytest.mark.parametrize(("meter_readings", "paired"), [(12, 0.9), (11, None)])
async def test_a_bucket_is_covered_from_four_fifths_on(
    database_url: str, meter_readings: int, paired: float | None
) -> None:
    vehicles = [vehicle(m, 0.72) for m in range(15)]
    await write(database_url, [*vehicles, *(meter(m, 1.0) for m in range(meter_readings))])
    assert (await ask(database_url)).quality.paired_efficiency_ratio == pytest.approx(paired)


async def test_several_meters_at_one_charge_point_add_up(database_url: str) -> None:
    await write(database_url, [meter(1, 1.0, "m-2"), meter(1, 3.0, "m-1"), vehicle(1, 3.6)])
    answer = await ask(database_url)
    assert answer.total_kwh_consumed_ac == 4.0
    assert answer.meters == (MeterEnergy("m-1", 3.0), MeterEnergy("m-2", 1.0))
    assert answer.quality.pairing == "exclusive"


async def test_a_vehicle_that_moves_takes_the_ac_of_where_it_was(database_url: str) -> None:
    """It leaves cp-1 for cp-2 at 20, in mid-bucket, and comes back at 40; both meters report all the time."""
    there = {m: "cp-2" if 20 <= m < 40 else "cp-1" for m in range(60)}
    moving = [vehicle(m, 0.9, cp=cp) for m, cp in there.items()]
    meters = [meter(m, 1.0, f"m-{n}", f"cp-{n}") for n in (1, 2) for m in range(60)]
    await write(database_url, [*moving, *meters])
    answer = await ask(database_url)
    # cp-1 in the buckets of 0, 15, 30 and 45; cp-2 in those of 15 and 30
    assert by_meter(answer) == pytest.approx({"m-1": 60, "m-2": 30})
    assert answer.total_kwh_delivered_dc == pytest.approx(54)


async def test_ac_while_the_vehicle_is_away_is_not_its(database_url: str) -> None:
    """It is there in the buckets of 0 and 45; a second meter has a pause of its own while it is there."""
    away = [meter(m, 1.0) for m in range(60)]
    pausing = [meter(m, 1.0, "m-2") for m in (46, 61)]
    await write(database_url, [vehicle(1, 0.9), vehicle(46, 0.9), vehicle(61, 0.9), *away, *pausing])
    answer = await ask(database_url, 0, 75)
    assert by_meter(answer) == {"m-1": 30.0, "m-2": 2.0}
    assert answer.quality.meter_readings == 32


async def test_a_meter_that_moves_counts_only_where_the_vehicle_is(database_url: str) -> None:
    await write(database_url, [meter(1, 1.0, cp="cp-1"), meter(2, 5.0, cp="cp-2"), vehicle(1, 0.9)])
    assert (await ask(database_url)).total_kwh_consumed_ac == 1.0


async def test_a_meter_and_a_vehicle_may_bear_the_same_id(database_url: str) -> None:
    await write(database_url, [meter(1, 2.0, "both"), vehicle(1, 1.8, "both")])
    answer = await ask(database_url, device="both")
    assert answer.efficiency_ratio == pytest.approx(0.9)
    assert answer.quality.pairing == "exclusive"


async def test_a_window_over_midnight_joins_partitions(database_url: str) -> None:
    to_midnight = 14 * 60
    await write(database_url, pair(range(to_midnight - 20, to_midnight + 20), ac=1.0, dc=0.9))
    answer = await ask(database_url, to_midnight - 20, to_midnight + 20)
    assert answer.total_kwh_consumed_ac == pytest.approx(40)
    assert (answer.quality.gap_minutes, answer.quality.coverage) == (0.0, 1.0)


async def test_gaps_count_the_windows_edges_as_readings(database_url: str) -> None:
    """Readings at 2, 3.5 and 10 in [0, 12): distances 2, 1.5 (no gap), 6.5 and 2 minutes."""
    await write(database_url, [vehicle(m, 1.0) for m in (2, 3.5, 10)])
    answer = await ask(database_url, 0, 12)
    assert answer.quality.gap_minutes == pytest.approx(1 + 5.5 + 1)
    assert answer.quality.coverage == pytest.approx(3 / 12)


async def test_gaps_run_on_over_charge_points_and_ignore_readings_beyond_the_edges(database_url: str) -> None:
    await write(database_url, [vehicle(-1, 1.0), vehicle(5, 1.0, cp="cp-2"), vehicle(6, 1.0), vehicle(21, 1.0)])
    assert (await ask(database_url, 0, 20)).quality.gap_minutes == pytest.approx(4 + 13)


async def test_a_gap_of_days_is_counted_in_full(database_url: str) -> None:
    day = 24 * 60
    await write(database_url, [vehicle(0, 1.0), vehicle(day + 60, 1.0)])
    assert (await ask(database_url, 0, day + 61)).quality.gap_minutes == pytest.approx(day + 59)


async def test_coverage_ends_at_one(database_url: str) -> None:
    await write(database_url, [vehicle(m / 2, 1.0) for m in range(10)])
    answer = await ask(database_url, 0, 5)
    assert (answer.quality.vehicle_readings, answer.quality.coverage) == (10, 1.0)


async def test_a_known_vehicle_without_readings_in_the_window(database_url: str) -> None:
    await write(database_url, pair(range(5), ac=1.0, dc=0.9))
    answer = await ask(database_url, 100, 200)
    assert answer.total_kwh_consumed_ac is None
    assert answer.total_kwh_delivered_dc is None
    assert answer.efficiency_ratio is None
    assert answer.avg_battery_temp is None
    assert (answer.status, answer.meters, answer.quality.pairing) == ("unknown", (), "none")
    assert (answer.quality.coverage, answer.quality.gap_minutes) == (0.0, 99.0)
    assert "choose another window" in (answer.quality.reason or "")


async def test_a_vehicle_without_a_meter_has_null_ac(database_url: str) -> None:
    charge_points = ["cp-9", "cp-1", "cp-2", "cp-3", "cp-4"]
    await write(database_url, [*(vehicle(m, 1.0, cp=cp) for m, cp in enumerate(charge_points)), meter(30, 1.0)])
    answer = await ask(database_url)
    assert answer.total_kwh_consumed_ac is None
    assert answer.total_kwh_delivered_dc == 5.0
    assert (answer.efficiency_ratio, answer.status, answer.quality.pairing) == (None, "unknown", "none")
    assert "(cp-1, cp-2, cp-3 and 2 more)" in (answer.quality.reason or "")


async def test_device_ids_as_charge_points_name_the_two_ways_out(database_url: str) -> None:
    await write(database_url, [vehicle(1, 1.0, cp="v-1"), meter(1, 1.0, cp="m-1")])
    answer = await ask(database_url)
    assert answer.total_kwh_consumed_ac is None
    reason = answer.quality.reason or ""
    assert "fleet/v-1/vehicle" in reason
    assert "same charge point id" in reason
    assert "add a link" in reason


async def test_a_vehicle_never_seen_has_no_answer(database_url: str) -> None:
    await write(database_url, [meter(1, 1.0, "v-404")])
    async with open_reader(database_url) as reader:
        assert await reader.performance("v-404", window(0, 60)) is None


async def test_a_vehicle_that_is_only_declared_is_known(database_url: str, db: asyncpg.Connection) -> None:
    await db.execute("insert into devices (device, kind) values ('v-new', 'vehicle')")
    answer = await ask(database_url, device="v-new")
    assert answer.total_kwh_delivered_dc is None


async def test_a_window_under_a_minute_expects_no_reading(database_url: str) -> None:
    await write(database_url, pair(range(1), ac=1.0, dc=0.9))
    answer = await ask(database_url, 0, 0.5)
    assert (answer.quality.expected_readings, answer.quality.coverage, answer.quality.gap_minutes) == (0, None, 0.0)
    assert answer.efficiency_ratio == pytest.approx(0.9)


async def test_readings_to_the_microsecond_fall_on_the_right_side(database_url: str) -> None:
    instant = timedelta(microseconds=1)
    before = MeterReading("m-1", "cp-1", at(15) - instant, 1.0, 230.0, late=False)
    after = MeterReading("m-1", "cp-1", at(15), 10.0, 230.0, late=False)
    present = VehicleReading("v-1", "cp-1", at(15) - instant, 1.0, 50.0, 20.0, late=False)
    await write(database_url, [before, after, present])
    assert (await ask(database_url)).total_kwh_consumed_ac == 1.0


async def test_the_parts_of_an_answer_are_of_one_moment(database_url: str) -> None:
    count = "select count(*) from vehicle_history"
    async with open_reader(database_url) as reader:
        async with reader.snapshot() as connection:
            assert await connection.fetchval(count) == 0
            await write(database_url, [vehicle(1, 1.0)])
            assert await connection.fetchval(count) == 0
        async with reader.snapshot() as connection:
            assert await connection.fetchval(count) == 1
