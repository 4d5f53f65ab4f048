"""Gives a rival its messages: a backlog that waits at the broker or is posted as fast as it is answered, or the pace of the fleet."""

import time
from datetime import UTC, datetime
from pathlib import Path

from joulegate_cli.bench.backlog import create_session, publish, readings
from joulegate_cli.bench.child import Program
from joulegate_cli.bench.paced_publisher import Paced
from joulegate_cli.bench.schedule import Schedule
from joulegate_core.telemetry import READING_INTERVAL_SECONDS
from rivals.posting import Posted, Posting
from rivals.stand import Stand

DEVICES = 20_000
"""The fleet of the task: 10,000 meters and 10,000 vehicles."""

FLEET_RATE = DEVICES / READING_INTERVAL_SECONDS
LEAD_SECONDS = 1.0
LONGEST_SECONDS = 150.0


class Backlog:
    """So many messages that wait. `begin` before the rival is started, `go` after it."""

    def __init__(self, stand: Stand, count: int) -> None:
        self.count = count
        self._stand = stand
        self._program: Program | None = None

    def begin(self) -> None:
        """Fills the broker's queue for a rival that subscribes."""
        if not self._stand.rival.takes_http:
            url = self._stand.servers.broker.url
            create_session(url, self._stand.client_id)
            publish(url, "rivals-filler", readings(DEVICES, self.count, datetime.now(UTC)), lambda _: None)

    def go(self) -> None:
        """Starts to post to a rival that takes HTTP."""
        if self._stand.rival.takes_http:
            self._program = _posting(Posting(self._stand.port, DEVICES, self.count))

    def finish(self) -> int:
        """Waits until everything was handed over, and returns how many that were."""
        return _stored(self._program) if self._program is not None else self.count


class Pace:
    """The same number of messages at the pace of the fleet."""

    def __init__(self, stand: Stand, count: int) -> None:
        self.count = count
        self._stand = stand
        self._program: Program

    def begin(self) -> None:
        """Lets the broker keep messages for a rival that subscribes."""
        if not self._stand.rival.takes_http:
            create_session(self._stand.servers.broker.url, self._stand.client_id)

    def go(self) -> None:
        """Starts to publish, or to post."""
        if self._stand.rival.takes_http:
            self._program = _posting(Posting(self._stand.port, DEVICES, self.count, FLEET_RATE))
        else:
            start = time.time() + LEAD_SECONDS
            schedule = Schedule(self._stand.servers.broker.url, start, FLEET_RATE, DEVICES, self.count, as_text=True)
            self._program = Program("paced_publisher", schedule)

    def finish(self) -> int:
        """Waits until everything was handed over, and returns how many the broker or the rival acknowledged."""
        if self._stand.rival.takes_http:
            return _stored(self._program)
        paced: Paced = self._program.result(Paced, timeout_seconds=LONGEST_SECONDS)
        return paced.acknowledged


def _posting(posting: Posting) -> Program:
    return Program("posting", posting, script=Path(__file__).parent / "posting.py")


def _stored(program: Program) -> int:
    posted: Posted = program.result(Posted, timeout_seconds=LONGEST_SECONDS)
    return posted.stored
