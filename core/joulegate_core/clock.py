"""The clock, as a value that is handed down, so that tests can fake time and nothing else."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the current time, aware, in UTC."""


def utc_now() -> datetime:
    """The system's clock, in UTC."""
    return datetime.now(UTC)
