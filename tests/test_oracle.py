"""The oracle itself: correlation, links, quality and status, each rule by a hand-worked example.

Times are minutes after 10:00 UTC, so the buckets begin at 0, 15, 30 and 45.
"""

import pytest

from oracle import Fleet, Link, MeterTotal
from oracle_points import ac, answer, at, meter, unattributed, vehicle

# Section 4: correlation


def test_one_meter_and_one_vehicle() -> None:
    fleet = Fleet(
        [meter(0, 1.0), meter(14.9, 3.0)], [vehicle(5, 3.0, temp=10), vehicle(6, 0.25, temp=40), vehicle(7, 0.25)]
    )
    shown = answer(fleet)
    assert (shown.total_kwh_consumed_ac, shown.total_kwh_delivered_dc) == (4.0, 3.5)
    assert (shown.efficiency_ratio, shown.avg_battery_temp, shown.status) == (0.875, 70 / 3, "ok")
    assert shown.quality.pairing == "exclusive"
    assert (shown.quality.vehicle_readings, shown.quality.meter_readings) == (3, 2)
    assert not shown.quality.reason_due


def test_shared_charge_point_splits_by_dc() -> None:
    fleet = Fleet([meter(0, 8.0)], [vehicle(0, 3.0, "v"), vehicle(1, 1.0, "w")])
    assert (ac(fleet, "v"), ac(fleet, "w")) == (6.0, 2.0)
    assert answer(fleet).quality.pairing == "shared"


def test_shared_charge_point_splits_equally_without_dc() -> None:
    fleet = Fleet([meter(0, 8.0)], [vehicle(0, 0.0, "v"), vehicle(1, 0.0, "w"), vehicle(2, 0.0, "w")])
    assert (ac(fleet, "v"), ac(fleet, "w")) == (4.0, 4.0)


def test_a_part_of_zero_is_attributed_and_not_null() -> None:
    shown = answer(Fleet([meter(0, 8.0)], [vehicle(0, 0.0, "v"), vehicle(1, 1.0, "w")]))
    assert shown.total_kwh_consumed_ac == 0
    assert (shown.quality.pairing, shown.quality.meter_readings, shown.meters) == ("shared", 1, (MeterTotal("m", 0),))
    assert shown.efficiency_ratio is None
    assert shown.quality.reason_due


def test_buckets_do_not_share_presence() -> None:
    fleet = Fleet([meter(14, 1.0), meter(15, 2.0)], [vehicle(14, 1.0)])
    assert ac(fleet) == 1
    assert unattributed(fleet) == 2


def test_no_meter_is_null_and_nobody_present_is_unattributed() -> None:
    fleet = Fleet([meter(0, 5.0, cp="m")], [vehicle(0, 4.0, cp="v")])  # device ids as topics: nothing meets
    shown = answer(fleet)
    assert (shown.total_kwh_consumed_ac, shown.efficiency_ratio, shown.status) == (None, None, "unknown")
    assert (shown.quality.pairing, shown.quality.reason_due, shown.meters) == ("none", True, ())
    assert unattributed(fleet) == 5


def test_a_vehicle_that_moves_is_present_at_both_places_in_the_bucket() -> None:
    fleet = Fleet(
        [meter(0, 1.0, "m1", "a"), meter(10, 2.0, "m2", "b"), meter(20, 4.0, "m1", "a")],
        [vehicle(0, 1.0, cp="a"), vehicle(9, 1.0, cp="b")],
    )
    assert answer(fleet).meters == (MeterTotal("m1", 1), MeterTotal("m2", 2))


def test_shares_count_the_dc_received_at_that_charge_point_only() -> None:
    fleet = Fleet([meter(0, 8.0)], [vehicle(0, 1.0, "v"), vehicle(1, 90.0, "v", "else"), vehicle(2, 3.0, "w")])
    assert ac(fleet, "v") == 2


def test_several_meters_of_one_vehicle_are_exclusive() -> None:
    shown = answer(Fleet([meter(0, 1.0, "m1"), meter(0, 2.0, "m2")], [vehicle(0, 2.0)]))
    assert (shown.total_kwh_consumed_ac, shown.quality.pairing) == (3, "exclusive")


def test_presence_and_shares_reach_beyond_the_edges_of_the_window() -> None:
    fleet = Fleet([meter(3, 8.0)], [vehicle(0, 3.0, "v"), vehicle(14, 1.0, "w")])
    shown = answer(fleet, "v", 2, 4)
    assert shown.total_kwh_consumed_ac == 6
    assert (shown.total_kwh_delivered_dc, shown.avg_battery_temp) == (None, None)
    assert (shown.quality.vehicle_readings, shown.quality.meter_readings, shown.quality.reason_due) == (0, 1, True)
    assert ac(fleet, "w", 2, 4) == 2
    assert ac(fleet, "w", 4, 15) is None


