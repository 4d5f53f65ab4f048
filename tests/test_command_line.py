"""The command line knows all commands, and imports only the one that is asked for."""

import subprocess
import sys

import pytest

from command_support import joulegate
from joulegate_cli.commands import COMMANDS

PLACES = {name: f"joulegate_cli.{place.partition(':')[0]}" for name, place in COMMANDS.items()}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_imports_no_other(name: str) -> None:
    program = (
        f"import sys; from joulegate_cli.commands import command_line; command_line({name!r}); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    own = {PLACES[name], PLACES["http"]} if name == "gateway" else {PLACES[name]}
    assert set(PLACES.values()) & set(loaded) == own
    assert not {"asyncio", "http.client", "asyncpg"} & set(loaded), "they are imported when the command runs"


@pytest.mark.parametrize("name", ["gateway", "http"])
def test_a_service_starts_without_the_parser(name: str) -> None:
    program = f"""
import os, sys
from joulegate_cli.main import main
os.environ["JOULEGATE_LOG"] = "no such"
sys.argv = ["joulegate", {name!r}]
try:
    main()
finally:
    print("joulegate_{name}.service" in sys.modules, "typer" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "True False\n"), result


def test_help_lists_every_command() -> None:
    shown = joulegate("", "--help").stdout.partition("\nCommands:\n")[2]
    assert [line.split()[0] for line in shown.splitlines()] == list(COMMANDS)


def test_a_misspelt_command_is_compared_with_all() -> None:
    result = joulegate("", "migrat")
    assert (result.returncode, "Did you mean 'migrate'?" in result.stderr) == (2, True)
