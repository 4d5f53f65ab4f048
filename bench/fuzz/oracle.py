"""The message contract of docs/messages.md, written a second time from its words alone: slow, obvious, without msgspec.

It shares no code with the gateway. Where two faults meet, each of their reasons is a good one.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):?([0-5]\d))", re.ASCII
)
HALF_A_PAIR = re.compile("[\ud800-\udfff]")  # of UTF-16: written alone, as \\ud800, it is no character
MAX_INTEGER_DIGITS = 4300  # Python's own limit; such a number is a wrong time in any case

Fault = str | None


@dataclass(frozen=True)
class Accepted:
    """A reading: `values` by the names of the contract, besides `device`, `chargePoint`, `ts` (UTC) and `late`."""

    values: dict[str, Any]


@dataclass(frozen=True)
class Refused:
    """The reasons that may be given."""

    reasons: frozenset[str]


@dataclass(frozen=True)
class Number:
    """A number as it was written."""

    text: str


class Members(list[tuple[str, Any]]):
    """An object's members in order, also those that are given twice."""


def judge(topic: str, payload: bytes, now: datetime) -> Accepted | Refused:
    """What becomes of a message that arrives at `now`, with a window of 7 days back and 300 s ahead."""
    levels = topic.split("/")
    if len(levels) != 3 or levels[0] != "fleet" or not ID.fullmatch(levels[1]) or levels[2] not in FIELDS:
        return Refused(frozenset({"bad_topic"}))
    fault, members = _read(payload)
    if fault is None:
        reasons = _judge_members(members, levels[2], now)
        if not reasons:
            return Accepted(_reading(dict(members), levels[1], levels[2], now))
        return Refused(frozenset(reasons))
    return Refused(frozenset({fault}))


def _read(payload: bytes) -> tuple[Fault, Members]:
    """The payload's members, or what is wrong with it as a whole."""
    if len(payload) > 8192:
        return "oversize", Members()
    if not payload:
        return "empty", Members()
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        return "not_utf8", Members()
    try:
        content = _parse(text)
    except ValueError:
        return "bad_json", Members()
    return (None, content) if isinstance(content, Members) else ("wrong_type", Members())


def _parse(text: str) -> Any:
    """Raises ValueError for what is no JSON, or nested too deeply."""
    if len(re.findall(r"[\[{]", text)) > 256 and _nesting(text) > 256:
        raise ValueError("nested too deeply")
    content = json.loads(
        text, object_pairs_hook=Members, parse_int=Number, parse_float=Number, parse_constant=_refuse_constant
    )
    if any(HALF_A_PAIR.search(string) for string in _strings(content)):
        raise ValueError("half of a surrogate pair")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN, Infinity, -Infinity


def _nesting(text: str) -> int:
    """How many arrays and objects are open at the deepest place."""
    depth = deepest = 0
    in_string = is_escaped = False
    for letter in text:
        if in_string:
            in_string = letter != '"' or is_escaped
            is_escaped = letter == "\\" and not is_escaped
        elif letter == '"':
            in_string = True
        else:
            depth += (letter in "[{") - (letter in "]}")
            deepest = max(deepest, depth)
    return deepest


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, tuple):  # a member
        yield value[0]
        yield from _strings(value[1])


def _judge_members(members: Members, stream: str, now: datetime) -> set[str]:
    names = {name for name, _ in members}
    own, other = ("meterId", "vehicleId") if stream == "meter" else ("vehicleId", "meterId")
    if own not in names and other in names:
        return {"stream_mismatch"}
    reasons: set[Fault] = set()
    for field, (shape, rule) in FIELDS[stream].items():
        given = [value for name, value in members if name == field]
        if not given:
            reasons.add("missing_field")
            continue
        reasons.add(shape(given[-1]) or rule(given[-1], now))  # the last counts
        if any(shape(value) for value in given[:-1]):
            reasons.add("bad_json")
    return {reason for reason in reasons if reason is not None}


def _reading(content: dict[str, Any], charge_point: str, stream: str, now: datetime) -> dict[str, Any]:
    ts = _moment(content["timestamp"])
    assert ts is not None
    values = {name: float(content[name].text) for name in FIELDS[stream] if name not in {f"{stream}Id", "timestamp"}}
    late = now - ts > timedelta(minutes=5)
    return {"device": content[f"{stream}Id"], "chargePoint": charge_point, "ts": ts, "late": late} | values


def _number(lowest: float, highest: float) -> tuple[Callable[[Any], Fault], Callable[[Any, datetime], Fault]]:
    def shape(value: Any) -> Fault:
        if not isinstance(value, Number):
            return "wrong_type"
        return None if lowest <= float(value.text) <= highest else "out_of_range"

    return shape, lambda _value, _now: None


def _id_shape(value: Any) -> Fault:
    return None if isinstance(value, str) else "wrong_type"


def _id_rule(value: str, _now: datetime) -> Fault:
    return None if ID.fullmatch(value) else "bad_id"


def _time_shape(value: Any) -> Fault:
    if isinstance(value, Number):
        is_whole = value.text.lstrip("-").isdigit()
        return None if is_whole and len(value.text) <= MAX_INTEGER_DIGITS else "bad_timestamp"
    return None if isinstance(value, str) and _local(value) else "bad_timestamp"


def _time_rule(value: Any, now: datetime) -> Fault:
    ts = _moment(value)
    if ts is None:
        return "bad_timestamp"
    if ts < now - timedelta(days=7):
        return "too_old"
    return "too_far_ahead" if ts > now + timedelta(seconds=300) else None


def _moment(value: Any) -> datetime | None:
    """A time of good shape in UTC; None outside the years 1 to 9999."""
    try:
        if isinstance(value, Number):
            return EPOCH + timedelta(milliseconds=int(value.text))
        local = _local(value)
        assert local is not None
        return local.astimezone(UTC)
    except OverflowError:
        return None


def _local(text: str) -> datetime | None:
    """An RFC 3339 time as it is written, rounded to the microsecond; None when it is none."""
    found = TIME.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    fraction, sign, hours, minutes = found.groups()[6:]
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    zone = timezone(-offset if sign == "-" else offset)
    digits = (fraction or "").ljust(7, "0")
    microseconds = int(digits[:6]) + (digits[6] >= "5")
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=zone) + timedelta(microseconds=microseconds)
    except (ValueError, OverflowError):
        return None


KWH = _number(0, 1e9)
TIMESTAMP = (_time_shape, _time_rule)
FIELDS: dict[str, dict[str, tuple[Callable[[Any], Fault], Callable[[Any, datetime], Fault]]]] = {
    "meter": {
        "meterId": (_id_shape, _id_rule),
        "kwhConsumedAc": KWH,
        "voltage": _number(0, 2000),
        "timestamp": TIMESTAMP,
    },
    "vehicle": {
        "vehicleId": (_id_shape, _id_rule),
        "soc": _number(0, 100),
        "kwhDeliveredDc": KWH,
        "batteryTemp": _number(-60, 150),
        "timestamp": TIMESTAMP,
    },
}
"""For each field: what its value must be by itself, and what else the one that counts must obey."""
