"""How fast a rival brings messages into the database when they wait for it, and what it costs."""

import time
from collections.abc import Iterator

import msgspec

from joulegate_cli.bench.child import Service
from joulegate_core.errors import JoulegateError
from rivals.load import Backlog
from rivals.stand import Stand

POLL_SECONDS = 0.1
STALL_SECONDS = 30.0
LONGEST_SECONDS = 20.0
"""A rate is known by then: who commits a hundred a second need not store everything."""


class Drained(msgspec.Struct, frozen=True):
    """From the first commits seen to the last: starting up does not count."""

    per_second: float
    rival_cpu_us: float
    database_cpu_us: float
    peak_mb: float


class Seen(msgspec.Struct, frozen=True):
    """A look at it: when, how many it has committed, and the CPU that it and the database used by then."""

    at: float
    committed: int
    rival_cpu: float
    database_cpu: float


def drain(stand: Stand, messages: int) -> Drained:
    """Lets the rival take `messages`, or as many as it can in twenty seconds.

    Raises:
        JoulegateError: it ended, makes no progress, or messages are missing or doubled although nothing was killed.
    """
    backlog = Backlog(stand, messages)
    backlog.begin()
    service = stand.start()
    backlog.go()
    seen = list(_looks(stand, service, messages))
    first = next(look for look in seen if look.committed)
    last, kept = seen[-1], stand.kept()
    if last.committed == messages:
        backlog.finish()
        if (kept.rows, kept.readings) != (messages, messages):
            raise JoulegateError(f"{stand.rival.name} has {kept.rows} rows of {kept.readings} readings, not {messages}")
    count = last.committed - first.committed
    if count < messages / 100:
        raise JoulegateError(
            f"{stand.rival.name} cannot be measured: {count} of {messages} messages while it was looked at"
        )
    return Drained(
        per_second=count / (last.at - first.at),
        rival_cpu_us=(last.rival_cpu - first.rival_cpu) / count * 1e6,
        database_cpu_us=(last.database_cpu - first.database_cpu) / count * 1e6,
        peak_mb=service.peak_mb(),
    )


def _looks(stand: Stand, service: Service, messages: int) -> Iterator[Seen]:
    committed, started = 0, time.monotonic()
    while committed < messages and (committed == 0 or time.monotonic() - started < LONGEST_SECONDS):
        committed = _committed(stand, service)
        yield Seen(time.perf_counter(), committed, service.cpu_seconds(), stand.servers.database_cpu_seconds())
        if time.monotonic() - started > STALL_SECONDS and not committed:
            raise JoulegateError(f"{stand.rival.name} has stored nothing after {STALL_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)


def _committed(stand: Stand, service: Service) -> int:
    """joulegate counts its commits itself; to count half a million rows ten times a second would slow it down."""
    return service.settled().get("committed", 0) if stand.rival.is_joulegate else stand.rows()
