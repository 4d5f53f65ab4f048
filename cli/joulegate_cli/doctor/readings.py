"""Judges the way of a reading: is it committed, rolled, refused; do the devices' clocks agree?"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from joulegate_cli.doctor.database import hours, size
from joulegate_cli.doctor.finding import Finding, critical, note, ok, warning
from joulegate_core.reasons import Reason
from joulegate_db.checkup import MARKS_COUNTED, Fleet, Lateness, Refused, RollupsNow
from joulegate_db.presence import EPOCH
from joulegate_db.quarantine import ROW_BYTES

SILENT = timedelta(minutes=5)
BEHIND = timedelta(minutes=45)
BEHIND_BADLY = timedelta(hours=6)
MARKS_MANY = 200_000
CLOCKS_SHARE = 0.01
LATE_SHARE = 0.05
CAP_SHARE = 0.8
REFUSED_SHARE = 0.05
OVERFLOW_RECENT = timedelta(days=1)
CLOCK_REASONS = {Reason.TOO_OLD, Reason.TOO_FAR_AHEAD}
READINGS_A_DAY = 1440


def judge_arrival(fleet: Fleet, now: datetime) -> Finding:
    """Whether readings are committed."""
    if fleet.received_at is None:
        return note("readings", "no reading was ever stored", "publish one: README.md, Try it")
    since = now - fleet.received_at
    text = f"{fleet.reporting:,} of {fleet.devices:,} devices heard within ten minutes"
    if since <= SILENT:
        return ok("readings", text)
    text = f"nothing was stored for {hours(since.total_seconds())}"
    return critical("readings", text, "is the gateway running (its log, /readyz), and do devices reach the broker?")


def judge_rollups(state: RollupsNow, now: datetime) -> Iterator[Finding]:
    """How far the roller is behind."""
    if state.rolled_until <= EPOCH:
        if state.has_readings:
            yield warning(
                "rollups", "nothing is rolled yet", "a running gateway rolls; look for `roll_interrupted` in its log"
            )
        else:
            yield note("rollups", "nothing is rolled yet, and there is nothing to roll")
        return
    behind = now - state.rolled_until
    text = f"rolled until {state.rolled_until:%F %R}Z, {hours(behind.total_seconds())} ago"
    if behind <= BEHIND:
        yield ok("rollups", text)
    else:
        judge = critical if behind > BEHIND_BADLY else warning
        yield judge("rollups", text, "a running gateway rolls; look for `roll_interrupted` in its log")
    if state.marks >= MARKS_MANY:
        more = "at least " if state.marks >= MARKS_COUNTED else ""
        text = f"{more}{state.marks:,} (device, bucket) wait to be computed anew; answers read them from history"
        yield warning(
            "rollups",
            text,
            "after an outage or a changed declaration this goes down by itself; else see the gateway's log",
        )
    if state.rolled_until - state.attributed_until > BEHIND:
        text = f"attributed until {state.attributed_until:%F %R}Z: the fleet's sums and alerts stand still"
        yield warning("rollups", text, "look for `roll_interrupted` in the gateway's log")


def judge_clocks(fleet: Fleet, refused: list[Refused]) -> Finding:
    """The devices' clocks, by how long ago their newest readings say they were measured, and by what was refused for its time."""
    wrong = [one for one in refused if one.reason in CLOCK_REASONS and one.recent]
    if wrong:
        parts = [f"{one.recent:,} {one.reason} (charge points {', '.join(one.places)})" for one in wrong]
        return warning(
            "device clocks", f"refused in the last day: {'; '.join(parts)}", "set these devices' clocks (NTP)"
        )
    off = fleet.late + fleet.ahead
    if not off:
        return ok("device clocks", "no device's newest reading came late or from the future")
    text = f"{fleet.late:,} devices late by more than 5 min, {fleet.ahead:,} ahead: {', '.join(fleet.worst or ())}"
    if off <= CLOCKS_SHARE * fleet.reporting:
        return note("device clocks", text)
    return warning("device clocks", text, "late alone can be a network that buffers; ahead is a clock: set it (NTP)")


def judge_lateness(late: Lateness) -> Finding:
    """How much of the newest history came late."""
    share = late.late / late.readings if late.readings else 0.0
    text = f"{share:.1%} of the readings of the last two hours came more than 5 min late"
    if share <= LATE_SHARE:
        return ok("lateness", text)
    return warning(
        "lateness", text, "after an outage this passes; else devices' clocks are behind, or their network buffers"
    )


def judge_quarantine(refused: list[Refused], fleet: Fleet, now: datetime, cap: int) -> Iterator[Finding]:
    """What is refused: how full each reason's share is, and how much of the traffic it is."""
    found = False
    for one in refused:
        taken = one.kept_octets + one.kept_rows * ROW_BYTES
        if one.last_overflow is not None and now - one.last_overflow < OVERFLOW_RECENT:
            found = True
            text = f"{one.reason}: full, {one.overflowed:,} messages were counted and not kept"
            yield critical(
                "quarantine",
                text,
                "mend the cause; delete rows that are not needed, or raise JOULEGATE_QUARANTINE_MAX_MB",
            )
        elif taken > CAP_SHARE * cap:
            found = True
            text = f"{one.reason}: {size(taken)} of {size(cap)} are taken"
            yield warning(
                "quarantine", text, "mend the cause; delete rows that are not needed: beyond the cap payloads are lost"
            )
    recent = sum(one.recent for one in refused)
    share = recent / (fleet.reporting * READINGS_A_DAY) if fleet.reporting else 0.0
    reasons = ", ".join(f"{one.recent:,} {one.reason}" for one in refused if one.recent)
    if share > REFUSED_SHARE:
        text = f"at least {recent:,} messages of the last day were refused: {reasons}"
        yield warning("quarantine", text, "select reason, detail, topic from quarantine order by id desc limit 20")
    elif not found:
        total = sum(one.kept_messages + one.overflowed for one in refused)
        yield ok("quarantine", f"{total:,} messages refused in all; in the last day: {reasons or 'none'}")
