"""Says in the log that quarantine keeps no more of a reason: once when that begins, then now and again with what came since."""

from collections import Counter
from datetime import datetime, timedelta

import structlog

from joulegate_core.clock import Clock
from joulegate_db.writer import Tally

log = structlog.get_logger()

SILENCE = timedelta(minutes=15)
"""Between two words about the same reason: a flood must not fill the log either."""


class OverflowLog:
    """Gathers what was counted and not kept, by reason, until it is time to speak of it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._untold: Counter[str] = Counter()
        self._next: dict[str, datetime] = {}

    def note(self, tally: Tally) -> None:
        """Books one committed batch."""
        for counts in tally.values():
            self._untold.update(counts.overflowed)
        if not self._untold:
            return
        now = self._clock()
        for reason in [reason for reason in self._untold if now >= self._next.get(reason, now)]:
            log.warning("quarantine_full", reason=reason, not_kept=self._untold.pop(reason))
            self._next[reason] = now + SILENCE
