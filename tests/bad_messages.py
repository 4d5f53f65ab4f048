"""Every kind of bad message, with the reason that quarantine must give. A token is planted wherever a payload has room for it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from gateway_harness import meter, now_ms, vehicle
from joulegate_core.reasons import Reason

TOKEN = "s3cr3t7f3a"
METER = "fleet/cp-bad/meter"
VEHICLE = "fleet/cp-bad/vehicle"
NOW = now_ms()
EPOCH_MS = round(NOW.timestamp() * 1000)


class Bad(NamedTuple):
    """What is published, and the reason for which it must be refused."""

    reason: Reason
    name: str
    topic: str
    payload: bytes


def _meter(**fields: Any) -> bytes:
    return json.dumps(meter(ts=NOW, note=TOKEN) | fields).encode()


def _vehicle(**fields: Any) -> bytes:
    return json.dumps(vehicle(ts=NOW, note=TOKEN) | fields).encode()


def _raw(value: bytes, field: str = "voltage") -> bytes:
    """A meter's payload with JSON that Python would not write, if it is JSON."""
    return _meter(**{field: "PLACE"}).replace(b'"PLACE"', value)


def _without(payload: bytes, field: str) -> bytes:
    return json.dumps({name: value for name, value in json.loads(payload).items() if name != field}).encode()


def _on(topic: str, reason: Reason, payloads: dict[str, bytes]) -> list[Bad]:
    return [Bad(reason, name, topic, payload) for name, payload in payloads.items()]


def _times(reason: Reason, values: list[Any]) -> list[Bad]:
    return [Bad(reason, str(value), METER, _meter(timestamp=value)) for value in values]


