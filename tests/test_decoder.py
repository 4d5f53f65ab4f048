"""The rules for fields, ids and topics: each limit at and just beyond it, with the reason and a detail that names field and limit."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from decoder_harness import (
    ID_LIMIT,
    METER_TOPIC,
    NOW,
    VEHICLE_TOPIC,
    decode,
    refusal,
    topic_of,
    with_ignored,
    with_raw,
)
from gateway_harness import meter, vehicle
from joulegate_core.reasons import Reason
from joulegate_core.telemetry import MeterReading, Rejection, Stream, VehicleReading


def test_a_meter_reading() -> None:
    payload = {"meterId": "m-1", "kwhConsumedAc": 1.25, "voltage": 230.1, "timestamp": "2026-06-15T13:59:00+02:00"}
    ts = datetime(2026, 6, 15, 11, 59, tzinfo=UTC)
    assert decode(METER_TOPIC, payload) == MeterReading("m-1", "cp-1", ts, 1.25, 230.1, late=False)


def test_a_vehicle_reading() -> None:
    payload = vehicle("v-1", "2026-06-15T12:00:00Z", soc=1, kwhDeliveredDc=2, batteryTemp=-3.5)
    assert decode(VEHICLE_TOPIC, payload) == VehicleReading("v-1", "cp-1", NOW, 2.0, 1.0, -3.5, late=False)


@pytest.mark.parametrize(
    ("field", "lowest", "below", "highest", "above"),
    [
        ("kwhConsumedAc", 0, -1e-9, 1e9, 1e9 + 0.001),
        ("kwhDeliveredDc", 0, -1e-9, 1e9, 1e9 + 0.001),
        ("voltage", 0, -0.01, 2000, 2000.01),
        ("soc", 0, -0.01, 100, 100.01),
        ("batteryTemp", -60, -60.01, 150, 150.01),
    ],
)
def test_numbers_at_and_beyond_their_limits(
    field: str, lowest: float, below: float, highest: float, above: float
) -> None:
    for accepted in (lowest, float(lowest), highest, float(highest)):
        assert not isinstance(decode(topic_of(field), with_raw(field, json.dumps(accepted).encode())), Rejection)
    for refused, sign, limit in ((below, ">=", lowest), (above, "<=", highest)):
        reason, detail = refusal(topic_of(field), with_raw(field, json.dumps(refused).encode()))
        assert reason == Reason.OUT_OF_RANGE
        assert detail.startswith(f"{field}: ")
        assert f"{sign} {float(limit)}" in detail


@pytest.mark.parametrize("field", ["kwhConsumedAc", "kwhDeliveredDc", "voltage", "soc", "batteryTemp"])
@pytest.mark.parametrize(
    "value", [b"1e400", b"-1e400", b"9" * 400, b"9" * 5000], ids=["1e400", "-1e400", "400", "5000"]
)
def test_numbers_that_no_float_holds(field: str, value: bytes) -> None:
    reason, detail = refusal(topic_of(field), with_raw(field, value))
    assert reason == Reason.OUT_OF_RANGE
    assert detail.startswith(f"{field}: ")


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-Infinity", b"nan", b"0x10", b"1.", b"01", b"+1"])
def test_numbers_that_are_not_json(value: bytes) -> None:
    assert refusal(METER_TOPIC, with_raw("voltage", value))[0] == Reason.BAD_JSON
    assert refusal(METER_TOPIC, with_ignored(value))[0] == Reason.BAD_JSON


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("voltage", None),
        ("voltage", "230"),
        ("voltage", True),
        ("voltage", [230]),
        ("soc", {}),
        ("meterId", 5),
        ("meterId", -0.5),
        ("meterId", None),
        ("vehicleId", ["v-1"]),
        ("vehicleId", False),
    ],
)
def test_fields_of_the_wrong_type(field: str, value: Any) -> None:
    reason, detail = refusal(topic_of(field), with_raw(field, json.dumps(value).encode()))
    assert reason == Reason.WRONG_TYPE
    assert detail.startswith(f"{field}: Expected ")


@pytest.mark.parametrize("field", [*meter(ts=NOW), *vehicle(ts=NOW)])
def test_every_field_is_required(field: str) -> None:
    topic, payload = (METER_TOPIC, meter(ts=NOW)) if field in meter(ts=NOW) else (VEHICLE_TOPIC, vehicle(ts=NOW))
    del payload[field]
    assert refusal(topic, payload) == (Reason.MISSING_FIELD, f"{field} is missing")


@pytest.mark.parametrize("device", ["a", "a" * 64, "AZaz09._:-", "-", "..", "0"])
def test_ids_that_are_accepted(device: str) -> None:
    for topic, payload in ((METER_TOPIC, meter(device, NOW)), (VEHICLE_TOPIC, vehicle(device, NOW))):
        content = decode(topic, payload)
        assert not isinstance(content, Rejection)
        assert content.device == device
    content = decode(f"fleet/{device}/meter", meter(ts=NOW))
    assert not isinstance(content, Rejection)
    assert content.charge_point == device


BAD_IDS = [
    "",
    "a" * 65,
    "a b",
    "a\n",
    "\n",
    "a\0b",
    "\0",
    "é",
    "\u0661",
    "a,b",
    "a#",
    "a+",
    "a%20",
    "\U0001f50c",
    "a\u200b",
]


@pytest.mark.parametrize("device", [*BAD_IDS, "a/b"])
def test_ids_that_are_refused(device: str) -> None:
    assert refusal(METER_TOPIC, meter(device, NOW)) == (Reason.BAD_ID, f"meterId must be {ID_LIMIT}")
    assert refusal(VEHICLE_TOPIC, vehicle(device, NOW)) == (Reason.BAD_ID, f"vehicleId must be {ID_LIMIT}")


@pytest.mark.parametrize("charge_point", BAD_IDS)
def test_a_charge_point_obeys_the_rule_of_ids(charge_point: str) -> None:
    expected = (Reason.BAD_TOPIC, f"the topic's charge point must be {ID_LIMIT}")
    assert refusal(f"fleet/{charge_point}/meter", meter(ts=NOW)) == expected
    assert refusal(f"fleet/{charge_point}/vehicle", vehicle(ts=NOW)) == expected


TOPICS_OF_ANOTHER_FORM = [
    "",
    "meter",
    "fleet/meter",
    "fleet/a/b/meter",
    "other/a/meter",
    "/fleet/a/meter",
    "fleet/a/meter/",
    "fleet/a/other",
    "fleet/a/Meter",
    "fleet/a",
    "fleet/" + "/" * 60_000 + "/meter",
]


@pytest.mark.parametrize("topic", TOPICS_OF_ANOTHER_FORM)
def test_topics_of_another_form(topic: str) -> None:
    assert refusal(topic, meter(ts=NOW))[0] == Reason.BAD_TOPIC


def test_a_payload_on_the_other_stream_s_topic() -> None:
    for topic, payload, own, other in (
        (METER_TOPIC, vehicle(ts=NOW), "vehicleId", Stream.VEHICLE),
        (VEHICLE_TOPIC, meter(ts=NOW), "meterId", Stream.METER),
    ):
        reason, detail = refusal(topic, payload)
        assert reason == Reason.STREAM_MISMATCH
        assert detail.startswith(f"{own} on a ")
        assert detail.endswith(f"publish it to fleet/<chargePoint>/{other}")
