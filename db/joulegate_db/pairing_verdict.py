"""The fine stage: whether another meter fits a vehicle clearly better than its own, than the next best, and than any other vehicle."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from math import inf

import msgspec

from joulegate_db.pairing_places import NotJudged
from joulegate_db.pairing_plan import Plan
from joulegate_db.shape_fit import Fit, fit_fine
from joulegate_db.shapes import Minutes

FEWEST_MINUTES = 30
"""Charging minutes: with less, the uncertainty of a minute at the start and at the stop is a tenth of the shape."""

HIGHEST_ERROR = 0.06
"""A meter that does not fit a vehicle so well is not suggested."""

LEAST_MARGIN = 0.05
"""By so much must the present meter's error be the larger one, and three times as large."""

LEAST_LEAD = 0.01
"""By so much must the next best meter's error, and that of the next best vehicle, be larger, and twice as large."""

Fits = dict[str, Fit | None]
"""By meter."""


class Evidence(msgspec.Struct, frozen=True):
    """What speaks for a meter. Errors are shares of energy that does not match, from 0 to 1; ratios are DC/AC.

    `slots`: minutes in which vehicle or suggested meter charge; `sessions` of the vehicle. `present_...` and `margin` (present error
    less suggested error) are None without a present meter, `next_error` (the next best meter's, or the next best vehicle's
    for this meter, whichever is lower) when nothing else comes near.
    """

    slots: int
    sessions: int
    present_error: float | None
    suggested_error: float
    margin: float | None
    next_error: float | None
    present_ratio: float | None
    suggested_ratio: float | None


class Match(msgspec.Struct, frozen=True):
    """A vehicle and the meter that fits it clearly better than the one it has."""

    vehicle: str
    present: str | None
    meter: str
    evidence: Evidence


class Verdicts:
    """The fine fits of all that is compared, and what follows for the cases."""

    def __init__(self, planned: Plan, dc: Mapping[str, Minutes], ac: Mapping[str, Minutes]) -> None:
        self._cases = planned.cases
        self._dc = dc
        self._fits = {vehicle: _fits(vehicle, meters, dc, ac) for vehicle, meters in planned.compared.items()}
        self._errors: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for vehicle, fits in self._fits.items():
            for meter, fit in fits.items():
                if fit is not None:
                    self._errors[meter].append((vehicle, fit.error))

    def of(self, vehicle: str) -> Match | NotJudged | None:
        """A better meter; why there is no telling; or None: the present one is right, or nothing fits clearly better."""
        case, fits = self._cases[vehicle], self._fits[vehicle]
        if vehicle not in self._dc or len(self._dc[vehicle].charging) < FEWEST_MINUTES:
            return "too_little_charging"
        present = fits[case.present] if case.present else None
        if case.present and present is None:
            return "too_few_common_readings"
        known = {meter: fit for meter in case.candidates if (fit := fits[meter]) is not None}
        meter = min(known, key=lambda one: known[one].error, default=None)
        if meter is None:
            return None
        best = known.pop(meter)
        rivals = [error for other, error in self._errors[meter] if other != vehicle]
        lowest_other = min([fit.error for fit in known.values()] + rivals, default=inf)
        if not _is_clear(best.error, present.error if present else inf, lowest_other):
            return None
        evidence = self._evidence(vehicle, present, best, lowest_other)
        return Match(vehicle, case.present, meter, evidence)

    def _evidence(self, vehicle: str, present: Fit | None, best: Fit, lowest_other: float) -> Evidence:
        return Evidence(
            slots=best.slots,
            sessions=self._dc[vehicle].sessions(),
            present_error=present.error if present else None,
            suggested_error=best.error,
            margin=present.error - best.error if present else None,
            next_error=None if lowest_other == inf else lowest_other,
            present_ratio=present.ratio if present else None,
            suggested_ratio=best.ratio,
        )


def _fits(vehicle: str, meters: Iterable[str], dc: Mapping[str, Minutes], ac: Mapping[str, Minutes]) -> Fits:
    minutes = dc.get(vehicle)
    return {meter: fit_fine(minutes, ac[meter]) if minutes and meter in ac else None for meter in meters}


def _is_clear(best: float, present: float, other: float) -> bool:
    fits = best <= HIGHEST_ERROR
    better = present >= max(3 * best, best + LEAST_MARGIN)
    alone = other >= max(2 * best, best + LEAST_LEAD)
    return fits and better and alone
