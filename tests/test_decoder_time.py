"""The rules for timestamps, and the clock window."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from decoder_harness import METER_TOPIC, NOW, VEHICLE_TOPIC, decode, refusal, with_raw
from gateway_harness import meter, vehicle
from joulegate_core.reasons import Reason
from joulegate_core.telemetry import MeterReading, VehicleReading

MILLISECOND = timedelta(milliseconds=1)
EPOCH_MS = round(NOW.timestamp() * 1000)

TOO_OLD = (Reason.TOO_OLD, "timestamp is more than 7 days old")
TOO_FAR_AHEAD = (Reason.TOO_FAR_AHEAD, "timestamp is more than 300 s ahead of the gateway's clock")
OUTSIDE_THE_CALENDAR = (Reason.BAD_TIMESTAMP, "timestamp is outside the years 1 to 9999")


def accepted(timestamp: datetime | str | int) -> MeterReading | VehicleReading:
    """The reading of a meter's message that must be accepted."""
    content = decode(METER_TOPIC, meter(ts=timestamp))
    assert isinstance(content, MeterReading), content
    return content


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-06-15T12:00:00Z",
        "2026-06-15T12:00:00+00:00",
        "2026-06-15T12:00:00-00:00",
        "2026-06-15T12:00:00.000000000Z",
        "2026-06-15t12:00:00z",
        "2026-06-15T14:00:00+02:00",
        "2026-06-15T06:30:00-05:30",
        "2026-06-16T11:59:00+23:59",
        "2026-06-14T12:01:00-23:59",
        "2026-06-16T02:00:00+14:00",
        "2026-06-15T00:00:00-12:00",
        "2026-06-15 12:00:00Z",
        "2026-06-15T14:00:00+0200",
        "2026-06-15T11:59:59.9999995Z",
        "2026-06-15T12:00:00.0000004999999Z",
        EPOCH_MS,
    ],
)
def test_ways_to_write_the_same_moment(timestamp: str | int) -> None:
    ts = accepted(timestamp).ts
    assert (ts, ts.utcoffset()) == (NOW, timedelta())


def test_fractions_of_a_second_are_kept() -> None:
    assert accepted("2026-06-15T11:59:59.123456Z").ts == NOW - timedelta(microseconds=876_544)
    assert accepted(EPOCH_MS - 1).ts == NOW - MILLISECOND


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-06-15T12:00:00",
        "2026-06-15T12:00Z",
        "2026-06-15",
        "12:00:00Z",
        "2016-12-31T23:59:60Z",
        "2026-02-29T12:00:00Z",
        "2026-06-15T24:00:00Z",
        "2026-06-15T12:00:00+24:00",
        "2026-06-15T12:00:00+12:60",
        "2026-06-15T12:00:00+02",
        "2026-06-15T11:59:60Z",
        "2026-06-15T12:00:00,5Z",
        "2026-06-15T12:00:00.Z",
        "2026-W25-1T12:00:00Z",
        "2026-166T12:00:00Z",
        "20260615T120000Z",
        "2026-06-15_12:00:00Z",
        " 2026-06-15T12:00:00Z",
        "2026-06-15T12:00:00Z\0",
        "2026-06-15T12:00:0\u0660Z",
        "2026-06-15T12:00:00\N{MINUS SIGN}02:00",
        "10000-01-01T00:00:00Z",
        "9999-12-31T23:59:59.9999995Z",
        "0000-01-01T00:00:00Z",
        "Mon, 15 Jun 2026 12:00:00 GMT",
        str(EPOCH_MS),
        "",
        "now",
    ],
)
def test_texts_that_are_no_time(timestamp: str) -> None:
    for topic, payload in ((METER_TOPIC, meter(ts=timestamp)), (VEHICLE_TOPIC, vehicle(ts=timestamp))):
        reason, detail = refusal(topic, payload)
        assert (reason, detail.startswith("timestamp: ")) == (Reason.BAD_TIMESTAMP, True)


def test_a_naive_time_is_told_what_is_missing() -> None:
    assert "timezone" in refusal(METER_TOPIC, meter(ts="2026-06-15T12:00:00"))[1]