def test_the_window_is_half_open() -> None:
    fleet = Fleet([meter(1, 1.0), meter(2, 2.0)], [vehicle(1, 1.0), vehicle(2, 2.0)])
    assert (ac(fleet, "v", 1, 2), answer(fleet, "v", 1, 2).total_kwh_delivered_dc) == (1, 1)


def test_registers_compare_with_readings_outside_the_window() -> None:
    fleet = Fleet([meter(0, 10), meter(1, 11), meter(2, 0), meter(3, 12)], [vehicle(1, 1.0)], meter_energy="register")
    assert ac(fleet, "v", 1, 2) == 1
    shown = answer(fleet, "v", 2, 3)
    assert (shown.total_kwh_consumed_ac, shown.quality.glitches) == (0, 1)


# Section 4: links


def test_a_link_works_from_anywhere_and_without_the_vehicle() -> None:
    fleet = Fleet([meter(0, 5.0, cp="m")], [], [Link("v", "m", at(0), None)])
    shown = answer(fleet)
    assert (shown.total_kwh_consumed_ac, shown.total_kwh_delivered_dc) == (5, None)
    assert (shown.quality.pairing, shown.quality.meter_readings, shown.status) == ("link", 1, "unknown")
    assert unattributed(fleet) == 0


def test_a_linked_meter_leaves_the_pool_of_its_charge_point() -> None:
    fleet = Fleet([meter(0, 5.0)], [vehicle(0, 1.0, "w")], [Link("v", "m", at(0), None)])
    assert (ac(fleet, "v"), ac(fleet, "w")) == (5, None)


def test_links_apply_reading_by_reading() -> None:
    fleet = Fleet(
        [meter(4, 1.0), meter(5, 2.0), meter(9, 4.0), meter(10, 8.0)],
        [vehicle(0, 1.0, "w")],
        [Link("v", "m", at(5), at(10))],
    )
    assert (ac(fleet, "v"), ac(fleet, "w")) == (6, 9)  # [5, 10) is v's, the rest w's by presence
    assert (answer(fleet, "v").quality.pairing, answer(fleet, "w").quality.pairing) == ("link", "exclusive")


def test_a_vehicle_leaves_the_pool_only_in_buckets_where_its_own_meter_reported() -> None:
    fleet = Fleet(
        [meter(0, 5.0, "own", "far"), meter(1, 8.0), meter(16, 8.0)],
        [vehicle(2, 3.0, "v"), vehicle(3, 1.0, "w"), vehicle(17, 3.0, "v"), vehicle(18, 1.0, "w")],
        [Link("v", "own", at(-60), None)],
    )
    assert (ac(fleet, "v", 0, 15), ac(fleet, "w", 0, 15)) == (5, 8)
    assert (ac(fleet, "v", 15, 30), ac(fleet, "w", 15, 30)) == (6, 2)
    assert answer(fleet, "v").quality.pairing == "shared"  # the weakest of link and shared
    assert answer(fleet, "w", 0, 15).quality.pairing == "exclusive"  # the pool that is left counts


def test_the_own_meter_reports_for_the_whole_bucket_also_outside_window_and_link() -> None:
    fleet = Fleet(
        [meter(0, 5.0, "own"), meter(10, 7.0, "own"), meter(10, 8.0)],
        [vehicle(2, 3.0)],
        [Link("v", "own", at(-60), at(5))],
    )
    assert ac(fleet, "v", 0, 5) == 5
    assert ac(fleet, "v", 5, 15) is None  # v left the pool for this bucket; `own` is no longer its meter
    assert unattributed(fleet, 5, 15) == 15


def test_a_meter_reading_before_its_link_begins_does_not_take_the_vehicle_out_of_the_pool() -> None:
    fleet = Fleet([meter(0, 5.0, "own"), meter(1, 8.0)], [vehicle(2, 3.0)], [Link("v", "own", at(10), None)])
    assert (ac(fleet), answer(fleet).quality.pairing) == (13, "exclusive")


def test_a_meter_is_replaced() -> None:
    links = [Link("v", "old", at(0), at(20)), Link("v", "new", at(20), None), Link("w", "old", at(20), None)]
    fleet = Fleet([meter(19, 1.0, "old"), meter(20, 2.0, "old"), meter(21, 4.0, "new")], [], links)
    assert answer(fleet).meters == (MeterTotal("new", 4), MeterTotal("old", 1))
    assert ac(fleet, "w") == 2


# Quality and status


def test_expected_readings_coverage_and_gaps() -> None:
    shown = answer(Fleet([], [vehicle(1, 1.0), vehicle(2.5, 1.0), vehicle(5, 1.0)]), end=10.5).quality
    assert (shown.expected_readings, shown.coverage) == (10, 0.3)
    assert shown.gap_minutes == 6  # 60 s, 90 s, 150 s (1.5 minutes are missing), 330 s (4.5)


def test_without_readings_the_whole_window_less_an_interval_is_a_gap() -> None:
    shown = answer(Fleet([], []), end=30).quality
    assert (shown.gap_minutes, shown.coverage, shown.expected_readings) == (29, 0, 30)


