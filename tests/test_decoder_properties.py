"""Whatever arrives, the decoder returns: a reading within all limits, or a rejection that repeats nothing of the payload."""

import json
import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from decoder_harness import METER_TOPIC, NOW, VEHICLE_TOPIC
from gateway_harness import Json, meter, vehicle
from joulegate_core.reasons import Reason
from joulegate_core.telemetry import MAX_PAYLOAD_BYTES, Message, MeterReading, Rejection, Stream, VehicleReading
from joulegate_gateway import decoder as decoder_module
from joulegate_gateway.decoder import Decoder

DECODER = Decoder(max_age_days=7, max_ahead_seconds=300)
"""One for all examples: what it remembers of one message must not change the answer to another."""

DECODER_REASONS = set(Reason) - {Reason.CONFLICT, Reason.DATABASE_REFUSED, Reason.WRONG_PLACE}
ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
MARK = "s3cr3t"
MARKED_NUMBER = 73187318

topics = st.one_of(
    st.just(METER_TOPIC),
    st.just(VEHICLE_TOPIC),
    st.text(max_size=70).map(lambda level: f"fleet/{level}/meter"),
    st.text(max_size=70).map(lambda level: f"fleet/{level}/vehicle"),
    st.text(max_size=100),
)
moments = st.one_of(
    st.datetimes(NOW.replace(tzinfo=None) - timedelta(days=8), NOW.replace(tzinfo=None) + timedelta(days=1)).map(
        lambda moment: moment.replace(tzinfo=UTC).isoformat()
    ),
    st.datetimes(timezones=st.timezones(no_cache=False)).map(datetime.isoformat),
    st.datetimes().map(datetime.isoformat),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.integers(1_780_000_000, 1_782_000_000),
    st.integers(1_780_000_000_000, 1_782_000_000_000),
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80) | moments
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
)
plausible = st.fixed_dictionaries(
    {
        "meterId": st.from_regex(ID, fullmatch=True) | values,
        "vehicleId": st.from_regex(ID, fullmatch=True) | values,
        "kwhConsumedAc": st.floats(-1, 2e9) | values,
        "kwhDeliveredDc": st.floats(-1, 2e9) | values,
        "voltage": st.floats(-1, 2100) | values,
        "soc": st.floats(-1, 101) | values,
        "batteryTemp": st.floats(-61, 151) | values,
        "timestamp": moments | values,
    }
)


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """Anything from random bytes to a message that has a wrong field, lacks some, or is damaged at one place."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=9000))
    content = draw(plausible)
    for name in draw(st.sets(st.sampled_from(list(content)), max_size=2)):
        del content[name]
    raw = json.dumps(content, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 3)):
        return raw
    at = draw(st.integers(0, len(raw)))
    return raw[:at] + draw(st.binary(max_size=4)) + raw[at + draw(st.integers(0, 4)) :]


def is_within_limits(message: Message) -> bool:
    """True for a reading that obeys every rule, in the clock window and in UTC."""
    reading = message.content
    assert isinstance(reading, MeterReading | VehicleReading)
    common = (
        ID.fullmatch(reading.device) is not None
        and reading.charge_point == message.topic.split("/")[1]
        and ID.fullmatch(reading.charge_point) is not None
        and 0 <= reading.kwh <= 1e9
        and NOW - timedelta(days=7) <= reading.ts <= NOW + timedelta(seconds=300)
        and reading.ts.tzinfo is UTC
        and reading.late == (NOW - reading.ts > timedelta(seconds=300))
        and len(message.payload) <= MAX_PAYLOAD_BYTES
    )
    if isinstance(reading, MeterReading):
        return common and 0 <= reading.voltage <= 2000
    return common and 0 <= reading.soc <= 100 and -60 <= reading.battery_temp <= 150


@given(topic=topics, payload=payloads())
@example(METER_TOPIC, json.dumps(meter(ts=10**12)).encode())
@example(METER_TOPIC, json.dumps(meter(ts=-62_135_596_800_000)).encode())
@example(VEHICLE_TOPIC, b"[" * 8192)
def test_a_reading_within_all_limits_or_a_rejection_with_a_known_reason(topic: str, payload: bytes) -> None:
    message = DECODER.decode(topic, payload, NOW)
    assert (message.topic, message.payload) == (topic.replace("\0", "\ufffd"), payload)
    assert message.stream == (Stream.METER if topic.endswith("/meter") else Stream.VEHICLE)
    if isinstance(message.content, Rejection):
        assert message.content.reason in DECODER_REASONS
        assert 0 < len(message.content.detail) < 200
        assert message.content.detail.isascii()
    else:
        assert is_within_limits(message)


@given(
    kwh=st.floats(0, 1e9),
    voltage=st.floats(0, 2000) | st.integers(0, 2000),
    age=st.integers(-300_000, 7 * 86_400_000),
    device=st.from_regex(ID, fullmatch=True),
)
def test_what_is_within_all_limits_is_accepted(kwh: float, voltage: float, age: int, device: str) -> None:
    ts = NOW - timedelta(milliseconds=age)
    for timestamp in (ts.isoformat(), round(ts.timestamp() * 1000)):
        payload = json.dumps(meter(device, timestamp, kwhConsumedAc=kwh, voltage=voltage)).encode()
        reading = DECODER.decode(f"fleet/{device}/meter", payload, NOW).content
        assert reading == MeterReading(device, device, ts, kwh, float(voltage), age > 300_000)


marked_texts = st.text(max_size=5).map(lambda text: f"{text}{MARK}")
marked_values: st.SearchStrategy[Any] = st.one_of(
    marked_texts,
    st.lists(marked_texts, min_size=1, max_size=3),
    st.dictionaries(marked_texts, marked_texts, min_size=1, max_size=3),
    st.sampled_from(
        [MARKED_NUMBER, -MARKED_NUMBER, MARKED_NUMBER * 10**6, MARKED_NUMBER / 8, float(MARKED_NUMBER) * 1e9]
    ),
)


@given(
    field=st.sampled_from([*meter(), *vehicle(), "other"]),
    value=marked_values,
    key=marked_texts,
    cut=st.integers(0, 60),
    is_cut=st.booleans(),
)
def test_a_rejection_repeats_nothing_of_the_payload(
    field: str, value: Any, key: str, cut: int, *, is_cut: bool
) -> None:
    base: Json = vehicle(ts=NOW) if field in vehicle(ts=NOW) else meter(ts=NOW)
    topic = VEHICLE_TOPIC if "vehicleId" in base else METER_TOPIC
    raw = json.dumps({key: key} | base | {field: value}).encode()
    message = DECODER.decode(f"{topic}" if not is_cut else topic, raw[: len(raw) - cut] if is_cut else raw, NOW)
    if isinstance(message.content, Rejection):
        assert MARK not in message.content.detail
        assert str(MARKED_NUMBER) not in message.content.detail.replace("_", "")


def test_the_memory_of_valid_ids_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_module, "MAX_REMEMBERED", 100)
    decoder = Decoder(max_age_days=7, max_ahead_seconds=300)
    for n in range(1000):
        payload = json.dumps(meter(f"m-{n}", NOW)).encode()
        assert isinstance(decoder.decode(f"fleet/cp-{n}/meter", payload, NOW).content, MeterReading)
        assert len(decoder._ids) <= 100
        assert len(decoder._charge_points) <= 100


def test_infinity_never_passes_a_limit() -> None:
    for value in (math.inf, -math.inf, math.nan):
        payload = json.dumps(meter(ts=NOW, kwhConsumedAc=value)).encode()
        assert isinstance(DECODER.decode(METER_TOPIC, payload, NOW).content, Rejection)
