"""Says why a payload was refused: a reason code, and a detail that names the field and the limit. Off the hot path.

Details never repeat the payload; msgspec's own messages name types, limits and positions only.
"""

import msgspec

from joulegate_core.reasons import Reason
from joulegate_core.telemetry import MeterMessage, Rejection, Stream, VehicleMessage

ID_RULE = "1 to 64 characters of A-Z a-z 0-9 . _ : -"

_MESSAGES: dict[Stream, type[msgspec.Struct]] = {Stream.METER: MeterMessage, Stream.VEHICLE: VehicleMessage}
_OTHER = {Stream.METER: Stream.VEHICLE, Stream.VEHICLE: Stream.METER}

_ABSENT = msgspec.Raw()
_FIELD_NAMES = {name for message in _MESSAGES.values() for name in message.__struct_fields__}
_Undecoded = msgspec.defstruct("_Undecoded", [(name, msgspec.Raw, _ABSENT) for name in _FIELD_NAMES], rename="camel")
"""The fields of both streams, undecoded, so that what is wrong with one can be said under its name; skips all others."""


def diagnose(payload: bytes, stream: Stream) -> Rejection:
    """The rejection for a payload that the decoder of `stream` refused."""
    if not payload:
        return Rejection(Reason.EMPTY, "the payload is empty")
    try:
        msgspec.json.decode(payload, type=msgspec.Raw)  # is it JSON at all?
        content = msgspec.json.decode(payload, type=_Undecoded)
    except msgspec.ValidationError:
        return Rejection(Reason.WRONG_TYPE, "the payload must be a JSON object")
    except msgspec.DecodeError as error:
        return Rejection(Reason.BAD_JSON, str(error))
    return _diagnose_fields(content, stream)


def _diagnose_fields(content: msgspec.Struct, stream: Stream) -> Rejection:
    other = _OTHER[stream]
    if getattr(content, f"{stream}_id") is _ABSENT and getattr(content, f"{other}_id") is not _ABSENT:
        return Rejection(
            Reason.STREAM_MISMATCH, f"{other}Id on a {stream} topic: publish it to fleet/<chargePoint>/{other}"
        )
    for field in msgspec.structs.fields(_MESSAGES[stream]):
        value = getattr(content, field.name)
        if value is _ABSENT:
            return Rejection(Reason.MISSING_FIELD, f"{field.encode_name} is missing")
        try:
            msgspec.json.decode(value, type=field.type)
        except msgspec.DecodeError as error:
            return Rejection(_reason_of(field, bytes(value)), f"{field.encode_name}: {error}")
    return Rejection(Reason.BAD_JSON, "the payload could not be decoded: a field is given twice")


def _reason_of(field: msgspec.structs.FieldInfo, value: bytes) -> Reason:
    if field.encode_name == "timestamp":
        return Reason.BAD_TIMESTAMP
    is_number = value[:1] in b"-0123456789"
    return Reason.OUT_OF_RANGE if is_number and field.type is not str else Reason.WRONG_TYPE
