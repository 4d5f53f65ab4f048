"""Why something in a performance answer is null, in one sentence that says what to do."""

from collections.abc import Collection

NAMED_CHARGE_POINTS = 3

NO_READINGS = (
    "No reading of this vehicle lies in the window: choose another window with from and to, "
    "or check that the vehicle publishes to fleet/{chargePoint}/vehicle."
)
OWN_ID = (
    "The vehicle publishes under its own id as the charge point (fleet/%s/vehicle), where no meter reported in the window: "
    "publish both streams under the same charge point id, or add a link between the vehicle and its meter."
)
NO_METER = (
    "No meter reported in the window where the vehicle was (%s): "
    "check that a meter publishes to fleet/{chargePoint}/meter with the same charge point id, or add a link."
)
NO_AC = (
    "The AC energy in the window is zero, so there is no ratio: choose a window in which the vehicle charged, "
    "or check the meter when DC is above zero."
)


def missing(
    vehicle: str, charge_points: Collection[str], *, dc: float | None, ac: float | None, ratio: float | None
) -> str | None:
    """The reason for the nulls among the three figures, None when nothing is missing.

    Args:
        charge_points: where the vehicle was in the window's buckets.
        dc, ac, ratio: the figures of the answer. The mean temperature is null exactly when `dc` is.
    """
    if dc is None:
        return NO_READINGS
    if ac is None:
        return OWN_ID % vehicle if set(charge_points) == {vehicle} else NO_METER % _named(charge_points)
    return NO_AC if ratio is None else None


def _named(charge_points: Collection[str]) -> str:
    names = sorted(charge_points)
    rest = len(names) - NAMED_CHARGE_POINTS
    return ", ".join(names[:NAMED_CHARGE_POINTS]) + (f" and {rest} more" if rest > 0 else "")