@pytest.mark.parametrize("value", [True, False, None, 1.5, float(EPOCH_MS), [EPOCH_MS], {}])
def test_values_of_another_type(value: Any) -> None:
    reason, detail = refusal(METER_TOPIC, meter(timestamp=value))
    assert (reason, detail.startswith("timestamp: Expected ")) == (Reason.BAD_TIMESTAMP, True)


def test_the_hour_that_a_change_of_clocks_repeats_is_two_hours() -> None:
    now = datetime(2026, 10, 25, 2, 0, tzinfo=UTC)
    first, second = (
        decode(METER_TOPIC, meter(ts=f"2026-10-25T02:30:00{offset}"), now=now) for offset in ("+02:00", "+01:00")
    )
    assert isinstance(first, MeterReading)
    assert isinstance(second, MeterReading)
    assert second.ts - first.ts == timedelta(hours=1)


@pytest.mark.parametrize(
    "value", [b"1781524800000.0", b"1781524800000e0", b"1.78e12", b"1e400", b"9" * 5000, b"-" + b"9" * 5000]
)
def test_numbers_that_are_no_milliseconds(value: bytes) -> None:
    reason, detail = refusal(METER_TOPIC, with_raw("timestamp", value))
    assert (reason, detail.startswith("timestamp: ")) == (Reason.BAD_TIMESTAMP, True)


@pytest.mark.parametrize(
    "timestamp",
    [
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        EPOCH_MS * 1000,  # microseconds
        EPOCH_MS * 10**6,  # nanoseconds
        253_402_300_800_000,
        -62_135_596_800_001,
        2**63 - 1,
        -(2**63),
        2**64,
        10**400,
        -(10**400),
    ],
)
def test_moments_outside_the_calendar(timestamp: str | int) -> None:
    assert refusal(METER_TOPIC, meter(ts=timestamp)) == OUTSIDE_THE_CALENDAR


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("0001-01-01T00:00:00Z", TOO_OLD),
        ("0001-01-01T00:00:00-00:01", TOO_OLD),
        (-62_135_596_800_000, TOO_OLD),
        (-1, TOO_OLD),
        (0, TOO_OLD),
        (10**12, TOO_OLD),  # 2001; as seconds it would be far outside the calendar
        ("9999-12-31T23:59:59.999999Z", TOO_FAR_AHEAD),
        ("9999-12-31T23:59:59+00:01", TOO_FAR_AHEAD),
        (253_402_300_799_999, TOO_FAR_AHEAD),
    ],
)
def test_the_calendar_s_ends_are_outside_the_window(timestamp: str | int, expected: tuple[str, str]) -> None:
    assert refusal(METER_TOPIC, meter(ts=timestamp)) == expected


def test_the_clock_window_at_and_beyond_its_edges() -> None:
    oldest, newest = NOW - timedelta(days=7), NOW + timedelta(seconds=300)
    assert accepted(oldest).ts == oldest
    assert accepted(newest).ts == newest
    for before, after in ((oldest - MILLISECOND, newest + MILLISECOND),):
        assert refusal(METER_TOPIC, meter(ts=before)) == TOO_OLD
        assert refusal(METER_TOPIC, meter(ts=after)) == TOO_FAR_AHEAD
        assert refusal(METER_TOPIC, meter(ts=round(before.timestamp() * 1000))) == TOO_OLD
        assert refusal(VEHICLE_TOPIC, vehicle(ts=after)) == TOO_FAR_AHEAD


@pytest.mark.parametrize("age_seconds", [0, 86_400, 7 * 86_400 - 1])
def test_seconds_instead_of_milliseconds_get_a_hint(age_seconds: int) -> None:
    reason, detail = refusal(METER_TOPIC, meter(ts=EPOCH_MS // 1000 - age_seconds))
    assert (reason, detail) == (TOO_OLD[0], f"{TOO_OLD[1]}; it looks like seconds, milliseconds are expected")


def test_what_would_be_too_old_in_seconds_too_gets_no_hint() -> None:
    assert refusal(METER_TOPIC, meter(ts=EPOCH_MS // 1000 - 8 * 86_400)) == TOO_OLD


def test_a_reading_is_late_after_five_intervals() -> None:
    assert not accepted(NOW - timedelta(seconds=300)).late
    assert accepted(NOW - timedelta(seconds=300) - MILLISECOND).late
    assert not accepted(NOW + timedelta(seconds=300)).late
