"""Decodes a publication into a reading or a rejection. The common case is one pass of msgspec; what fails is diagnosed apart."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from joulegate_core.reasons import Reason
from joulegate_core.telemetry import (
    MAX_PAYLOAD_BYTES,
    READING_INTERVAL_SECONDS,
    STALE_AFTER_INTERVALS,
    Message,
    MeterMessage,
    MeterReading,
    Rejection,
    Stream,
    VehicleMessage,
    VehicleReading,
    is_valid_id,
)
from joulegate_gateway.diagnosis import ID_RULE, diagnose
from joulegate_gateway.nesting import MAX_NESTING, is_nested_too_deeply

METER, VEHICLE = Stream.METER, Stream.VEHICLE  # an enum's attributes are slow to get, twice for every message
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATE_AFTER = timedelta(seconds=READING_INTERVAL_SECONDS * STALE_AFTER_INTERVALS)
MAX_PLAUSIBLE_SECONDS = 10**10  # the year 2286

MAX_REMEMBERED = 500_000
"""Topics and ids found valid, about 150 bytes each; beyond it they are checked again, once."""


class Decoder:
    """Knows the clock window; remembers which topics and ids were found valid.

    Args:
        max_age_days: readings older than this are refused as `too_old`.
        max_ahead_seconds: readings further ahead of the gateway's clock are refused as `too_far_ahead`.
    """

    def __init__(self, *, max_age_days: int, max_ahead_seconds: int) -> None:
        self._max_age = timedelta(days=max_age_days)
        self._max_ahead = timedelta(seconds=max_ahead_seconds)
        self._meter = msgspec.json.Decoder(MeterMessage).decode
        self._vehicle = msgspec.json.Decoder(VehicleMessage).decode
        self._charge_points: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._bound_meters: Mapping[str, str] = {}
        self._bound_vehicles: Mapping[str, str] = {}
        self._look_at_clock(EPOCH)

    def bind(self, places: Mapping[Stream, Mapping[str, str]]) -> None:
        """From now on these devices are accepted at their charge points only: `places[stream][device]`. All others anywhere."""
        self._bound_meters, self._bound_vehicles = places[METER], places[VEHICLE]

    def decode(self, topic: str, payload: bytes, now: datetime) -> Message:
        """Decodes and validates one publication; never raises for what a device sends.

        Args:
            topic: `fleet/{chargePoint}/meter` or `fleet/{chargePoint}/vehicle`.
            payload: what was published.
            now: when it arrived, UTC; pass the same object for messages that arrive together.
        """
        if now is not self._now:
            self._look_at_clock(now)
        stream = METER if topic.endswith("/meter") else VEHICLE
        content: MeterReading | VehicleReading | Rejection
        try:
            charge_point = self._charge_points.get(topic) or self._charge_point(topic)
            if len(payload) > MAX_NESTING or not payload.isascii():  # what is shorter is not too deep either
                _check_bytes(payload)
            content = (
                self._decode_meter(charge_point, payload)
                if stream is METER
                else self._decode_vehicle(charge_point, payload)
            )
        except _RejectedError as rejected:
            content = rejected.rejection
            # no broker may let a NUL pass (MQTT 5, 1.5.4), some do, and no text column holds it
            topic = topic.replace("\0", "\ufffd")
        except msgspec.DecodeError:
            content = diagnose(payload, stream)
        return Message(stream, topic, payload, content)

    def _decode_meter(self, charge_point: str, payload: bytes) -> MeterReading:
        message = self._meter(payload)
        ts = self._time(message.timestamp)
        device = self._ids.get(message.meter_id) or self._id("meterId", message.meter_id)
        if self._bound_meters and self._bound_meters.get(device, charge_point) != charge_point:
            raise _wrong_place("meterId", self._bound_meters[device])
        return MeterReading(device, charge_point, ts, message.kwh_consumed_ac, message.voltage, ts < self._late_before)

    def _decode_vehicle(self, charge_point: str, payload: bytes) -> VehicleReading:
        message = self._vehicle(payload)
        ts = self._time(message.timestamp)
        device = self._ids.get(message.vehicle_id) or self._id("vehicleId", message.vehicle_id)
        if self._bound_vehicles and self._bound_vehicles.get(device, charge_point) != charge_point:
            raise _wrong_place("vehicleId", self._bound_vehicles[device])
        return VehicleReading(
            device,
            charge_point,
            ts,
            message.kwh_delivered_dc,
            message.soc,
            message.battery_temp,
            ts < self._late_before,
        )

    def _charge_point(self, topic: str) -> str:
        match topic.split("/", 2):
            case ["fleet", charge_point, Stream.METER | Stream.VEHICLE] if is_valid_id(charge_point):
                return _remember(self._charge_points, topic, charge_point)
        raise _RejectedError(Reason.BAD_TOPIC, f"the topic's charge point must be {ID_RULE}")

    def _id(self, field: str, value: str) -> str:
        if not is_valid_id(value):
            raise _RejectedError(Reason.BAD_ID, f"{field} must be {ID_RULE}")
        return _remember(self._ids, value, value)

    def _look_at_clock(self, now: datetime) -> None:
        """Works the clock window out once for all messages that arrive together."""
        self._now = now
        self._oldest = now - self._max_age
        self._newest = now + self._max_ahead
        self._late_before = now - LATE_AFTER

    def _time(self, value: datetime | int) -> datetime:
        """The reading's time in UTC, inside the clock window."""
        ts = value if isinstance(value, datetime) and value.tzinfo is UTC else _to_utc(value)
        if ts < self._oldest:
            raise _RejectedError(
                Reason.TOO_OLD, f"timestamp is more than {self._max_age.days} days old{self._hint(value)}"
            )
        if ts > self._newest:
            limit = int(self._max_ahead.total_seconds())
            raise _RejectedError(Reason.TOO_FAR_AHEAD, f"timestamp is more than {limit} s ahead of the gateway's clock")
        return ts

    def _hint(self, value: datetime | int) -> str:
        """A word to the one who sends seconds instead of milliseconds."""
        if isinstance(value, int) and 0 < value < MAX_PLAUSIBLE_SECONDS and _to_utc(value * 1000) >= self._oldest:
            return "; it looks like seconds, milliseconds are expected"
        return ""


class _RejectedError(Exception):
    """Carries a rejection out of the fast path."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason)
        self.rejection = Rejection(reason, detail)


def _wrong_place(field: str, bound: str) -> _RejectedError:
    return _RejectedError(Reason.WRONG_PLACE, f"{field} is bound to charge point {bound}")


def _to_utc(value: datetime | int) -> datetime:
    try:
        return value.astimezone(UTC) if isinstance(value, datetime) else EPOCH + timedelta(milliseconds=value)
    except OverflowError:
        raise _RejectedError(Reason.BAD_TIMESTAMP, "timestamp is outside the years 1 to 9999") from None


def _check_bytes(payload: bytes) -> None:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise _RejectedError(
            Reason.OVERSIZE, f"the payload has {len(payload)} bytes, at most {MAX_PAYLOAD_BYTES} are accepted"
        )
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        # msgspec does not look into fields that it skips
        raise _RejectedError(Reason.NOT_UTF8, f"the payload is not UTF-8 at byte {error.start}") from None
    if is_nested_too_deeply(payload):
        raise _RejectedError(Reason.BAD_JSON, f"the payload is nested more than {MAX_NESTING} deep")


def _remember(known: dict[str, str], key: str, value: str) -> str:
    if len(known) >= MAX_REMEMBERED:
        known.clear()
    known[key] = value
    return value
