"""Scenarios: those shipped are valid and in the wheel; a bad one is refused with file, key and limit."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from joulegate_core.errors import SettingsError
from joulegate_simulator.fault_catalogue import CATALOGUE
from joulegate_simulator.scenario import load_scenario, shipped

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-c", "from joulegate_cli.main import main; main()", "simulate"]


def test_the_shipped_scenarios_are_valid_and_listed() -> None:
    names = [path.stem for path in shipped()]
    assert {"depot-overnight", "public-fast", "heat-wave", "winter", "failing-charger", "grid-outage"} <= set(names)
    listed = subprocess.run([*COMMAND, "--list"], capture_output=True, text=True, timeout=60, check=True).stdout
    for name in names:
        assert f"  {name} " in listed
        assert load_scenario(name).title in listed
    for name in CATALOGUE:
        assert f"  {name} " in listed


def test_the_wheel_has_the_scenarios(tmp_path: Path) -> None:
    build = "import hatchling.build as b, sys; print(b.build_wheel(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, capture_output=True, timeout=120, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = {Path(name).name for name in zipfile.ZipFile(wheel).namelist() if "joulegate_simulator/scenarios/" in name}
    assert packed == {path.name for path in shipped()}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("title = ", "is not TOML"),
        ("[fleet]\nsite_size = 1", "title"),
        ('title = "x"\n[fleet]\nsite_size = 0', ">= 1 - at `fleet.site_size`"),
        ('title = "x"\n[fleet]\nsize = 3', "unknown field `size` - at `fleet`"),
        ('title = "x"\n[fleet]\nchargers_kw = { "12" = 1 }', "`fleet.chargers_kw` has no '12'"),
        ('title = "x"\n[fleet]\nchargers_kw = {}', "`fleet.chargers_kw` is empty"),
        ('title = "x"\n[fleet]\nbatteries_kwh = { "1" = 1 }', "5 to 999 kWh"),
        ('title = "x"\n[fleet]\nsite_size = 5\ncharge_points_per_meter = 2', "multiple of"),
        ('title = "x"\n[fleet]\nvehicles_per_charge_point = 2', "needs `fleet.roaming = true`"),
        ('title = "x"\n[driving]\ndepart_hour = 7', "go together"),
        ('title = "x"\n[driving]\naway_hours = [3, 1]', r"\[least, most\], not \[3, 1\]"),
        ('title = "x"\n[weather]\nmean_c = 99', "<= 50"),
        ('title = "x"\n[faults.gremlins]', "`faults` has no 'gremlins'"),
        ('title = "x"\n[faults.silent]\nshare = 1.5', "<= 1.0"),
        ('title = "x"\n[faults.register_reset]', 'needs `fleet.meter_energy = "register"`'),
    ],
)
def test_a_bad_scenario_is_refused_with_file_key_and_limit(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(SettingsError, match=expected) as refused:
        load_scenario(str(path))
    assert "mine.toml" in str(refused.value)


def test_an_unknown_scenario_names_those_that_there_are() -> None:
    with pytest.raises(SettingsError, match="there is no scenario 'moon': choose one of depot-overnight, everyday"):
        load_scenario("moon")
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load_scenario("moon.toml")
