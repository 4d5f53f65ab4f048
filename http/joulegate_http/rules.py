"""The kinds of values that a client may give: types that say what is accepted, to read them by and for the document.

Whole numbers need no type of their own: an `int` with bounds says it all, and so does a literal.
"""

import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from joulegate_core.reasons import Reason
from joulegate_core.telemetry import is_valid_id
from joulegate_http.codes import Code
from joulegate_http.problems import ProblemError
from joulegate_http.schemas import Id, MeterId, VehicleId

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 1, 1, tzinfo=UTC)
"""No reading is outside, and inside no calculation leaves the calendar."""

EXAMPLE = "2026-05-01T00:00:00Z"
ROW_ID = "[0-9]{1,18}"
"""What the database can hold as an id."""

STREAM_KINDS = ("vehicles", "meters", "fleet", "alerts", "gateways")

_DIGITS = re.compile(r"[0-9]{1,19}\Z")
_ROW_ID = re.compile(ROW_ID + r"\Z")
_SPACE_FOR_PLUS = re.compile(r" (?=\d\d:\d\d\Z)")

Read = Callable[[str, str], Any]
"""Makes a value from a parameter's name and its text. Raises ProblemError."""


class Rule(msgspec.Struct, frozen=True):
    """How a text becomes a value, and with which codes it may be refused."""

    read: Read
    codes: tuple[Code, ...]


def device_id(name: str, text: str) -> str:
    """The id, when it obeys the rule of ids.

    Raises:
        ProblemError: `bad_id`.
    """
    if not is_valid_id(text):
        raise ProblemError(Code.BAD_ID, f"{name} has 1 to 64 characters of A-Z a-z 0-9 . _ : and -.")
    return text


def moment(name: str, text: str) -> datetime:
    """The time in UTC.

    Raises:
        ProblemError: `bad_time`, `naive_time`, `time_out_of_range`.
    """
    # a + that was not encoded as %2B arrives as a space; where an offset stands it can mean nothing else
    text = _SPACE_FOR_PLUS.sub("+", text)
    try:
        time = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        raise ProblemError(
            Code.BAD_TIME, f"{name} must be an RFC 3339 time with an offset, such as {EXAMPLE} (a + is written %2B)."
        ) from None
    if time.tzinfo is None:
        raise ProblemError(
            Code.NAIVE_TIME, f"{name} has no offset: add Z for UTC or one such as %2B02:00, as in {EXAMPLE}."
        )
    return in_range(name, time)


def in_range(name: str, time: datetime) -> datetime:
    """The aware time in UTC.

    Raises:
        ProblemError: `time_out_of_range`.
    """
    if not EARLIEST <= time <= LATEST:
        raise ProblemError(
            Code.TIME_OUT_OF_RANGE, f"{name} must be between the years {EARLIEST.year} and {LATEST.year}."
        )
    return time.astimezone(UTC)


def cursor(name: str, text: str) -> str:
    """The id of the row that a page ends with.

    Raises:
        ProblemError: `bad_number`.
    """
    if not _ROW_ID.match(text):
        raise ProblemError(Code.BAD_NUMBER, f"{name} must be the nextCursor of the page before.")
    return text


def device_cursor(name: str, text: str) -> str:
    """The device's id that a page ends with.

    Raises:
        ProblemError: `bad_id`.
    """
    if not is_valid_id(text):
        raise ProblemError(Code.BAD_ID, f"{name} must be the nextCursor of the page before.")
    return text


def link_id(_: str, text: str) -> int:
    """The link's number. What cannot be one is not a mistake of its own: there is no such link.

    Raises:
        ProblemError: `link_not_found`.
    """
    if not _ROW_ID.match(text):
        raise no_such_link()
    return int(text)


def quarantine_id(_: str, text: str) -> int:
    """The message's number. What cannot be one is not a mistake of its own: there is no such message.

    Raises:
        ProblemError: `quarantine_not_found`.
    """
    if not _ROW_ID.match(text):
        raise ProblemError(Code.QUARANTINE_NOT_FOUND, "Quarantine has no message with this id.")
    return int(text)


