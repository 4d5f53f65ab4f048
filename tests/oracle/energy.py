"""Section 5: the energy of each reading, interval or register."""

from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from oracle.model import EnergyKind, Point

GAP = timedelta(seconds=90)
"""Readings further apart than this have a gap between them (section 4, `gapMinutes`)."""


class Outcome(StrEnum):
    """How a reading's energy came about."""

    INTERVAL = "interval"  # as published
    FIRST = "first"  # a register without an earlier reading to compare with
    DIFFERENCE = "difference"
    RECOVERED = "recovered"  # a difference across a gap
    GLITCH = "glitch"
    RESET = "reset"
    JUMP = "jump"
    PROVISIONAL = "provisional"  # the newest reading does not fit, and nothing tells yet why


PointT = TypeVar("PointT", bound=Point)


class Judged(NamedTuple, Generic[PointT]):
    """A reading, its energy in kWh, and how that came about."""

    point: PointT
    energy: float
    outcome: Outcome


def energies(points: Iterable[PointT], kind: EnergyKind, max_kw: float, lookback: timedelta) -> list[Judged[PointT]]:
    """The energy of every reading of ONE device, in timestamp order, whatever the order of `points`."""
    ordered = sorted(points, key=lambda point: point.ts)
    if kind == "interval":
        return [Judged(point, point.kwh, Outcome.INTERVAL) for point in ordered]
    judged: list[Judged[PointT]] = []
    last_accepted: PointT | None = None
    for index, this in enumerate(ordered):
        following = ordered[index + 1] if index + 1 < len(ordered) else None
        too_old = last_accepted is not None and this.ts - last_accepted.ts > lookback
        energy, outcome = judge(None if too_old else last_accepted, this, following, max_kw)
        judged.append(Judged(this, energy, outcome))
        if outcome is not Outcome.GLITCH:  # a glitch is never a baseline; all else is
            last_accepted = this
    return judged


def judge(p: Point | None, r: Point, n: Point | None, max_kw: float) -> tuple[float, Outcome]:
    """The energy of register reading `r`: `p` is the last accepted reading, `n` the next one (the text's letters)."""
    if p is None:
        return 0.0, Outcome.FIRST
    if fits(p, r, max_kw):
        return r.kwh - p.kwh, Outcome.RECOVERED if r.ts - p.ts > GAP else Outcome.DIFFERENCE
    if n is None:
        return 0.0, Outcome.PROVISIONAL
    if fits(p, n, max_kw):
        return 0.0, Outcome.GLITCH
    if r.kwh < p.kwh:
        return (r.kwh if r.kwh <= deliverable(p, r, max_kw) else 0.0), Outcome.RESET
    return 0.0, Outcome.JUMP


def fits(earlier: Point, later: Point, max_kw: float) -> bool:
    """Whether `later` continues `earlier`'s register: no decrease, no more than the hardware can deliver."""
    return 0 <= later.kwh - earlier.kwh <= deliverable(earlier, later, max_kw)


def deliverable(earlier: Point, later: Point, max_kw: float) -> float:
    """The most energy in kWh that the hardware can deliver between the two readings."""
    return max_kw * (later.ts - earlier.ts).total_seconds() / 3600
