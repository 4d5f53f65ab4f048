"""What the fleet's answer says in words: why its window is another than was asked for, and what a low ratio points to."""

from datetime import datetime

from joulegate_db.attribution import Pairing
from joulegate_db.performance import DEGRADED_UNDER, Status
from joulegate_db.presence import EPOCH
from joulegate_db.windows import Window

NOTHING_ROLLED = (
    "No bucket is rolled yet: a gateway must run, and the first quarter of an hour must be over for two minutes."
)
AFTER_ROLLED = "The window begins after the last rolled bucket ({until}): ask for an earlier one."
WIDENED = "The fleet's answer is made of whole 15-minute buckets: the window was widened to their edges."
NOTHING_MEASURED = (
    "Nothing was measured in the window: a quarter of an hour is summed two minutes after its end, "
    "so a fleet that has just begun has no sums for up to 17 minutes."
)
CUT = "The window was cut at the last rolled bucket ({until})."

SHARED = " Its AC is its part of a charge point that several vehicles share: link its meter to be sure."
BY_STATUS: dict[Status, str] = {
    "degraded": "{percent} of the AC reached the battery, less than {limit}: look for a fault of the charger, or leakage.",
    "implausible": "More DC than AC was measured ({percent}): check which meter belongs to the vehicle, and both calibrations.",
    "ok": "{percent} of the AC reached the battery, which is within what is expected.",
}


def window_note(asked: Window, taken: Window, until: datetime, *, measured: bool) -> str | None:
    """Why `taken` differs from `asked`, and why there are no sums; None when neither is so. `until`: the end of what is rolled."""
    if until == EPOCH:
        return NOTHING_ROLLED
    text = until.isoformat().replace("+00:00", "Z")
    if taken.start >= taken.end:
        return AFTER_ROLLED.format(until=text)
    wide = asked.in_whole_buckets()
    notes = [WIDENED] if wide != asked else []
    if not measured:
        notes.append(NOTHING_MEASURED)
    if taken.end < wide.end:
        notes.append(CUT.format(until=text))
    return " ".join(notes) or None


def worst_reason(status: Status, ratio: float, pairing: Pairing) -> str:
    """What the ratio of one of the worst vehicles says. It has a ratio, hence its status is not `unknown`."""
    text = BY_STATUS[status].format(percent=f"{ratio:.1%}", limit=f"{DEGRADED_UNDER:.0%}")
    return text + SHARED if pairing == "shared" else text
