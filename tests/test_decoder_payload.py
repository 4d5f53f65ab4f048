"""The rules for a payload as a whole: JSON, UTF-8, an object, at most 8 KiB; what a gateway does not know is ignored."""

import json

import pytest

from decoder_harness import METER_TOPIC, NOW, VEHICLE_TOPIC, decode, refusal, with_ignored
from gateway_harness import meter
from joulegate_core.reasons import Reason
from joulegate_core.telemetry import MAX_PAYLOAD_BYTES, Rejection


def test_unknown_fields_are_ignored() -> None:
    extra = {"vehicleId": "v-1", "firmware": {"a": [1, None, "\u00e9\0"]}, "": True, "meterid": 5}
    assert decode(METER_TOPIC, meter(ts=NOW) | extra) == decode(METER_TOPIC, meter(ts=NOW))


def test_of_a_field_given_twice_the_last_counts_and_each_must_be_valid() -> None:
    payload = json.dumps(meter("m-1", NOW)).encode()
    content = decode(METER_TOPIC, payload[:-1] + b', "meterId": "m-2"}')
    assert not isinstance(content, Rejection)
    assert content.device == "m-2"
    reason, detail = refusal(METER_TOPIC, b'{"meterId": 5, ' + payload[1:])
    assert (reason, detail.endswith("a field is given twice")) == (Reason.BAD_JSON, True)


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        (b'"voltage": -1', Reason.BAD_JSON),
        (b'"timestamp": "now"', Reason.BAD_JSON),
        (b'"meter\\u0049d": null', Reason.BAD_JSON),
        (b'"meterId": "a b"', None),
        (b'"timestamp": 0', None),
        (b'"vehicleId": 5', None),
    ],
)
def test_of_a_field_given_twice_the_earlier_must_have_its_type_and_limits(earlier: bytes, expected: str | None) -> None:
    content = decode(METER_TOPIC, b"{" + earlier + b", " + json.dumps(meter(ts=NOW)).encode()[1:])
    assert (content.reason if isinstance(content, Rejection) else None) == expected


@pytest.mark.parametrize("payload", [b"null", b"[]", b"5", b'"x"', b"true", b"9" * 5000, b" [{}] "])
def test_a_payload_must_be_an_object(payload: bytes) -> None:
    assert refusal(METER_TOPIC, payload) == (Reason.WRONG_TYPE, "the payload must be a JSON object")


@pytest.mark.parametrize(
    "payload",
    [b" ", b"{", b"}", b"meterId=5", b"{}x", b"[1,2", b"\0", b"\xef\xbb\xbf{}", b'{"meterId":"\\ud800"}', b"{'a':1}"],
)
def test_a_payload_must_be_json(payload: bytes) -> None:
    assert refusal(METER_TOPIC, payload)[0] == Reason.BAD_JSON


def test_an_empty_payload() -> None:
    assert refusal(METER_TOPIC, b"") == (Reason.EMPTY, "the payload is empty")
    assert refusal(VEHICLE_TOPIC, b"{}") == (Reason.MISSING_FIELD, "vehicleId is missing")


@pytest.mark.parametrize(
    "payload", [b"\xff", b'{"a":"\xff"}', with_ignored(b'"\xc3\x28"'), with_ignored(b'"\xed\xa0\x80"')]
)
def test_bytes_that_are_not_utf8_also_in_an_ignored_field(payload: bytes) -> None:
    reason, detail = refusal(METER_TOPIC, payload)
    assert (reason, detail) == (Reason.NOT_UTF8, f"the payload is not UTF-8 at byte {_first_bad_byte(payload)}")


def _first_bad_byte(payload: bytes) -> int:
    return next(n for n in range(len(payload)) if payload[n] > 0x7F)


def test_the_largest_payload_and_one_byte_more() -> None:
    at_limit = json.dumps(meter(ts=NOW)).encode().ljust(MAX_PAYLOAD_BYTES)
    assert MAX_PAYLOAD_BYTES == 8192
    assert not isinstance(decode(METER_TOPIC, at_limit), Rejection)
    expected = (Reason.OVERSIZE, "the payload has 8193 bytes, at most 8192 are accepted")
    assert refusal(METER_TOPIC, at_limit + b" ") == expected
    assert refusal(METER_TOPIC, b"\xff" * 8193) == expected


TOO_DEEP = (Reason.BAD_JSON, "the payload is nested more than 256 deep")


@pytest.mark.parametrize("opened", [b"[", b'{"a":'], ids=["arrays", "objects"])
def test_nesting_ten_thousand_deep(opened: bytes) -> None:
    assert refusal(METER_TOPIC, with_ignored(opened * 10_000))[0] == Reason.OVERSIZE
    deepest = opened * (8000 // len(opened))  # what a payload can hold
    for payload in (deepest, with_ignored(deepest)):
        assert refusal(METER_TOPIC, payload) == TOO_DEEP


@pytest.mark.parametrize(
    "deepest",  # inside the payload's own object
    [b"[" * 255 + b"]" * 255, b'{"a":' * 255 + b"1" + b"}" * 255, b'[{"a":' * 127 + b"[]" + b"}]" * 127],
    ids=["arrays", "objects", "both"],
)
def test_the_deepest_nesting_and_one_more(deepest: bytes) -> None:
    assert not isinstance(decode(METER_TOPIC, with_ignored(deepest)), Rejection)
    assert refusal(METER_TOPIC, with_ignored(b"[" + deepest + b"]")) == TOO_DEEP


def test_brackets_that_do_not_nest_are_not_counted() -> None:
    for value in (
        b'"' + b"[{" * 3000 + b'"',
        b'"' + b'\\"[' * 2500 + b'"',
        b"[" + b"[]," * 2500 + b"{}]",
        b'["\\\\",' + b"[]," * 300 + b"1]",
    ):
        assert not isinstance(decode(METER_TOPIC, with_ignored(value)), Rejection)


def test_how_deep_a_payload_may_be_nested_does_not_depend_on_the_caller() -> None:
    def from_frames_below(frames: int) -> tuple[bool, tuple[str, str]]:
        if frames:
            return from_frames_below(frames - 1)
        is_reading = not isinstance(decode(METER_TOPIC, with_ignored(b"[" * 255 + b"]" * 255)), Rejection)
        return is_reading, refusal(METER_TOPIC, with_ignored(b"[" * 256 + b"]" * 256))

    assert from_frames_below(0) == from_frames_below(300) == (True, TOO_DEEP)
