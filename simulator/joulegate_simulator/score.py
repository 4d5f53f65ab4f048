"""Compares what joulegate answers with what was true: precision, recall, and the error of the energies."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import msgspec

from joulegate_core.errors import JoulegateError
from joulegate_simulator.truth_files import Heading, TruthLine, read_truth_file

BUCKET = timedelta(minutes=15)
DAY = timedelta(hours=24)
THRESHOLD = 0.85
QUARTER_KWH = 0.25
"""Quarters of an hour with less AC are not judged: standby and the first minutes of a charge have no efficiency of a charger's."""
DAY_KWH = 1.0
"""As `JOULEGATE_ALERT_MIN_KWH`."""
SILENCES = {"silent", "offline", "grid_outage"}


class Truth(msgspec.Struct, frozen=True):
    """A truth file: its heading, and its lines by vehicle and bucket."""

    heading: Heading
    lines: dict[str, dict[datetime, TruthLine]]

    @property
    def window(self) -> tuple[datetime, datetime]:
        """From the first bucket's start to the last one's end."""
        buckets = [bucket for lines in self.lines.values() for bucket in lines]
        return min(buckets), max(buckets) + BUCKET


class Point(msgspec.Struct, frozen=True):
    """What was answered for one vehicle and bucket; kWh, None when nothing was measured or attributed."""

    ac: float | None
    dc: float | None


class RaisedAlert(msgspec.Struct, frozen=True):
    """An alert that was raised."""

    kind: str
    device: str
    opened_at: datetime


class Answers(Protocol):
    """Who answers: the HTTP API."""

    def series(self, vehicle_id: str, start: datetime, end: datetime) -> Mapping[datetime, Point]:
        """The vehicle's quarters of an hour, by their start; none for a vehicle that was never seen."""
        ...

    def alerts(self) -> Iterable[RaisedAlert]:
        """All alerts, open and closed."""
        ...


class Tally(msgspec.Struct):
    """How many were rightly found, wrongly found, and missed."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    def add(self, *, expected: bool, found: bool) -> None:
        """One case."""
        self.right += expected and found
        self.wrong += found and not expected
        self.missed += expected and not found

    @property
    def precision(self) -> float | None:
        """Share of the findings that are right; None without any."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else None

    @property
    def recall(self) -> float | None:
        """Share of the expected that was found; None when there was nothing to find."""
        return self.right / (self.right + self.missed) if self.right + self.missed else None


class Score(msgspec.Struct):
    """The result. `tallies`: by what was to be found. `ac_error`, `dc_error`: sum of |answer - truth| over the sum of the truth."""

    tallies: dict[str, Tally]
    vehicles: int
    ac_error: float
    dc_error: float


def read_truth(path: Path) -> Truth:
    """Reads a truth file.

    Raises:
        JoulegateError: it cannot be read, or is none; it names the line.
    """
    read = 0
    lines: dict[str, dict[datetime, TruthLine]] = {}
    try:
        heading, every_line = read_truth_file(path)
        read = 1
        for line in every_line:
            read += 1
            lines.setdefault(line.vehicle_id, {})[line.bucket] = line
    except OSError as error:
        raise JoulegateError(f"the truth file {path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise JoulegateError(
            f"{path} is not a truth file of `joulegate simulate --truth`: line {read + 1}: {error}"
        ) from None
    if not lines:
        raise JoulegateError(f"{path} holds no quarter of an hour: simulate for longer")
    return Truth(heading, lines)


def score_answers(truth: Truth, answers: Answers) -> Score:
    """Asks for every vehicle's series and for the alerts, and compares."""
    start, end = truth.window
    quarters = Tally()
    error_ac = error_dc = true_ac = true_dc = 0.0
    for vehicle_id, lines in truth.lines.items():
        points = answers.series(vehicle_id, start, end)
        for bucket, line in lines.items():
            point = points.get(bucket, Point(None, None))
            true_ac += line.kwh_ac
            true_dc += line.kwh_dc
            error_ac += abs((point.ac or 0.0) - line.kwh_ac)
            error_dc += abs((point.dc or 0.0) - line.kwh_dc)
            if line.kwh_ac >= QUARTER_KWH:
                quarters.add(expected=_degraded(line.kwh_ac, line.kwh_dc), found=_degraded(point.ac, point.dc))
    tallies = {"quarters of an hour under 85 %": quarters, **_score_alerts(truth, list(answers.alerts()))}
    return Score(tallies, len(truth.lines), error_ac / max(true_ac, 1e-9), error_dc / max(true_dc, 1e-9))


def _score_alerts(truth: Truth, alerts: Iterable[RaisedAlert]) -> dict[str, Tally]:
    start, end = truth.window
    day = {
        vehicle_id: [line for bucket, line in lines.items() if bucket >= end - DAY]
        for vehicle_id, lines in truth.lines.items()
    }
    lines = [line for of_vehicle in truth.lines.values() for line in of_vehicle.values()]
    meters = {line.meter_id for line in lines if line.meter_id is not None}
    expected: dict[str, set[str]] = {
        "low_efficiency": {name for name, lines in day.items() if _wasted(lines)},
        "implausible": {name for name, lines in day.items() if _unmeasured(lines)},
        "register_reset": _struck(lines, {"register_reset"}),
    }
    if not truth.heading.backfilled:  # silence is judged by the time of reception
        expected["silent_device"] = _struck(lines, SILENCES)
    devices = meters | set(truth.lines)
    tallies: dict[str, Tally] = {}
    for kind, names in expected.items():
        raised = {alert.device for alert in alerts if alert.kind == kind and alert.opened_at >= start}
        tally = tallies[f"alerts {kind}"] = Tally()
        for device in devices:
            tally.add(expected=device in names, found=device in raised)
    return tallies


def _degraded(ac: float | None, dc: float | None) -> bool:
    return ac is not None and dc is not None and ac > 0.0 and dc / ac < THRESHOLD


def _wasted(lines: Iterable[TruthLine]) -> bool:
    ac, dc = _sums(lines)
    return ac >= DAY_KWH and dc / ac < THRESHOLD


def _unmeasured(lines: Iterable[TruthLine]) -> bool:
    """Whether more DC arrived than a meter that was dead at times can have shown."""
    lines = list(lines)
    _, dc = _sums(lines)
    shown, _ = _sums(line for line in lines if not any(fault.startswith("meter_dead:") for fault in line.faults))
    return dc >= DAY_KWH and dc > shown


def _sums(lines: Iterable[TruthLine]) -> tuple[float, float]:
    ac = dc = 0.0
    for line in lines:
        ac += line.kwh_ac
        dc += line.kwh_dc
    return ac, dc


def _struck(lines: Iterable[TruthLine], faults: set[str]) -> set[str]:
    """The devices that had one of these faults. A site's outage silences what is plugged in there, and its meter."""
    struck: set[str] = set()
    for line in lines:
        for fault in line.faults:
            name, _, device = fault.partition(":")
            if name not in faults:
                continue
            if name == "grid_outage" and device.startswith("site-"):
                struck |= {line.vehicle_id, line.meter_id or line.vehicle_id}
            else:
                struck.add(device)
    return struck
