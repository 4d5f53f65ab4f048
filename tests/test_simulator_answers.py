"""Each shipped scenario's fleet for a day through decoder, writer, roller, alerts and HTTP API, scored against its truth.

The bounds are not what came out: they are what the faults of the scenario leave possible (docs/simulator.md, "Scores").
"""

from pathlib import Path

import msgspec
import pytest

from joulegate_simulator.scenario import shipped
from joulegate_simulator.score import Score
from scores.day import Day, score_day


class Bounds(msgspec.Struct, frozen=True):
    """The most by which energies are wrong, the least precision and recall of the quarters under 85 %, and of the alerts by kind.

    `alerts`: most wrong, most missed; what is not named has none.
    """

    ac: float
    dc: float
    precision: float
    recall: float
    alerts: dict[str, tuple[int, int]] = {}


EXACT = Bounds(0.002, 1e-6, 1.0, 1.0)
"""Faults that lose nothing. The AC is wrong by the standby draw of vehicles that are away and report at their charge point."""

BOUNDS = {
    "everyday": EXACT,
    # vans change charge points, and an alert that was opened under 85 % stays up to 87 %
    "depot-overnight": Bounds(1e-4, 1e-6, 1.0, 1.0, {"low_efficiency": (1, 0)}),
    # a spell of silence that is as short as five intervals may be missed
    "grid-outage": Bounds(0.002, 1e-6, 1.0, 1.0, {"silent_device": (0, 2)}),
    # meters that are dead, drift and reset, and payloads that are lost
    "failing-charger": Bounds(
        0.05, 0.01, 0.9, 0.9, {"low_efficiency": (1, 1), "implausible": (1, 0), "register_reset": (0, 1)}
    ),
    # meters that drift look like chargers that waste, or like more DC than AC
    "heat-wave": Bounds(0.01, 1e-6, 0.75, 0.95, {"low_efficiency": (1, 0), "implausible": (1, 0)}),
    # one reading in fifty is lost: single quarters of an hour are no evidence, a day is
    "winter": Bounds(0.035, 0.035, 0.35, 0.7, {"silent_device": (0, 2)}),
    # a shared meter says nothing about which of two vehicles wastes
    "public-fast": Bounds(0.02, 1e-6, 0.6, 0.3, {"low_efficiency": (4, 2), "silent_device": (0, 1)}),
}

DEVICES = {"depot-overnight": 20, "failing-charger": 30, "public-fast": 24}
"""Charge points; 16 where nothing is said. Enough for each fault of the scenario to strike."""


def test_there_are_bounds_for_every_shipped_scenario() -> None:
    assert set(BOUNDS) == {path.stem for path in shipped()}


@pytest.mark.slow
@pytest.mark.parametrize("scenario", sorted(BOUNDS))
async def test_the_answers_about_a_shipped_scenario(scenario: str, database_url: str, tmp_path: Path) -> None:
    day = Day(scenario=scenario, devices=DEVICES.get(scenario, 16), round_minutes=15)
    score = await score_day(day, database_url, tmp_path)
    bounds = BOUNDS[scenario]
    assert score.ac_error <= bounds.ac, score
    assert score.dc_error <= bounds.dc, score
    quarters = score.tallies["quarters of an hour under 85 %"]
    assert quarters.right >= 10, "the scenario has nothing to find"
    assert quarters.precision is not None
    assert quarters.recall is not None
    assert quarters.precision >= bounds.precision, score
    assert quarters.recall >= bounds.recall, score
    assert _exceeding(score, bounds) == {}, score
    assert score.tallies["alerts low_efficiency"].right >= 1, "an operator is not told of the charger that wastes"


def _exceeding(score: Score, bounds: Bounds) -> dict[str, tuple[int, int]]:
    """The kinds of alert with more wrong or missed ones than the bounds have."""
    found = {name.removeprefix("alerts "): tally for name, tally in score.tallies.items() if name.startswith("alerts ")}
    none = (0, 0)
    return {
        kind: (tally.wrong, tally.missed)
        for kind, tally in found.items()
        if tally.wrong > bounds.alerts.get(kind, none)[0] or tally.missed > bounds.alerts.get(kind, none)[1]
    }
