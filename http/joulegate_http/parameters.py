"""What a client may put into a path and a query, and what it is told when it does not."""

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import msgspec
from starlette.datastructures import QueryParams

from joulegate_core.telemetry import is_valid_id
from joulegate_db.windows import Window
from joulegate_http.problems import bad_request

DEFAULT_WINDOW = timedelta(hours=24)
LONGEST_WINDOW = timedelta(days=31)

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 1, 1, tzinfo=UTC)
"""No reading is outside, and inside no calculation leaves the calendar."""

EXAMPLE = "2026-05-01T00:00:00Z"

_SPACE_FOR_PLUS = re.compile(r" (?=\d\d:\d\d\Z)")


def device_id(value: str) -> str:
    """The id, when it obeys the rule of ids.

    Raises:
        ProblemError: `bad_id`.
    """
    if not is_valid_id(value):
        raise bad_request("bad_id", "An id has 1 to 64 characters of A-Z a-z 0-9 . _ : and -.")
    return value


def require_known(query: QueryParams, known: Collection[str]) -> None:
    """Refuses parameters that the route does not know, so that a misspelt one is not silently ignored, and repeated ones.

    Raises:
        ProblemError: `unknown_parameter`, `repeated_parameter`.
    """
    names = [name for name, _ in query.multi_items()]
    if unknown := sorted({name for name in names if name not in known}):
        knows = f"it knows {' and '.join(sorted(known))}" if known else "it takes none"
        raise bad_request("unknown_parameter", f"This route does not know the parameter {', '.join(unknown)}: {knows}.")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise bad_request("repeated_parameter", f"The parameter {', '.join(repeated)} is given more than once.")


def window(query: QueryParams, now: datetime) -> Window:
    """The window [from, to): `to` is now by default, `from` 24 hours before `to`.

    Raises:
        ProblemError: `bad_time`, `naive_time`, `time_out_of_range`, `empty_window`, `window_too_long`.
    """
    end = _time(query, "to") or now
    start = _time(query, "from") or max(end - DEFAULT_WINDOW, EARLIEST)
    if start >= end:
        raise bad_request(
            "empty_window", f"from ({_text(start)}) must be before to ({_text(end)}); to is now when it is not given."
        )
    if end - start > LONGEST_WINDOW:
        raise bad_request(
            "window_too_long", f"A window is at most {LONGEST_WINDOW.days} days long; split it: answers add up."
        )
    return Window(start, end)


def _time(query: QueryParams, name: str) -> datetime | None:
    """The parameter as a time in UTC, None when it is not given."""
    if name not in query:
        return None
    # a + that was not encoded as %2B arrives as a space; where an offset stands it can mean nothing else
    text = _SPACE_FOR_PLUS.sub("+", query[name])
    try:
        time = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        raise bad_request(
            "bad_time", f"{name} must be an RFC 3339 time with an offset, such as {EXAMPLE} (a + is written %2B)."
        ) from None
    if time.tzinfo is None:
        raise bad_request(
            "naive_time", f"{name} has no offset: add Z for UTC or one such as %2B02:00, as in {EXAMPLE}."
        )
    if not EARLIEST <= time <= LATEST:
        raise bad_request("time_out_of_range", f"{name} must be between the years {EARLIEST.year} and {LATEST.year}.")
    return time.astimezone(UTC)


def _text(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
