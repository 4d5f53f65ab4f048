"""Small fleets in which it is known by construction what is to be found, and what is not."""

import asyncpg
import msgspec
import pytest

from http_support import Reading, at, vehicle, window, write
from joulegate_db.pairing import Pairings, pairings
from joulegate_db.reader import open_reader
from pairing_support import (
    LATER,
    MINUTES,
    MORNING,
    OTHER,
    ask_pairings,
    find,
    found,
    link,
    meter_readings,
    pair,
    roll,
    vehicle_readings,
)


def nothing_found(answer: Pairings, judged: int, **not_judged: int) -> bool:
    """Whether there is no finding, and the counts are these."""
    return (answer.findings, answer.judged, answer.not_judged) == ([], judged, not_judged)


async def test_right_pairs_are_not_questioned(database_url: str) -> None:
    answer = await find(database_url, pair(1, MORNING), pair(2, LATER), pair(3, OTHER))
    assert nothing_found(answer, 3)
    assert answer.vehicles == 3


async def test_both_sides_of_a_swap_are_found_with_the_evidence(database_url: str) -> None:
    answer = await find(
        database_url, pair(1, MORNING, meter_at="cp-2"), pair(2, OTHER, meter_at="cp-1"), pair(3, LATER)
    )
    assert found(answer) == {"v-1": "m-1", "v-2": "m-2"}
    assert (answer.judged, answer.not_judged) == (3, {})
    one = next(finding for finding in answer.findings if finding.vehicle_id == "v-1")
    assert (one.kind, one.present_meter_id, one.swapped_with) == ("mispaired", "m-2", "v-2")
    evidence = one.evidence
    assert (evidence.slots, evidence.sessions) == (65 + 60, 2)
    assert evidence.present_error == pytest.approx(1)  # never a minute in which v-1 and m-2 both charge
    assert evidence.suggested_error == pytest.approx(0, abs=1e-9)
    assert evidence.margin == pytest.approx(1)
    assert evidence.suggested_ratio == pytest.approx(0.9)
    assert (one.suggestion.vehicle_id, one.suggestion.meter_id) == ("v-1", "m-1")
    assert (one.suggestion.valid_from, one.suggestion.valid_to) == (at(0), None)
    assert one.sentence == (
        "The charging of v-1 follows meter m-1 (0.0 % of the energy does not match) and not m-2 (100.0 %): "
        "v-1 and v-2 seem to have each other's meters."
    )


async def test_the_present_error_is_the_share_of_energy_that_does_not_match(database_url: str) -> None:
    """v-1 charges 100 minutes. Its present meter runs 60 of them and 60 others at the same power: r = 0.75, so |x - ry| is
    60 x 0.15, 40 x 0.9 and 60 x 0.75 in units of a minute's AC: 90 of the 180 that x + ry adds up to. With the clocks taken to be two
    minutes apart it is 62 x 0.15, 38 x 0.9 and 58 x 0.75: 87, and the lowest error counts."""
    answer = await find(
        database_url,
        vehicle_readings("v-1", "cp-1", [(100, 200, 11.0)]),
        meter_readings("m-2", "cp-1", [(140, 260, 11.0)], offset=0.6),
        meter_readings("m-1", "cp-2", [(100, 200, 11.0)], offset=0.6),
    )
    (one,) = answer.findings
    assert one.evidence.present_error == pytest.approx(87 / 180)
    assert one.evidence.present_ratio == pytest.approx(0.75)


async def test_a_vehicle_without_a_meter_gets_a_suggestion(database_url: str, db: asyncpg.Connection) -> None:
    answer = await find(database_url, pair(1, MORNING, meter_at="m-1"), pair(2, LATER))
    (one,) = answer.findings
    assert (one.kind, one.present_meter_id, one.suggested_meter_id) == ("unmetered", None, "m-1")
    assert (one.evidence.present_error, one.evidence.margin, one.evidence.present_ratio) == (None, None, None)
    assert one.sentence.endswith("it has no meter at present.")
    assert await db.fetchval("select count(*) from links") == 0


