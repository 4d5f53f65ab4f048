"""The score: by hand, and from the simulator through broker, gateway and database to the HTTP API and back."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from joulegate_simulator.score import Point, RaisedAlert, Truth, score_answers
from joulegate_simulator.truth_files import Heading, TruthLine
from up_harness import PROGRAM, Up, running

TEN = datetime(2026, 11, 25, 10, tzinfo=UTC)
QUARTER = timedelta(minutes=15)

SCENARIO = """
title = "Six charge points: one wastes energy, one has a dead meter, one a stuck sensor"
[fleet]
starts_charging = 1.0
[driving]
away_hours = [0.5, 1.5]
stay_hours = 0.5
[faults.charger_degraded]
share = 0
first = 2
[faults.meter_dead]
share = 0
first = 5
[faults.sensor_stuck]
share = 0
first = 3
"""


def line(number: int, ac: float, dc: float, *faults: str, vehicle: str = "v-1") -> TruthLine:
    return TruthLine(vehicle, TEN + number * QUARTER, "cp-1", f"m-{vehicle[2:]}", ac, dc, dc / ac, list(faults))


class Given:
    """Answers as they are given."""

    def __init__(self, series: Mapping[str, list[Point]], alerts: list[RaisedAlert]) -> None:
        self._series = series
        self._alerts = alerts

    def series(self, vehicle_id: str, start: datetime, end: datetime) -> Mapping[datetime, Point]:
        assert (start, end) == (TEN, TEN + 4 * QUARTER)
        return {TEN + n * QUARTER: point for n, point in enumerate(self._series.get(vehicle_id, []))}

    def alerts(self) -> Iterable[RaisedAlert]:
        return self._alerts


def test_a_score_worked_by_hand() -> None:
    lines = {
        "v-1": [line(0, 1.0, 0.9), line(1, 1.0, 0.8), line(2, 1.0, 0.8), line(3, 0.1, 0.01, "grid_outage:site-1")],
        # the meter of an empty charge point is off in an outage, and the vehicle on the road is not
        "v-3": [line(0, 0.1, 0.01, "grid_outage:m-3", vehicle="v-3")],
        "v-2": [line(0, 2.0, 1.8, "meter_dead:m-2", vehicle="v-2"), line(1, 2.0, 1.8, "silent:v-2", vehicle="v-2")],
    }
    truth = Truth(
        Heading("x", 1, 2, backfilled=False), {v: {one.bucket: one for one in some} for v, some in lines.items()}
    )
    answers = Given(
        {
            "v-1": [Point(1.2, 0.9), Point(1.0, 0.8), Point(None, None), Point(0.1, 0.01)],
            "v-2": [],
            "v-3": [Point(0.1, 0.01)],
        },
        [
            RaisedAlert("low_efficiency", "v-1", TEN),
            RaisedAlert("low_efficiency", "v-2", TEN),
            RaisedAlert("low_efficiency", "v-9", TEN),  # not of this fleet
            RaisedAlert("silent_device", "v-2", TEN - QUARTER),  # before it
            RaisedAlert("silent_device", "v-1", TEN),  # an outage silences the vehicle and its meter
            RaisedAlert("silent_device", "m-1", TEN + QUARTER),
            RaisedAlert("silent_device", "m-3", TEN),
            RaisedAlert("silent_device", "m-2", TEN),  # its vehicle was silent, not the meter
            RaisedAlert("implausible", "v-2", TEN),
        ],
    )
    score = score_answers(truth, answers)
    found = {name: (tally.right, tally.wrong, tally.missed) for name, tally in score.tallies.items()}
    assert found == {
        "quarters of an hour under 85 %": (
            1,
            1,
            1,
        ),  # 0.9/1.2 is wrong, nothing answered is missed, 0.1 kWh is not judged
        "alerts low_efficiency": (1, 1, 0),
        "alerts implausible": (1, 0, 0),
        "alerts register_reset": (0, 0, 0),
        "alerts silent_device": (3, 1, 1),
    }
    assert score.tallies["alerts low_efficiency"].precision == 0.5
    assert score.tallies["alerts register_reset"].recall is None
    assert score.ac_error == pytest.approx((0.2 + 1.0 + 4.0) / 7.2)
    assert score.dc_error == pytest.approx((0.8 + 3.6) / 6.12)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """An `up` without a fleet of its own."""
    yield from running(tmp_path_factory.mktemp("up"), devices=0)


@pytest.mark.slow
def test_from_the_simulator_through_everything_and_back(up: Up, tmp_path: Path) -> None:
    (tmp_path / "six.toml").write_text(SCENARIO)
    truth = tmp_path / "truth.jsonl"
    url = {"JOULEGATE_MQTT_URL": f"mqtt://127.0.0.1:{up.ports['mqtt']}"}

    def simulate(*arguments: str) -> str:
        command = [sys.executable, "-c", PROGRAM, "simulate", *arguments]
        environ = os.environ | up.environ | url
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    output = simulate(
        "--scenario", str(tmp_path / "six.toml"), "--devices", "6", "--backfill", "14h", "--truth", str(truth)
    )
    assert "10,080 readings published, 10,080 acknowledged" in output
    deadline = time.monotonic() + 90
    while True:  # until the gateway has rolled and evaluated
        rows = {row[:32].strip(): row[32:].split() for row in simulate("score", str(truth)).splitlines()[3:]}
        if rows["alerts low_efficiency"][0] == rows["alerts implausible"][0] == "1" or time.monotonic() > deadline:
            break
        time.sleep(1)
    quarters = rows["quarters of an hour under 85 %"]
    assert int(quarters[0]) > 10
    assert quarters[1:] == ["0", "0", "100.0%", "100.0%"]
    for kind in ("low_efficiency", "implausible"):
        assert rows[f"alerts {kind}"] == ["1", "0", "0", "100.0%", "100.0%"]
    assert rows["alerts register_reset"] == ["0", "0", "0", "-", "-"]
