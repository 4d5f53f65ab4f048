"""docs/performance.md says what the records in bench/ say."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from figures.svg import Line, plot
from figures.tables import table

ROOT = Path(__file__).parent.parent


def test_the_document_is_made_from_the_records() -> None:
    command = [sys.executable, "-m", "figures", "--check"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": "bench"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), "run `make figures`"


def test_a_missed_target_is_said() -> None:
    assert "<= 90 MISSED" in table("storage")


def test_each_case_has_its_own_targets() -> None:
    """Two cases with the same figures: only the fleet's has a target for CPU."""
    sustained, fleet = table("latency").split("| fleet of 20,000 devices")
    assert "<= 1,000 |" in sustained
    assert "<= 3" not in sustained
    assert "<= 3" in fleet


def test_a_plot_shows_every_point() -> None:
    svg = plot("t", "x", [Line("a < b", [(1, 2), (10, 4), (100, 3)]), Line("c", [(1, 1), (100, 1)])])
    root = ET.fromstring(svg)
    assert len(root.findall(".//{*}circle")) == 5
    heights = [float(circle.attrib["cy"]) for circle in root.findall(".//{*}circle")]
    assert heights[1] < heights[2] < heights[0] < heights[3]