async def test_too_little_charging_is_counted_and_not_judged(database_url: str) -> None:
    answer = await find(
        database_url,
        pair(1, [(30, 50, 11.0)], meter_at="cp-2"),
        pair(2, [(120, 148, 11.0)], meter_at="cp-1"),
        vehicle_readings("v-3", "cp-3", []),
        pair(4, [(0, MINUTES, 7.4)]),
    )
    assert nothing_found(answer, 0, too_little_charging=3, did_not_charge=1)


async def test_two_meters_that_fit_equally_well_are_no_finding(database_url: str) -> None:
    answer = await find(
        database_url, pair(1, MORNING, meter_at="m-1"), meter_readings("m-9", "m-9", MORNING), pair(2, LATER)
    )
    assert nothing_found(answer, 2)


async def test_two_vehicles_that_one_meter_fits_equally_well_are_no_finding(database_url: str) -> None:
    answer = await find(
        database_url,
        vehicle_readings("v-1", "cp-1", MORNING),
        vehicle_readings("v-2", "cp-2", MORNING),
        meter_readings("m-1", "m-1", MORNING),
    )
    assert nothing_found(answer, 2)


async def test_a_meter_that_fits_its_own_vehicle_is_not_offered_to_another(database_url: str) -> None:
    answer = await find(database_url, pair(1, MORNING), vehicle_readings("v-2", "cp-2", MORNING))
    assert nothing_found(answer, 2)


async def test_a_wrong_meter_without_a_better_one_is_no_finding(database_url: str) -> None:
    answer = await find(database_url, vehicle_readings("v-1", "cp-1", MORNING), meter_readings("m-2", "cp-1", OTHER))
    assert nothing_found(answer, 1)


async def test_a_meter_that_fits_only_a_little_better_is_no_finding(database_url: str) -> None:
    """Errors of 0.107, for twelve minutes too many beside a hundred, and 0.057 for six: not three times as much."""
    answer = await find(
        database_url,
        vehicle_readings("v-1", "cp-1", [(100, 200, 11.0)]),
        meter_readings("m-1", "cp-1", [(100, 212, 11.0)]),
        meter_readings("m-2", "m-2", [(100, 206, 11.0)]),
    )
    assert nothing_found(answer, 1)


async def test_the_best_of_bad_meters_is_no_finding(database_url: str) -> None:
    answer = await find(
        database_url,
        vehicle_readings("v-1", "cp-1", [(100, 200, 11.0)]),
        meter_readings("m-2", "m-2", [(100, 212, 11.0)]),
    )
    assert nothing_found(answer, 1)


async def test_links_that_are_swapped_are_found(database_url: str, db: asyncpg.Connection) -> None:
    await link(db, "v-1", "m-2")
    await link(db, "v-2", "m-1")
    answer = await find(database_url, pair(1, MORNING), pair(2, OTHER))
    assert found(answer) == {"v-1": "m-1", "v-2": "m-2"}


async def test_a_right_link_wins_over_a_wrong_place(database_url: str, db: asyncpg.Connection) -> None:
    await link(db, "v-1", "m-1")
    await link(db, "v-2", "m-2")
    answer = await find(
        database_url,
        pair(1, MORNING, meter_at="cp-2"),
        pair(2, OTHER, meter_at="cp-1"),
        meter_readings("m-9", "cp-1", LATER),  # in the pool, where v-1 is not any more
    )
    assert nothing_found(answer, 2)


async def test_what_is_not_one_meter_and_one_vehicle_is_not_judged(database_url: str) -> None:
    answer = await find(
        database_url,
        pair(1, MORNING),
        vehicle_readings("v-2", "cp-1", LATER),
        pair(3, OTHER),
        meter_readings("m-4", "cp-3", OTHER),
    )
    assert nothing_found(answer, 0, shared_charge_point=2, several_meters=1)


