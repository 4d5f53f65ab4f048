"""The coarse stage: whom the present meter does not fit, and with which meters minute by minute comparison is worth its reading."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Literal

import msgspec

from joulegate_db.pairing_candidates import MeterIndex
from joulegate_db.pairing_places import NotJudged, Places, Present
from joulegate_db.shape_fit import fit_coarse
from joulegate_db.shapes import Shape

FITS = 0.05
"""A vehicle whose present meter has a coarse error up to this has the right one; that meter is offered to nobody else.

Of right pairs 19 in 20 are under 0.03 (docs/pairing.md). A swap that is under it too is not seen: no other meter could be clearly better.
"""

MOST_EXAMINED = 1000
"""With more vehicles than this to be compared minute by minute (2,880,000 readings of a day) no other case is opened: a fleet in which
so many are in doubt has no pairing at all. The answer counts the vehicles left out; `vehicleId` asks for one of them."""

KEEPS_METER = frozenset({"fits", "shared_charge_point", "several_meters"})
"""A meter that fits is not offered to another vehicle, nor is one that is not one vehicle's alone."""

Verdict = Literal[NotJudged, "fits", "doubtful"]


class Case(msgspec.Struct, frozen=True):
    """A vehicle in doubt: its present meter, None when its charging has none, and the meters that may be its own."""

    vehicle: str
    present: str | None
    candidates: tuple[str, ...]

    @property
    def meters(self) -> tuple[str, ...]:
        """All meters that it is compared with."""
        return self.candidates if self.present is None else (self.present, *self.candidates)


class Plan(msgspec.Struct, frozen=True):
    """What is to be compared minute by minute, and what is known without.

    `compared`: by vehicle the meters, of those to be decided and of their rivals. `cases`: those to be decided: the vehicles in
    question that are in doubt (`open`), and the other sides of what may be swaps. `settled`: how many of those in question were judged
    without looking closer; `not_judged`: those that cannot be, and why.
    """

    compared: dict[str, set[str]]
    cases: dict[str, Case]
    open: tuple[str, ...]
    settled: int
    not_judged: dict[str, NotJudged]


def plan(vehicles: Mapping[str, Shape], meters: Mapping[str, Shape], asked: Collection[str]) -> Plan:
    """Plans the fine stage from the coarse shapes of the whole fleet, for the vehicles `asked`. One without a shape did not report."""
    places = Places(vehicles, meters.values())
    presents = {vehicle: places.present(vehicle) for vehicle in vehicles}
    verdicts = {vehicle: _verdict(shape, presents[vehicle], meters) for vehicle, shape in vehicles.items()}
    taken = {m for vehicle, verdict in verdicts.items() if verdict in KEEPS_METER for m in presents[vehicle].meters}
    index = MeterIndex(meter for device, meter in meters.items() if device not in taken)
    cases = {
        vehicle: Case(vehicle, presents[vehicle].meter, index.candidates(vehicles[vehicle], presents[vehicle].meter))
        for vehicle, verdict in verdicts.items()
        if verdict == "doubtful"
    }
    return _choose(cases, {vehicle: verdicts.get(vehicle, "did_not_charge") for vehicle in asked})


def _verdict(shape: Shape, present: Present, meters: Mapping[str, Shape]) -> Verdict:
    if present.not_judged is not None:
        return present.not_judged
    if present.meter is None:
        return "doubtful"
    fit = fit_coarse(shape, meters[present.meter])
    if fit is None:
        return "too_few_common_readings"
    return "fits" if fit.error <= FITS else "doubtful"


def _choose(cases: Mapping[str, Case], verdicts: Mapping[str, Verdict]) -> Plan:
    """Takes the cases in question, each with all that it can only be decided with, as long as they are not too many."""
    wanted = _wanted(cases)
    chosen = Plan(compared=defaultdict(set), cases={}, open=(), settled=0, not_judged={})
    settled, still_open = 0, []
    for vehicle, verdict in sorted(verdicts.items()):
        if verdict == "fits" or (verdict == "doubtful" and not cases[vehicle].candidates):
            settled += 1
        elif verdict != "doubtful":
            chosen.not_judged[vehicle] = verdict
        elif len(chosen.compared) > MOST_EXAMINED:
            chosen.not_judged[vehicle] = "too_many_to_examine"
        else:
            still_open.append(vehicle)
            for case in (cases[vehicle], *_other_sides(cases[vehicle], cases, wanted)):
                _compare(case, wanted, chosen)
    return msgspec.structs.replace(chosen, open=tuple(still_open), settled=settled)


def _compare(case: Case, wanted: Mapping[str, set[str]], chosen: Plan) -> None:
    """Adds a case to what is decided: it is compared with its meters, and so is whoever else might want one of these."""
    chosen.cases[case.vehicle] = case
    chosen.compared[case.vehicle].update(case.meters)
    for meter in case.candidates:
        for rival in wanted[meter]:
            chosen.compared[rival].add(meter)


def _wanted(cases: Mapping[str, Case]) -> dict[str, set[str]]:
    """By meter: the vehicles in doubt that have it, or might."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for case in cases.values():
        for meter in case.meters:
            wanted[meter].add(case.vehicle)
    return wanted


def _other_sides(case: Case, cases: Mapping[str, Case], wanted: Mapping[str, set[str]]) -> list[Case]:
    """The vehicles with which this one may have swapped meters: each has at present what might be the other's."""
    others = sorted({vehicle for meter in case.candidates for vehicle in wanted[meter]})
    return [
        cases[vehicle]
        for vehicle in others
        if cases[vehicle].present in case.candidates and case.present in cases[vehicle].candidates
    ]