def no_such_link() -> ProblemError:
    """404 for a link."""
    return ProblemError(Code.LINK_NOT_FOUND, "There is no link with this id.")


def whole_number(least: int, most: int) -> Rule:
    """The rule of a whole number between two others."""

    def read(name: str, text: str) -> int:
        if not _DIGITS.match(text) or not least <= int(text) <= most:
            raise ProblemError(Code.BAD_NUMBER, f"{name} must be a whole number from {least} to {most}.")
        return int(text)

    return Rule(read, (Code.BAD_NUMBER,))


def choice(values: Collection[str]) -> Rule:
    """The rule of one word among some."""

    def read(name: str, text: str) -> str:
        if text not in values:
            raise ProblemError(Code.BAD_CHOICE, f"{name} must be one of {', '.join(sorted(values))}.")
        return text

    return Rule(read, (Code.BAD_CHOICE,))


def stream_kinds(name: str, text: str) -> str:
    """Kinds of events, each once, joined by commas.

    Raises:
        ProblemError: `bad_choice`.
    """
    kinds = text.split(",")
    if len(set(kinds)) < len(kinds) or not set(kinds) <= set(STREAM_KINDS):
        raise ProblemError(Code.BAD_CHOICE, f"{name} must be some of {', '.join(STREAM_KINDS)}, joined by commas.")
    return text


_BY_ID_RULE = Meta(extra={"rule": Rule(device_id, (Code.BAD_ID,))})

DeviceParameter = Annotated[Id, _BY_ID_RULE]
VehicleParameter = Annotated[VehicleId, _BY_ID_RULE]
MeterParameter = Annotated[MeterId, _BY_ID_RULE]
MomentParameter = Annotated[
    datetime,
    Meta(
        tz=True,
        description="RFC 3339 with an offset.",
        examples=[EXAMPLE],
        extra={"rule": Rule(moment, (Code.BAD_TIME, Code.NAIVE_TIME, Code.TIME_OUT_OF_RANGE))},
    ),
]
CursorParameter = Annotated[
    str,
    Meta(
        description="`nextCursor` of the page before; without it the first page.",
        extra_json_schema={"pattern": f"^{ROW_ID}$"},
        extra={"rule": Rule(cursor, (Code.BAD_NUMBER,))},
    ),
]
DeviceCursorParameter = Annotated[
    Id,
    Meta(
        description="`nextCursor` of the page before; without it the first page.",
        extra={"rule": Rule(device_cursor, (Code.BAD_ID,))},
    ),
]
KindsParameter = Annotated[
    str,
    Meta(
        description=f"Which events, each once, joined by commas: {', '.join(STREAM_KINDS)}. `meters` is off by default.",
        examples=["vehicles,alerts"],
        extra_json_schema={"pattern": f"^({'|'.join(STREAM_KINDS)})(,({'|'.join(STREAM_KINDS)}))*$"},
        extra={"rule": Rule(stream_kinds, (Code.BAD_CHOICE,))},
    ),
]
LinkParameter = Annotated[
    int,
    Meta(
        description="The link's `id`.",
        ge=0,
        le=10**18 - 1,
        extra={"rule": Rule(link_id, (Code.LINK_NOT_FOUND,))},
    ),
]
QuarantineParameter = Annotated[
    int,
    Meta(
        description="The message's `id`.",
        ge=0,
        le=10**18 - 1,
        extra={"rule": Rule(quarantine_id, (Code.QUARANTINE_NOT_FOUND,))},
    ),
]
ReasonParameter = Annotated[
    str,
    Meta(
        description="Those with this reason only.",
        extra_json_schema={"enum": [str(one) for one in Reason]},
        extra={"rule": choice([str(one) for one in Reason])},
    ),
]