async def test_a_vehicle_that_only_stands_at_a_charge_point_does_not_share_it(database_url: str) -> None:
    answer = await find(database_url, pair(1, MORNING), vehicle_readings("v-2", "cp-1", []))
    assert nothing_found(answer, 1, did_not_charge=1)


async def test_a_meter_that_reported_too_little_is_not_judged(database_url: str) -> None:
    answer = await find(
        database_url, vehicle_readings("v-1", "cp-1", MORNING), meter_readings("m-1", "cp-1", MORNING, until=80)
    )
    assert nothing_found(answer, 0, too_few_common_readings=1)


@pytest.mark.parametrize("skew", [-1.5, 1.5], ids=["slow", "fast"])
async def test_a_clock_that_is_90_seconds_off_changes_nothing(database_url: str, skew: float) -> None:
    answer = await find(
        database_url,
        vehicle_readings("v-1", "cp-1", MORNING),
        meter_readings("m-1", "cp-2", MORNING, offset=0.6 + skew),
        vehicle_readings("v-2", "cp-2", OTHER),
        meter_readings("m-2", "cp-1", OTHER, offset=0.6 + skew),
    )
    assert found(answer) == {"v-1": "m-1", "v-2": "m-2"}
    assert max(one.evidence.suggested_error for one in answer.findings) < 0.01


async def test_registers_have_the_same_shape_as_intervals(database_url: str, db: asyncpg.Connection) -> None:
    fleet = [*pair(1, MORNING, meter_at="cp-2"), *pair(2, OTHER, meter_at="cp-1"), *pair(3, LATER)]
    total = 500.0
    readings: list[Reading] = []
    for reading in fleet:
        if reading.device == "m-1":
            total += reading.kwh
            readings.append(msgspec.structs.replace(reading, kwh=total))
        else:
            readings.append(reading)
    await db.execute("insert into devices (device, kind, energy) values ('m-1', 'meter', 'register')")
    answer = await find(database_url, readings)
    assert found(answer) == {"v-1": "m-1", "v-2": "m-2"}
    await roll(database_url)
    assert found(await ask_pairings(database_url)) == {"v-1": "m-1", "v-2": "m-2"}


async def test_rollups_and_history_give_the_same_answer(database_url: str) -> None:
    before = await find(
        database_url, pair(1, MORNING, meter_at="cp-2"), pair(2, OTHER, meter_at="cp-1"), pair(3, LATER, meter_at="m-3")
    )
    await roll(database_url)
    assert await ask_pairings(database_url) == before
    late = [vehicle(minute + 0.6, 0.0, "v-4", "cp-4") for minute in range(0, MINUTES, 7)]
    await write(database_url, late)  # marks buckets that are rolled
    after = await ask_pairings(database_url)
    assert (after.findings, after.vehicles) == (before.findings, 4)


async def test_one_vehicle_gets_the_findings_that_it_has_among_all(database_url: str) -> None:
    everything = await find(
        database_url,
        pair(1, MORNING, meter_at="cp-2"),
        pair(2, OTHER, meter_at="cp-1"),
        pair(3, LATER),
        vehicle_readings("v-4", "cp-4", MORNING[:1]),
    )
    for name in ("v-1", "v-2", "v-3", "v-4"):
        alone = await ask_pairings(database_url, name)
        assert alone.findings == [one for one in everything.findings if one.vehicle_id == name]
        assert (alone.vehicles, alone.judged) == (1, 1)


async def test_a_vehicle_that_never_reported_is_not_known(database_url: str) -> None:
    async with open_reader(database_url) as reader:
        assert await pairings(reader, window(0, MINUTES), "v-1") is None
        everything = await pairings(reader, window(0, MINUTES))
    assert everything is not None
    assert (everything.vehicles, everything.judged, everything.findings) == (0, 0, [])