WHOLE = [
    *_on(METER, Reason.OVERSIZE, {"8 KiB + 1": _meter().ljust(8193), "60 KiB": _meter(x=TOKEN * 6000).ljust(61_440)}),
    *_on(METER, Reason.EMPTY, {"empty": b""}),
    *_on(METER, Reason.NOT_UTF8, {
        "latin-1": _raw(b'"\xe9"', "note"),
        "half a surrogate pair": _raw(b'"\xed\xa0\x80"', "x"),
        "overlong": _raw(b'"\xc0\xaf"', "x"),
        "utf-16": _meter().decode().encode("utf-16"),
        "noise": bytes(range(256)),
    }),
    *_on(METER, Reason.BAD_JSON, {
        "text": TOKEN.encode(),
        "spaces": b"   ",
        "truncated": _meter()[:-1],
        "twice": _meter() * 2,
        "trailing NUL": _meter() + b"\0",
        "NUL in a string": _raw(f'"{TOKEN}\0"'.encode(), "x"),
        "line feed in a string": _raw(f'"{TOKEN}\n"'.encode(), "x"),
        "byte order mark": b"\xef\xbb\xbf" + _meter(),
        "utf-16 without mark": _meter().decode().encode("utf-16-le"),
        "single quotes": _meter().replace(b'"', b"'"),
        "trailing comma": _meter()[:-1] + b",}",
        "comment": _meter() + b"//" + TOKEN.encode(),
        "half a surrogate pair": _raw(b'"\\ud800"', "x"),
        "NaN": _raw(b"NaN"),
        "Infinity": _raw(b"Infinity"),
        "-Infinity": _raw(b"-Infinity"),
        "leading zero": _raw(b"0230"),
        "plus": _raw(b"+230"),
        "hexadecimal": _raw(b"0xE6"),
        "unfinished number": _raw(b"230."),
        "257 deep": _raw(b"[" * 256 + b"]" * 256, "x"),
        "4,000 deep": _raw(b"[" * 4000 + b"]" * 4000, "x"),
        "never closed": b'{"a":' * 1600,
        "given twice, the first invalid": b'{"meterId": 5, ' + _meter()[1:],
    }),
    *_on(METER, Reason.WRONG_TYPE, {
        "array": f'["{TOKEN}"]'.encode(),
        "string": f'"{TOKEN}"'.encode(),
        "number": b"5",
        "null": b"null",
        "array of messages": b"[" + _meter() + b"]",
    }),
    *_on(METER, Reason.STREAM_MISMATCH, {"vehicle's": _vehicle()}),
    *_on(VEHICLE, Reason.STREAM_MISMATCH, {"meter's": _meter()}),
]  # fmt: skip
PLACES = [
    "a b",
    "",
    "a" * 65,
    "a,b",
    "a%2Fb",
    "caf\u00e9",
    "\u65e5\u672c",
    "\U0001f50c",
    "\u0661",
    "a\ufeff",
    "$SYS",
    "x" * 4000,
]
TOPICS = [Bad(Reason.BAD_TOPIC, place, f"fleet/{place}/meter", _meter()) for place in PLACES]
FIELDS = [
    *(Bad(Reason.MISSING_FIELD, field, METER, _without(_meter(), field)) for field in meter()),
    *(Bad(Reason.MISSING_FIELD, field, VEHICLE, _without(_vehicle(), field)) for field in vehicle()),
    *_on(METER, Reason.WRONG_TYPE, {
        "null": _meter(voltage=None),
        "text": _meter(voltage=TOKEN),
        "number as text": _meter(kwhConsumedAc="1"),
        "boolean": _meter(kwhConsumedAc=True),
        "array": _meter(voltage=[230]),
        "object": _meter(voltage={TOKEN: 230}),
        "number as id": _meter(meterId=7),
        "null as id": _meter(meterId=None),
    }),
    *_on(METER, Reason.OUT_OF_RANGE, {
        "negative": _meter(kwhConsumedAc=-0.001),
        "over a billion": _meter(kwhConsumedAc=1_000_000_000.001),
        "over 2,000 V": _meter(voltage=2000.1),
        "1e400": _raw(b"1e400"),
        "-1e400": _raw(b"-1e400"),
        "400 digits": _raw(b"9" * 400),
        "8,000 digits": _raw(b"9" * 8000),
    }),
    *_on(VEHICLE, Reason.OUT_OF_RANGE, {
        "over 100 %": _vehicle(soc=100.1),
        "under 0 %": _vehicle(soc=-1),
        "-61 degC": _vehicle(batteryTemp=-61),
        "151 degC": _vehicle(batteryTemp=151),
        "negative": _vehicle(kwhDeliveredDc=-1),
    }),
    *(
        Bad(Reason.BAD_ID, device[:10], METER, _meter(meterId=device))
        for device in ("", "a" * 65, "fleet/a", "+", "#", f"{TOKEN} ", f"{TOKEN}\n", f"{TOKEN}\0", f"{TOKEN}\u00e9", "\u0661", "a" * 8000)
    ),
]  # fmt: skip
TIMES = [
    *_times(Reason.BAD_TIMESTAMP, [
        "2026-06-15T12:00:00", "2026-06-15", "12:00:00Z", "2016-12-31T23:59:60Z", "2026-06-15T24:00:00Z", "2026-02-29T12:00:00Z",
        "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "10000-01-01T00:00:00Z",
        "2026-06-15T12:00:00,5Z", "2026-06-15T12:00:00+24:00", "2026-W25-1T12:00:00Z", "2026-10-25T02:30:00 Europe/Berlin",
        str(EPOCH_MS), TOKEN, "", f"{NOW.isoformat()}\0", EPOCH_MS * 1000, EPOCH_MS * 10**6, float(EPOCH_MS), 2**63, -(2**63),
        10**400, True, None, [], {},
    ]),
    *_times(Reason.TOO_OLD, [
        EPOCH_MS // 1000, 0, -1, "0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999Z", (NOW - timedelta(days=7, hours=1)).isoformat(),
    ]),
    *_times(Reason.TOO_FAR_AHEAD, [
        "9999-12-31T23:59:59.999999Z", round(datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000),
        (NOW + timedelta(hours=1)).isoformat(), NOW.replace(tzinfo=None).isoformat() + "-12:00",
    ]),
]  # fmt: skip

BAD = [*WHOLE, *TOPICS, *FIELDS, *TIMES]
