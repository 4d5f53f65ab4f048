"""Decodes one message at a fixed time, and makes payloads that Python's own JSON would not write."""

import json
from datetime import UTC, datetime

from gateway_harness import Json, meter, vehicle
from joulegate_core.telemetry import MeterReading, Rejection, VehicleReading
from joulegate_gateway.decoder import Decoder

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
METER_TOPIC = "fleet/cp-1/meter"
VEHICLE_TOPIC = "fleet/cp-1/vehicle"
ID_LIMIT = "1 to 64 characters of A-Z a-z 0-9 . _ : -"

Content = MeterReading | VehicleReading | Rejection


def decode(topic: str, payload: bytes | Json, *, now: datetime = NOW) -> Content:
    """Decodes with the default clock window."""
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    message = Decoder(max_age_days=7, max_ahead_seconds=300).decode(topic, raw, now)
    assert (message.topic, message.payload) == (topic.replace("\0", "\ufffd"), raw)
    return message.content


def refusal(topic: str, payload: bytes | Json) -> tuple[str, str]:
    """Reason and detail of a message that must be refused."""
    content = decode(topic, payload)
    assert isinstance(content, Rejection), content
    return content.reason, content.detail


def with_raw(field: str, value: bytes) -> bytes:
    """A valid payload with `field` (a vehicle's when a meter has none of that name) set to JSON that Python does not write."""
    base = meter(ts=NOW) if field in meter(ts=NOW) else vehicle(ts=NOW)
    return json.dumps(base | {field: "PLACE"}).encode().replace(b'"PLACE"', value)


def topic_of(field: str) -> str:
    """The topic on which `with_raw` of the same field belongs."""
    return METER_TOPIC if field in meter(ts=NOW) else VEHICLE_TOPIC


def with_ignored(value: bytes) -> bytes:
    """A valid meter payload with a field more that holds `value`."""
    return json.dumps(meter(ts=NOW) | {"ignored": "PLACE"}).encode().replace(b'"PLACE"', value)
