"""Says why a payload was refused: a reason code, and a detail that names the field and the limit. Off the hot path.

Details never repeat the payload; msgspec's own messages name types, limits and positions only.
"""

import msgspec

from joulegate_core.reasons import Reason
from joulegate_core.telemetry import MeterMessage, Rejection, Stream, VehicleMessage

ID_RULE = "1 to 64 characters of A-Z a-z 0-9 . _ : -"

_MESSAGES: dict[Stream, type[msgspec.Struct]] = {Stream.METER: MeterMessage, Stream.VEHICLE: VehicleMessage}
_ID_FIELDS = {Stream.METER: "meterId", Stream.VEHICLE: "vehicleId"}
_OTHER = {Stream.METER: Stream.VEHICLE, Stream.VEHICLE: Stream.METER}


def diagnose(payload: bytes, stream: Stream) -> Rejection:
    """The rejection for a payload that the decoder of `stream` refused."""
    if not payload:
        return Rejection(Reason.EMPTY, "the payload is empty")
    try:
        msgspec.json.decode(payload, type=msgspec.Raw)  # is it JSON at all?
        # values stay undecoded, so that what is wrong with one is said under its field's name
        content = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
    except RecursionError:
        return Rejection(Reason.BAD_JSON, "the payload is nested too deeply")
    except msgspec.ValidationError:
        return Rejection(Reason.WRONG_TYPE, "the payload must be a JSON object")
    except msgspec.DecodeError as error:
        return Rejection(Reason.BAD_JSON, str(error))
    return _diagnose_fields(content, stream)


def _diagnose_fields(content: dict[str, msgspec.Raw], stream: Stream) -> Rejection:
    own, other = _ID_FIELDS[stream], _ID_FIELDS[_OTHER[stream]]
    if own not in content and other in content:
        return Rejection(
            Reason.STREAM_MISMATCH, f"{other} on a {stream} topic: publish it to fleet/<chargePoint>/{_OTHER[stream]}"
        )
    for field in msgspec.structs.fields(_MESSAGES[stream]):
        name = field.encode_name
        if name not in content:
            return Rejection(Reason.MISSING_FIELD, f"{name} is missing")
        try:
            msgspec.json.decode(content[name], type=field.type)
        except msgspec.DecodeError as error:
            return Rejection(_reason_of(field, bytes(content[name])), f"{name}: {error}")
    return Rejection(Reason.BAD_JSON, "the payload could not be decoded: a field is given twice")


def _reason_of(field: msgspec.structs.FieldInfo, value: bytes) -> Reason:
    if field.encode_name == "timestamp":
        return Reason.BAD_TIMESTAMP
    is_number = value[:1] in b"-0123456789"
    return Reason.OUT_OF_RANGE if is_number and field.type is not str else Reason.WRONG_TYPE
