"""One message to the decoder and to the oracle; says where they differ, and counts what came out."""

import re
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from fuzz.oracle import Accepted, judge
from joulegate_core.telemetry import Message, MeterReading, Rejection, VehicleReading
from joulegate_gateway.decoder import Decoder

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
SLOW_NANOSECONDS = 1_000_000
"""Of the thread's CPU time: what others do on the machine counts little."""
LOOKS = 5

FIELD = "(meterId|vehicleId|kwhConsumedAc|kwhDeliveredDc|voltage|soc|batteryTemp|timestamp)"
TYPE = "(int|float|str|bool|null|array|object|datetime|int . datetime)"
NUMBER = r"-?\d{1,10}(\.0)?"
ID_RULE = "must be 1 to 64 characters of A-Z a-z 0-9 . _ : -"
JSON_FAULT = (
    "(invalid (character|number|escaped character|utf-16 surrogate pair|character in unicode escape|escape character in string)"
    "|unexpected end of (hex escape|escaped utf-16 surrogate pair)|expected (':'|'\"'|',' or '[]}]')"
    "|trailing (comma in (array|object)|characters))"
)
TIME_FAULT = (
    "(is outside the years 1 to 9999|is more than 7 days old(; it looks like seconds, milliseconds are expected)?"
    "|is more than 300 s ahead of the gateway's clock)"
)
DETAIL = re.compile(
    r"the payload (is empty|has \d+ bytes, at most 8192 are accepted|is not UTF-8 at byte \d+|must be a JSON object"
    r"|is nested more than 256 deep|could not be decoded: a field is given twice)"
    rf"|Input data was truncated|JSON is malformed: {JSON_FAULT} \(byte \d+\)"
    r"|(meter|vehicle)Id on a (meter|vehicle) topic: publish it to fleet/<chargePoint>/(meter|vehicle)"
    rf"|the topic's charge point {ID_RULE}|{FIELD} (is missing|{ID_RULE})"
    rf"|{FIELD}: (Expected `{TYPE}`(, got `{TYPE}`| [<>]= {NUMBER}| with a timezone component)"
    "|(Number|Integer value) out of range|Invalid RFC3339 encoded datetime)"
    rf"|timestamp {TIME_FAULT}"
)
"""All that a rejection may say: our own words and msgspec's, names of fields, limits and positions. Nothing of a payload."""


class Comparison:
    """Compares message by message with one decoder, so that what it remembers of one must not change another's answer."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.slow = 0
        self.slowest_nanoseconds = 0
        self._decoder = Decoder(max_age_days=7, max_ahead_seconds=300)

    def check(self, topic: str, payload: bytes, now: datetime = NOW) -> str | None:
        """The difference in words; None when decoder and oracle agree."""
        try:
            message = self._timed(topic, payload, now)
        except Exception as error:  # noqa: BLE001 - that none is raised is what is being looked at
            return f"the decoder raised {type(error).__name__}: {error}"
        content = message.content
        self.outcomes[str(content.reason) if isinstance(content, Rejection) else "accepted"] += 1
        if (message.topic, message.payload) != (topic.replace("\0", "\ufffd"), payload):
            return "the decoder changed topic or payload"
        return _difference(content, topic, payload, now)

    def _timed(self, topic: str, payload: bytes, now: datetime) -> Message:
        message, spent = self._look(topic, payload, now)
        looks = 1
        while spent > SLOW_NANOSECONDS and looks < LOOKS:  # the payload's own time is the shortest
            spent = min(spent, self._look(topic, payload, now)[1])
            looks += 1
        self.slow += spent > SLOW_NANOSECONDS
        self.slowest_nanoseconds = max(self.slowest_nanoseconds, spent)
        return message

    def _look(self, topic: str, payload: bytes, now: datetime) -> tuple[Message, int]:
        started = time.thread_time_ns()
        message = self._decoder.decode(topic, payload, now)
        return message, time.thread_time_ns() - started


def _difference(
    content: MeterReading | VehicleReading | Rejection, topic: str, payload: bytes, now: datetime
) -> str | None:
    verdict = judge(topic, payload, now)
    if isinstance(content, Rejection):
        if isinstance(verdict, Accepted):
            return f"the decoder refuses with {content.reason}, {content.detail!r}; the oracle accepts"
        if content.reason not in verdict.reasons:
            return f"the decoder refuses with {content.reason}, the oracle with {sorted(verdict.reasons)}"
        return None if DETAIL.fullmatch(content.detail) else f"the detail is not one of ours: {content.detail!r}"
    if not isinstance(verdict, Accepted):
        return f"the decoder accepts, the oracle refuses with {sorted(verdict.reasons)}"
    values = _values(content)
    return None if values == verdict.values else f"the decoder reads {values}, the oracle {verdict.values}"


def _values(reading: MeterReading | VehicleReading) -> dict[str, Any]:
    """A reading under the contract's names."""
    common = {"device": reading.device, "chargePoint": reading.charge_point, "ts": reading.ts, "late": reading.late}
    if isinstance(reading, MeterReading):
        return common | {"kwhConsumedAc": reading.kwh, "voltage": reading.voltage}
    return common | {"soc": reading.soc, "kwhDeliveredDc": reading.kwh, "batteryTemp": reading.battery_temp}
