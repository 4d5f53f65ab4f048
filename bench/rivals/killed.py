"""What becomes of the messages when a rival is killed (kill -9) and started again: the ledger of what was acknowledged."""

import time

import msgspec

from joulegate_core.errors import JoulegateError
from rivals.load import Backlog, Pace
from rivals.stand import Kept, Stand

POLL_SECONDS = 0.02
QUIET_SECONDS = 8.0
"""So long nothing more must come: longer than Node-RED takes to start, also on a busy machine."""

PATIENCE_SECONDS = 30.0
"""The same at its first start, with everything still to come."""

COMPLETE_SECONDS = 1.0
"""The same, once every reading is there: what is stored twice comes before the last."""


class Ledger(msgspec.Struct, frozen=True):
    """Of the messages that were acknowledged to their publisher, how many are not there, and how many rows are there too many."""

    acknowledged: int
    lost: int
    doubled: int


def kill_and_count(stand: Stand, load: Backlog | Pace, *, kills: int) -> Ledger:
    """Kills the rival `kills` times, each time when it has stored some more of the load, or will store no more.

    Raises:
        JoulegateError: the load failed, a rival that is posted to does not listen, or messages still wait for it.
    """
    load.begin()
    stand.start()
    load.go()
    stored = 0
    for number in range(kills):
        more = max(1, (load.count - stored) // (kills - number + 2))
        _wait_for(stand, stored + more, QUIET_SECONDS if number else PATIENCE_SECONDS)
        stand.kill()
        stored = stand.rows()
        stand.start()
    acknowledged = load.finish()
    kept = _when_quiet(stand, acknowledged)
    stand.kill()
    if left := stand.waiting():
        raise JoulegateError(
            f"{stand.rival.name} had not taken {left} messages yet: the machine is too busy to tell what is lost"
        )
    return Ledger(acknowledged, lost=acknowledged - kept.readings, doubled=kept.rows - kept.readings)


def _wait_for(stand: Stand, rows: int, quiet_seconds: float) -> None:
    """Returns when it has stored so many, or nothing more comes: what was lost does not."""
    last, moved = -1, time.monotonic()
    while last < rows and time.monotonic() - moved < quiet_seconds:
        found = stand.rows()
        if found != last:
            last, moved = found, time.monotonic()
        time.sleep(POLL_SECONDS)


def _when_quiet(stand: Stand, expected: int) -> Kept:
    rows, moved = -1, time.monotonic()
    while True:
        kept = stand.kept()
        if kept.rows != rows:
            rows, moved = kept.rows, time.monotonic()
        quiet = COMPLETE_SECONDS if kept.readings == expected else QUIET_SECONDS
        if time.monotonic() - moved > quiet:
            return kept
        time.sleep(POLL_SECONDS * 10)
