"""Truth files: the same as JSON lines and as Parquet, and what is said of those that cannot be written or read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from joulegate_core.errors import JoulegateError
from joulegate_simulator import truth_files
from joulegate_simulator.fault_plan import FaultPlan
from joulegate_simulator.fleet import build_fleet
from joulegate_simulator.scenario import load_scenario
from joulegate_simulator.score import Truth, read_truth
from joulegate_simulator.simulated_site import SimulatedSite
from joulegate_simulator.truth import TruthWriter
from joulegate_simulator.truth_files import Heading

START = datetime(2026, 11, 24, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
HEADING = Heading("failing-charger", 3, 10, backfilled=True)


def written(path: Path) -> Truth:
    """Two hours of ten charge points, written and read again."""
    scenario = load_scenario(HEADING.scenario)
    plan = FaultPlan(HEADING.seed, scenario.faults)
    fleet = build_fleet(HEADING.devices, HEADING.seed, scenario=scenario, at_ms=START_MS)
    with TruthWriter(path, HEADING) as writer:
        for site in (SimulatedSite(site, scenario, plan, START_MS, writer) for site in fleet):
            for minute in range(120):
                list(site.step(START_MS + minute * 60_000, 60))
    return read_truth(path)


def test_parquet_and_json_lines_hold_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = written(tmp_path / "truth.jsonl")
    monkeypatch.setattr("joulegate_simulator.truth_parquet.ROW_GROUP", 7)  # several groups, the last one not full
    assert written(tmp_path / "truth.parquet") == lines
    assert lines.heading == HEADING
    assert {len(buckets) for buckets in lines.lines.values()} == {8}
    assert lines.window == (START, START + timedelta(hours=2))
    table = pq.read_table(tmp_path / "truth.parquet")
    names = ["vehicleId", "bucket", "chargePoint", "meterId", "kwhAc", "kwhDc", "efficiency", "faults"]
    assert table.column_names == names
    assert table.num_rows == 80
    assert sum(table.column("kwhAc").to_pylist()) == pytest.approx(
        sum(line.kwh_ac for buckets in lines.lines.values() for line in buckets.values())
    )


@pytest.mark.parametrize("name", ["truth.jsonl", "truth.parquet"])
def test_a_file_that_cannot_be_written_or_is_none_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(JoulegateError, match=f"{name} cannot be written: No such file"):
        written(tmp_path / "nowhere" / name)
    with pytest.raises(JoulegateError, match=f"{name} cannot be read: "):
        read_truth(tmp_path / name)
    (tmp_path / name).write_bytes(b"something else\n")
    with pytest.raises(JoulegateError, match=f"{name} is not a truth file of `joulegate simulate --truth`: line 1: "):
        read_truth(tmp_path / name)


def test_parquet_of_something_else_is_none(tmp_path: Path) -> None:
    written(tmp_path / "truth.parquet")
    table = pq.read_table(tmp_path / "truth.parquet")
    pq.write_table(table.replace_schema_metadata({}), tmp_path / "other.parquet")
    with pytest.raises(JoulegateError, match="is not a truth file"):
        read_truth(tmp_path / "other.parquet")


def test_without_pyarrow_parquet_is_refused_with_what_to_install_and_json_lines_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truth_files, "find_spec", lambda _name: None)
    with pytest.raises(JoulegateError, match=r"pip install 'joulegate\[archive\]', or give a name that ends in .jsonl"):
        written(tmp_path / "truth.parquet")
    assert not (tmp_path / "truth.parquet").exists()
    assert written(tmp_path / "truth.jsonl").heading == HEADING
