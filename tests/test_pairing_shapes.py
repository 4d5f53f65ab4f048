"""Shapes and how they fit, by hand."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulegate_db.pairing_candidates import SHORTLIST, MeterIndex
from joulegate_db.shape_fit import fit_coarse, fit_fine
from joulegate_db.shapes import IDLE_KWH, UNKNOWN, Minutes, Shape, ShapeSums

PLACE = ("cp-1", "")
KWH = 0.1


def minutes(text: str, kwh: float = KWH) -> Minutes:
    """`#`: charging, `.`: idle, a blank: no reading."""
    return Minutes.of({n: [kwh if one == "#" else 0.0] for n, one in enumerate(text) if one != " "}, len(text))


def shape(text: str, device: str = "m-1", kwh: float = KWH) -> Shape:
    """The same by bucket, with fifteen readings in each."""
    sums = ShapeSums(device, len(text))
    for bucket, one in enumerate(text):
        if one != " ":
            sums.add(PLACE, bucket, 15 * kwh if one == "#" else 0.0, 15)
    return sums.shape()


def test_a_missing_reading_does_not_change_a_buckets_mean() -> None:
    sums = ShapeSums("m-1", 2)
    for _ in range(13):
        sums.add(PLACE, 0, KWH, 1)
    assert list(sums.shape().means) == [pytest.approx(KWH), UNKNOWN]


def test_two_readings_that_fall_into_a_minute_are_not_a_double_one() -> None:
    assert Minutes.of({0: [KWH, KWH]}, 2) == Minutes(array("d", [KWH, UNKNOWN]), array("l", [0]))


def test_standby_is_idle() -> None:
    assert Minutes.of({0: [IDLE_KWH], 1: [IDLE_KWH * 1.01]}, 2).charging == array("l", [1])


def test_a_start_and_a_stop_need_an_idle_bucket_beside_them() -> None:
    assert (shape("##..##").starts(), shape("##..##").stops()) == ([4], [1])
    assert (shape(".## ##.").starts(), shape(".## ##.").stops()) == ([1], [5])


def test_a_pause_of_ten_minutes_does_not_end_a_session() -> None:
    assert minutes("." * 40).sessions() == 0
    assert minutes("##" + "." * 9 + "##").sessions() == 1
    assert minutes("##" + "." * 10 + "##").sessions() == 2


def test_the_error_is_the_share_of_energy_that_does_not_match() -> None:
    """Sum |x - r y| / sum (x + r y) with r = 3/4: three slots of 1/4 and one of 3/4, over 3 + 3."""
    fit = fit_coarse(shape(".###.."), shape(".####."))
    assert fit is not None
    assert fit.error == pytest.approx(1.5 / 6)
    assert fit.ratio == pytest.approx(0.75)
    assert fit.slots == 4


def test_shapes_that_never_meet_have_an_error_of_one() -> None:
    fit = fit_coarse(shape(".##..."), shape("....##"))
    assert fit is not None
    assert fit.error == pytest.approx(1)
    silent = fit_coarse(shape(".##..."), shape("......"))
    assert silent is not None
    assert (silent.error, silent.ratio) == (1, None)


def test_levels_that_no_charger_can_have_are_an_error() -> None:
    """7.4 kW DC from a meter of 22 kW: r is kept at 0.4, so that 7.4 stands against 8.8."""
    fit = fit_coarse(shape(".##.", kwh=7.4 / 60), shape(".##.", kwh=22 / 60))
    assert fit is not None
    assert fit.error == pytest.approx(1.4 / 16.2)
    assert fit.ratio == pytest.approx(7.4 / 22)


def test_slots_that_only_one_reported_in_are_not_compared() -> None:
    fit = fit_coarse(shape("." + 9 * "#" + ".."), shape("." + 8 * "#" + " #."))
    assert fit is not None
    assert fit.slots == 9
    assert fit_coarse(shape(".####."), shape(".### .")) is None  # three of four are under 80 %


@pytest.mark.parametrize("lag", [-3, -2, -1, 0, 1, 2, 3])
def test_clocks_up_to_two_minutes_apart_are_the_same_shape(lag: int) -> None:
    vehicle, meter = 10 * "." + 40 * "#" + 10 * ".", (10 + lag) * "." + 40 * "#" + (10 - lag) * "."
    fit = fit_fine(minutes(vehicle), minutes(meter))
    assert fit is not None
    assert fit.error == pytest.approx(0 if abs(lag) <= 2 else 1 / 40)


@given(st.text("#. ", min_size=1, max_size=60), st.text("#. ", min_size=1, max_size=60))
def test_an_error_is_a_share(one: str, other: str) -> None:
    length = max(len(one), len(other))
    fit = fit_fine(minutes(one.ljust(length)), minutes(other.ljust(length), 3 * KWH))
    assert fit is None or 0 <= fit.error <= 1 + 1e-12
    same = fit_fine(minutes(one), minutes(one, KWH / 0.9))
    assert same is None or same.slots == 0 or same.error < 1e-9


def test_candidates_start_or_stop_when_the_vehicle_does_and_fit() -> None:
    index = MeterIndex(
        [
            shape("..######....", "same"),
            shape("..#######...", "longer"),
            shape("...######...", "later"),
            shape(".......####.", "elsewhere"),
            shape("############", "no edges"),
        ]
    )
    assert index.candidates(shape("..######....", "v-1"), None) == ("same", "longer", "later")
    assert index.candidates(shape("..######....", "v-1"), "same") == ("longer", "later")
    assert index.candidates(shape("....#.......", "v-1"), None) == ()


def test_the_right_meter_is_among_the_candidates_of_a_crowd() -> None:
    """All start together; those that stop together too are preferred, and the length decides between the others."""
    crowd = [shape("." + "#" * 30 + "." * 9, f"m-{n}") for n in range(2 * SHORTLIST)]
    index = MeterIndex([*crowd, shape("." + "#" * 12 + "." * 27, "right")])
    assert index.candidates(shape("." + "#" * 12 + "." * 27, "v-1"), None)[0] == "right"
