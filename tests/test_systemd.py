"""deploy/systemd: the units are read by systemd's own tools, the commands and settings in them by joulegate's."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from joulegate_cli.commands import command_line
from joulegate_core.settings import load_settings
from joulegate_gateway.service import DRAIN_SECONDS

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "deploy/systemd"
SERVICES = sorted(path.name for path in FOLDER.glob("*.service"))
UNITS = [*SERVICES, *(path.name for path in FOLDER.glob("*.timer"))]
INSTALLED = "/opt/joulegate/bin/joulegate"
EXPOSURE = 15  # tenths: 1.5 of 10 is "OK"


def settings(unit: str) -> list[tuple[str, str]]:
    """The unit's directives, in order; sections do not share names here."""
    return re.findall(r"^(\w+)=(.*)$", (FOLDER / unit).read_text(), re.MULTILINE)


def given(unit: str, name: str) -> list[str]:
    """Every value of a directive."""
    return [value for key, value in settings(unit) if key == name]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units as on a machine where joulegate is installed; the template as its first instance."""
    here = str(Path(sys.executable).parent / "joulegate")
    for unit in UNITS:
        text = (FOLDER / unit).read_text().replace(INSTALLED, here)
        (tmp_path / unit.replace("@.", "@1.")).write_text(text)
    return tmp_path


def systemd_analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian: package systemd)")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def test_systemd_finds_nothing(installed: Path) -> None:
    done = systemd_analyze("verify", "--man=no", *(str(path) for path in installed.iterdir()))
    ours = [line for line in done.stderr.splitlines() if "joulegate" in line]  # the machine's own units may have faults
    assert (done.returncode, ours) == (0, [])


def test_systemd_would_find_a_fault(installed: Path) -> None:
    unit = installed / "joulegate-http.service"
    unit.write_text(unit.read_text().replace("ProtectSystem=strict", "ProtectSystem=strictly"))
    assert "strictly" in systemd_analyze("verify", "--man=no", str(unit)).stderr


def test_the_services_have_few_rights(installed: Path) -> None:
    for path in installed.glob("*.service"):
        done = systemd_analyze("security", "--offline=true", f"--threshold={EXPOSURE}", str(path))
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", SERVICES)
def test_the_command_exists(unit: str) -> None:
    [line] = given(unit, "ExecStart")
    program, name, *words = shlex.split(line)
    assert program == INSTALLED
    root = typer.main.get_command(command_line())
    command = root.get_command(typer.Context(root), name)  # type: ignore[attr-defined]
    assert command is not None
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("unit", SERVICES)
def test_the_environment_is_accepted(unit: str) -> None:
    environ: dict[str, str] = {}
    for file in given(unit, "EnvironmentFile"):
        text = (FOLDER / Path(file.replace("%i", "1")).name).read_text()
        lines = [line.removeprefix("# ") for line in text.splitlines()]  # what may be taken in, too
        environ |= dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=\S+$", line))
    assert environ
    load_settings(environ)


def test_no_secret_is_shipped_and_files_are_told_to_be_private() -> None:
    for path in FOLDER.glob("*.env"):
        text = path.read_text()
        assert "root 0600" in text
        for line in re.findall(r"^(?:# )?(JOULEGATE_\w+=.+)$", text, re.MULTILINE):
            if re.search("CLIENT_ID|TOKENS|SHARE_GROUP|://[^/@]+:[^/@]+@", line):
                assert "REPLACE" in line


def test_the_gateway_has_the_time_to_drain_and_comes_back() -> None:
    unit = "joulegate-gateway@.service"
    assert int(given(unit, "TimeoutStopSec")[0]) > 2 * DRAIN_SECONDS
    assert given(unit, "Restart") == ["on-failure"]
    assert given(unit, "RestartPreventExitStatus") == ["2"]
    assert given(unit, "StartLimitIntervalSec") == ["0"]


def test_the_page_names_every_unit() -> None:
    page = (FOLDER / "README.md").read_text()
    for unit in SERVICES:
        assert unit.replace("@.", "@1.") in page
    assert "joulegate-archive.timer" in page
