"""The energy of register readings: differences, and what to make of a counter that goes back or leaps.

A register is a cumulative counter. With p the last accepted reading, r this one and n the next, in timestamp order whatever the order
of arrival:

- r fits p (no decrease, no more than the hardware can deliver in the time): the energy is r - p.
- r does not fit p but n does: r is a **glitch**, energy 0, and never a baseline (1000 -> 0 -> 1001 is 1).
- r does not fit p and there is no n yet: 0, **provisional**, counted nowhere.
- otherwise a decrease is a **reset** (energy r, 0 when r itself is more than can be delivered), an increase a **jump** (energy 0).

docs/energy.md works examples. The state between two readings is p alone, so that a computation can begin wherever p is known.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

GAP = timedelta(seconds=90)
"""Readings further apart have a gap between them; a difference across it is *recovered*."""

Outcome = Literal["first", "difference", "recovered", "glitch", "reset", "jump", "provisional"]


class Counter(msgspec.Struct, frozen=True, gc=False):
    """A register reading: when, and what the counter showed, in kWh."""

    ts: datetime
    kwh: float


class Energy(msgspec.Struct, frozen=True, gc=False):
    """What a reading is worth, in kWh, and how that came about."""

    kwh: float
    outcome: Outcome


class Limits(msgspec.Struct, frozen=True):
    """The most that the hardware can deliver, in kW, and how far back p is looked for."""

    max_kw: float
    look_back: timedelta

    def fits(self, earlier: Counter, later: Counter) -> bool:
        """Whether `later` continues `earlier`'s counter. Exactly the cap still fits."""
        return 0 <= later.kwh - earlier.kwh <= self.deliverable(earlier, later)

    def deliverable(self, earlier: Counter, later: Counter) -> float:
        """The most energy in kWh that can pass between the two readings."""
        return self.max_kw * (later.ts - earlier.ts).total_seconds() / 3600


def energies(
    readings: Sequence[Counter], baseline: Counter | None, following: Counter | None, limits: Limits
) -> Iterator[tuple[Energy, Counter | None]]:
    """Walks along one device's readings in order of time.

    Args:
        readings: consecutive readings of the device, without one left out.
        baseline: the last accepted reading before them; None when there is none.
        following: the reading after the last of them; None when there is none yet.

    Yields:
        For each reading its energy, and the last accepted reading *before* it: where a computation can begin again.
    """
    accepted = baseline
    for index, reading in enumerate(readings):
        before = accepted
        upcoming = readings[index + 1] if index + 1 < len(readings) else following
        energy = _judge(accepted, reading, upcoming, limits)
        yield energy, before
        if energy.outcome != "glitch":
            accepted = reading


def _judge(p: Counter | None, r: Counter, n: Counter | None, limits: Limits) -> Energy:
    if p is None or r.ts - p.ts > limits.look_back:
        return Energy(0.0, "first")
    if limits.fits(p, r):
        return Energy(r.kwh - p.kwh, "recovered" if r.ts - p.ts > GAP else "difference")
    if n is None:
        return Energy(0.0, "provisional")
    if limits.fits(p, n):
        return Energy(0.0, "glitch")
    if r.kwh < p.kwh:
        return Energy(r.kwh if r.kwh <= limits.deliverable(p, r) else 0.0, "reset")
    return Energy(0.0, "jump")
