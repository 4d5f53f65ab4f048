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

BUCKETS = {"15m": timedelta(minutes=15), "1h": timedelta(hours=1), "1d": timedelta(days=1)}
MOST_POINTS = 1000

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 1, 1, tzinfo=UTC)
"""No reading is outside, and inside no calculation leaves the calendar."""

EXAMPLE = "2026-05-01T00:00:00Z"

_DIGITS = re.compile(r"[0-9]{1,19}\Z")
_SPACE_FOR_PLUS = re.compile(r" (?=\d\d:\d\d\Z)")


def device_id(value: str, name: str = "An id") -> str:
    """The id, when it obeys the rule of ids.

    Raises:
        ProblemError: `bad_id`.
    """
    if not is_valid_id(value):
        raise bad_request("bad_id", f"{name} has 1 to 64 characters of A-Z a-z 0-9 . _ : and -.")
    return value


def optional_id(query: QueryParams, name: str) -> str | None:
    """The id that the parameter gives, None when it is not given. Raises as `device_id`."""
    return device_id(query[name], name) if name in query else None


def number(query: QueryParams, name: str, *, default: int, least: int, most: int) -> int:
    """The whole number that the parameter gives, `default` when it is not given.

    Raises:
        ProblemError: `bad_number`.
    """
    text = query.get(name, str(default))
    if not _DIGITS.match(text) or not least <= int(text) <= most:
        raise bad_request("bad_number", f"{name} must be a whole number from {least} to {most}.")
    return int(text)


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


def bucket(query: QueryParams, window: Window) -> str:
    """The step of a series: one of `BUCKETS`, by default the finest that gives at most a thousand points.

    Raises:
        ProblemError: `bad_bucket`, `too_many_points`.
    """
    fine = [name for name, step in BUCKETS.items() if window.length / step <= MOST_POINTS]
    name = query.get("bucket", fine[0])
    if name not in BUCKETS:
        raise bad_request("bad_bucket", f"bucket must be one of {', '.join(BUCKETS)}.")
    if name not in fine:
        raise bad_request(
            "too_many_points",
            f"bucket={name} would give more than {MOST_POINTS} points: take {' or '.join(fine)}, or a shorter window.",
        )
    return name


def moment(query: QueryParams, name: str) -> datetime | None:
    """The time that the parameter gives, in UTC, None when it is not given.

    Raises:
        ProblemError: `bad_time`, `naive_time`, `time_out_of_range`.
    """
    return _time(query, name)


def in_range(name: str, time: datetime) -> datetime:
    """The aware time in UTC.

    Raises:
        ProblemError: `time_out_of_range`.
    """
    if not EARLIEST <= time <= LATEST:
        raise bad_request("time_out_of_range", f"{name} must be between the years {EARLIEST.year} and {LATEST.year}.")
    return time.astimezone(UTC)


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
    return in_range(name, time)


def _text(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
