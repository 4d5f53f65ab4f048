"""The telemetry contract: what a device may publish, and the reading that travels through the gateway.

Limits are those of docs/messages.md. `Meta` bounds are checked by msgspec while it decodes, in one pass.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

MAX_PAYLOAD_BYTES = 8 * 1024
MAX_PACKET_BYTES = 64 * 1024
"""Maximum Packet Size told to the broker: eight times a payload, so that an oversize one still reaches quarantine."""

READING_INTERVAL_SECONDS = 60
"""Every device publishes one reading a minute."""

STALE_AFTER_INTERVALS = 5
"""A device whose newest reading is older than this many intervals is not charging, and silent."""

ID_PATTERN = r"^[A-Za-z0-9._:\-]{1,64}\Z"
"""Rule for device ids and charge points."""

MAX_KWH = 1e9
MAX_VOLTAGE = 2000
MIN_TEMPERATURE = -60
MAX_TEMPERATURE = 150

is_valid_id = re.compile(ID_PATTERN).match


class Stream(StrEnum):
    """The two kinds of telemetry; also the last level of the topic and the `kind` of a device."""

    METER = "meter"
    VEHICLE = "vehicle"


TOPIC_FILTERS = {stream: f"fleet/+/{stream}" for stream in Stream}

Kwh = Annotated[float, Meta(ge=0, le=MAX_KWH)]
Voltage = Annotated[float, Meta(ge=0, le=MAX_VOLTAGE)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Celsius = Annotated[float, Meta(ge=MIN_TEMPERATURE, le=MAX_TEMPERATURE)]
Timestamp = Annotated[datetime, Meta(tz=True)] | int
"""RFC 3339 with an offset, or integer milliseconds since 1970-01-01T00:00:00Z."""


class MeterMessage(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """Payload of `fleet/{chargePoint}/meter`: AC energy drawn from the grid."""

    meter_id: str
    kwh_consumed_ac: Kwh
    voltage: Voltage
    timestamp: Timestamp


class VehicleMessage(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """Payload of `fleet/{chargePoint}/vehicle`: DC energy that reached the battery."""

    vehicle_id: str
    soc: Percent
    kwh_delivered_dc: Kwh
    battery_temp: Celsius
    timestamp: Timestamp


class MeterReading(msgspec.Struct, frozen=True, gc=False):
    """An accepted meter reading. `kwh` as published (an interval's energy or a register), `voltage` in V, `ts` in UTC."""

    device: str
    charge_point: str
    ts: datetime
    kwh: float
    voltage: float
    late: bool


class VehicleReading(msgspec.Struct, frozen=True, gc=False):
    """An accepted vehicle reading. `kwh` as published, `soc` in %, `battery_temp` in degrees Celsius, `ts` in UTC."""

    device: str
    charge_point: str
    ts: datetime
    kwh: float
    soc: float
    battery_temp: float
    late: bool


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """Why a message cannot be accepted: a `reason` code (`joulegate_core.reasons`) and a detail that names field and limit."""

    reason: str
    detail: str


class Message(msgspec.Struct, frozen=True, gc=False):
    """A publication as it was taken from the broker, with what it was decoded to."""

    stream: Stream
    topic: str
    payload: bytes
    content: MeterReading | VehicleReading | Rejection
