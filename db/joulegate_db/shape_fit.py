"""How well a meter's shape fits a vehicle's: the share of energy that does not match.

With x the vehicle's DC and y the meter's AC in the slots in which both reported, and r = sum(x) / sum(y) their ratio, kept within what a
charger can have:

    error = sum |x - r y| / sum (x + r y)

0: the same shape. 1: never a slot in which both charge. A meter that runs for an hour too long beside three right ones has an error of
about 1/7. The width of the slots hardly matters for it: what differs is the energy between the two starts, and the two stops.
"""

from collections.abc import Sequence

import msgspec

from joulegate_db.shapes import Minutes, Shape

LOWEST_RATIO = 0.4
HIGHEST_RATIO = 1.05
"""DC/AC of a charger: one that wastes more than half is broken in a way that shapes do not tell, and no meter is 5 % low."""

LONGEST_LAG = 2
"""Minutes by which the two clocks may be apart: 90 s of skew, and half a minute between the two devices' phases."""

ENOUGH_IN_COMMON = 0.8
"""So much of a vehicle's charging must lie in slots in which the meter reported too."""


class Fit(msgspec.Struct, frozen=True):
    """`error` from 0 to 1; `ratio` DC/AC over the same slots, None without AC; `slots` in which one of the two charges."""

    error: float
    ratio: float | None
    slots: int


def fit_coarse(vehicle: Shape, meter: Shape) -> Fit | None:
    """The fit in 15-minute buckets; None when too little of the vehicle's charging is known of the meter."""
    return _fit_at(vehicle.means, vehicle.charging, meter.means, meter.charging, 0)


def fit_fine(vehicle: Minutes, meter: Minutes) -> Fit | None:
    """The fit in minutes at the lag of the two clocks that suits best; None when too few minutes are known of both."""
    lags = range(-LONGEST_LAG, LONGEST_LAG + 1)
    fits = [_fit_at(vehicle.kwh, vehicle.charging, meter.kwh, meter.charging, lag) for lag in lags]
    return min((fit for fit in fits if fit is not None), key=lambda fit: fit.error, default=None)


def _fit_at(
    dc: Sequence[float], dc_charging: Sequence[int], ac: Sequence[float], ac_charging: Sequence[int], lag: int
) -> Fit | None:
    """The fit when the meter's slot `n + lag` is the vehicle's slot `n`."""
    inside = range(max(0, -lag), min(len(dc), len(ac) - lag))
    pairs = [(dc[slot], ac[slot + lag]) for slot in dc_charging if slot in inside and ac[slot + lag] >= 0]
    if len(pairs) < ENOUGH_IN_COMMON * len(dc_charging):
        return None
    pairs += [(0.0, ac[slot]) for slot in ac_charging if slot - lag in inside and dc[slot - lag] == 0]
    return _fit(pairs)


def _fit(pairs: Sequence[tuple[float, float]]) -> Fit:
    dc = sum(x for x, _ in pairs)
    ac = sum(y for _, y in pairs)
    if not ac:
        return Fit(1.0, None, len(pairs))
    ratio = dc / ac
    scale = min(max(ratio, LOWEST_RATIO), HIGHEST_RATIO)
    error = sum(abs(x - scale * y) for x, y in pairs) / (dc + scale * ac)
    return Fit(error, ratio, len(pairs))
