"""The window of time that a question is about."""

from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta, field

from joulegate_db.links import rfc3339
from joulegate_db.windows import Window
from joulegate_http.codes import Code
from joulegate_http.parameters import Parameters
from joulegate_http.problems import ProblemError
from joulegate_http.rules import EARLIEST, MomentParameter

DEFAULT_WINDOW = timedelta(hours=24)
LONGEST_WINDOW = timedelta(days=31)

WINDOW_CODES = (Code.EMPTY_WINDOW, Code.WINDOW_TOO_LONG)
"""What `window` refuses."""


class WindowParameters(Parameters, frozen=True, kw_only=True):
    """The edges of a half-open window, [from, to)."""

    start: (
        Annotated[
            MomentParameter,
            Meta(description="Included. By default 24 hours before `to`.", examples=["2026-05-01T00:00:00Z"]),
        ]
        | None
    ) = field(name="from", default=None)
    end: (
        Annotated[MomentParameter, Meta(description="Not included. By default now.", examples=["2026-05-02T00:00:00Z"])]
        | None
    ) = field(name="to", default=None)


def window(asked: WindowParameters, now: datetime, *, longest: timedelta = LONGEST_WINDOW) -> Window:
    """The window that is asked for.

    Raises:
        ProblemError: `empty_window`, `window_too_long`.
    """
    end = asked.end or now
    start = asked.start or max(end - DEFAULT_WINDOW, EARLIEST)
    if start >= end:
        raise ProblemError(
            Code.EMPTY_WINDOW,
            f"from ({rfc3339(start)}) must be before to ({rfc3339(end)}); to is now when it is not given.",
        )
    if end - start > longest:
        raise ProblemError(Code.WINDOW_TOO_LONG, f"A window is at most {longest.days} days long here.")
    return Window(start, end)