def test_more_readings_than_expected_are_full_coverage() -> None:
    every_half_minute = [vehicle(n / 2, 1.0) for n in range(20)]
    assert answer(Fleet([], every_half_minute), end=10).quality.coverage == 1


def test_a_window_shorter_than_an_interval_has_no_coverage() -> None:
    shown = answer(Fleet([], [vehicle(0, 1.0)]), end=0.5).quality
    assert (shown.expected_readings, shown.coverage, shown.gap_minutes) == (0, None, 0)


def test_a_reversed_window_is_refused() -> None:
    with pytest.raises(ValueError, match="reversed"):
        answer(Fleet([], []), start=1, end=0)
    with pytest.raises(ValueError, match="reversed"):
        unattributed(Fleet([], []), start=1, end=0)


def test_register_events_of_both_streams_are_counted_in_the_window() -> None:
    fleet = Fleet(
        meters=[meter(0, 1000), meter(1, 1.0), meter(2, 2.0), meter(3, 500.0), meter(4, 501.0), meter(5, 0.0)],
        vehicles=[vehicle(0, 10), vehicle(1, 0), vehicle(2, 11), vehicle(5, 12), vehicle(8, 13)],
        meter_energy="register",
        vehicle_energy="register",
    )
    shown = answer(fleet).quality  # meter: reset at 1, jump at 3, provisional at 5; vehicle: glitch at 1
    assert (shown.counter_resets, shown.jumps, shown.glitches, shown.recovered) == (1, 1, 1, 3)
    later = answer(fleet, start=2).quality
    assert (later.counter_resets, later.jumps, later.glitches, later.recovered) == (0, 1, 0, 3)


def bucket_rows(begin: int, meters: int, vehicles: int, kwh_ac: float, kwh_dc: float) -> Fleet:
    """A bucket with that many readings of each stream, each of that energy."""
    return Fleet(
        [meter(begin + n, kwh_ac) for n in range(meters)], [vehicle(begin + n, kwh_dc) for n in range(vehicles)]
    )


def joined(*parts: Fleet) -> Fleet:
    return Fleet([m for part in parts for m in part.meters], [v for part in parts for v in part.vehicles])


def test_paired_ratio_takes_only_buckets_covered_by_both_streams() -> None:
    good = bucket_rows(0, 5, 4, 1.0, 1.0)  # 4/5 = 0.8: covered, ratio 4/5
    bad = bucket_rows(15, 5, 3, 1.0, 1.0)  # 3/5: left out
    shown = answer(joined(good, bad))
    assert (shown.quality.paired_efficiency_ratio, shown.efficiency_ratio) == (0.8, 0.7)
    assert answer(bad).quality.paired_efficiency_ratio is None
    assert answer(bad).efficiency_ratio == 0.6


def test_paired_ratio_counts_the_readings_inside_the_window() -> None:
    fleet = Fleet([meter(0, 1.0), meter(9, 1.0)], [vehicle(10, 1.0), vehicle(11, 1.0)])
    assert answer(fleet).quality.paired_efficiency_ratio == 1
    assert answer(fleet, end=11).quality.paired_efficiency_ratio is None


def test_status_is_judged_on_the_paired_ratio_when_there_is_one() -> None:
    lost_dc = joined(bucket_rows(0, 5, 5, 1.0, 0.9), bucket_rows(15, 5, 1, 1.0, 0.9))
    assert (answer(lost_dc).efficiency_ratio, answer(lost_dc).status) == (0.54, "ok")
    lost_ac = joined(bucket_rows(0, 5, 5, 1.0, 0.5), bucket_rows(15, 1, 5, 1.0, 1.0))
    assert (answer(lost_ac).efficiency_ratio, answer(lost_ac).status) == (7.5 / 6, "degraded")


@pytest.mark.parametrize(
    ("kwh_ac", "kwh_dc", "expected"),
    [
        (20.0, 17.0, "ok"),  # 0.85 is not under 0.85
        (20.0, 16.9, "degraded"),
        (20.0, 20.0, "ok"),
        (20.0, 20.1, "implausible"),
        (20.0, 0.0, "degraded"),
        (0.0, 0.0, "unknown"),
        (0.0, 1.0, "implausible"),
    ],
)
def test_status(kwh_ac: float, kwh_dc: float, expected: str) -> None:
    paired = bucket_rows(0, 1, 1, kwh_ac, kwh_dc)
    never_paired = joined(paired, Fleet([], [vehicle(5, 0.0)]))  # 1/2: judged on the plain ratio
    assert (answer(paired).status, answer(never_paired).status) == (expected, expected)


def test_a_fleet_that_the_database_would_not_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="unique"):
        Fleet([meter(0, 1.0), meter(0, 2.0, cp="else")], [])
    with pytest.raises(ValueError, match="one vehicle"):
        Fleet([], [], [Link("v", "m", at(0), None), Link("w", "m", at(5), at(6))])
    with pytest.raises(ValueError, match="end after"):
        Link("v", "m", at(1), at(1))
