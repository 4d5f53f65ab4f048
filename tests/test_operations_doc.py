"""docs/operations.md and docs/backup.md name only what exists: alerts, metrics, settings, commands, findings, events, tables, links."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import typer

from joulegate_cli.commands import command_line
from joulegate_core.settings import load_settings
from observability_support import documented, rules

ROOT = Path(__file__).parent.parent
RUNBOOK = (ROOT / "docs/operations.md").read_text()
PAGES = {
    name: (ROOT / name).read_text()
    for name in ("docs/operations.md", "docs/backup.md", "deploy/systemd/README.md", "deploy/kubernetes/README.md")
    if (ROOT / name).exists()
}
ALL = "\n".join(PAGES.values())
ALERTS = {rule["alert"] for rule in rules()}
CODE = "\n".join(
    path.read_text() for part in ("core", "db", "gateway", "http", "cli") for path in (ROOT / part).rglob("*.py")
)
SYMPTOMS = re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE)


def test_every_alert_has_a_symptom_and_no_other_is_named() -> None:
    assert set(re.findall(r"\bJoulegate[A-Z]\w+", RUNBOOK)) == ALERTS


def test_the_metrics_are_documented_ones() -> None:
    known = {metric.name for heading in ("Gateway", "HTTP sidecar") for metric in documented(heading)}
    assert set(re.findall(r"\bjoulegate_[a-z_]+", RUNBOOK)) <= known


def test_the_settings_exist() -> None:
    named = set(re.findall(r"\bJOULEGATE_[A-Z_]+\b(?!\*)", ALL)) - {"JOULEGATE_"}
    known = set(re.findall(r"`(JOULEGATE_[A-Z_]+)`", (ROOT / "docs/configuration.md").read_text()))
    assert named <= known
    load_settings({})  # the names there are compared with the code by their own test


def test_the_findings_are_those_of_doctor() -> None:
    checks = {
        row.strip()
        for row in re.findall(r"^\| ([a-z ]+)(?: \(.*?\))? \|", (ROOT / "docs/doctor.md").read_text(), re.MULTILINE)
    }
    sentences = re.findall(r"[Dd]octor(?: says|'s| has nothing at)((?:[ ,]|or|and|`[a-z ]+`)+)", RUNBOOK)
    named = {check for sentence in sentences for check in re.findall(r"`([a-z ]+)`", sentence)}
    assert len(named) > 10
    assert named <= checks
    for check in named:
        assert f'"{check}"' in CODE


def test_the_events_are_in_the_code() -> None:
    named = re.findall(r"[Ee]vents? ((?:`[a-z_]+`(?:, | and )?)+)", RUNBOOK)
    events = {event for each in named for event in re.findall(r"`([a-z_]+)`", each)}
    assert len(events) > 8
    for event in events:
        assert f'"{event}"' in CODE, event


def commands() -> Iterator[str]:
    """Every `joulegate ...` that can be typed: in code between backticks and on indented lines."""
    for page in PAGES.values():
        for text in [*re.findall(r"`([^`\n]+)`", page), *re.findall(r"^    (.+)$", page, re.MULTILINE)]:
            bare = text.split("  #")[0].split(" # ")[0]
            if found := re.match(r"(?:\w+=\S+ |\S*/)*joulegate ([a-z-].*)$", bare):
                yield found[1].strip()


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_the_commands_and_their_options_exist(line: str) -> None:
    command: Any = typer.main.get_command(command_line())
    context = typer.Context(command)
    words = shlex.split(line)
    while hasattr(command, "get_command") and words and not words[0].startswith("-"):
        command = command.get_command(context, words.pop(0))
        assert command is not None, line
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert {word.split("=")[0] for word in words if word.startswith("--")} <= options


async def test_the_statements_run(db: asyncpg.Connection) -> None:
    statements = re.findall(r"^ *```sql\n(.*?)^ *```$", RUNBOOK, re.DOTALL | re.MULTILINE)
    assert len(statements) >= 4
    for block in statements:
        await db.execute(block)
    for statement in re.findall(r"`(vacuum [^`]+);`", RUNBOOK):
        await db.execute(statement)


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_every_symptom_says_how_to_see_it_what_to_do_and_when_it_is_over(symptom: str) -> None:
    section = RUNBOOK.split(f"\n## {symptom}\n", 1)[1].split("\n## ", 1)[0]
    assert "**Over** when" in section
    if symptom not in {"Upgrade", "After a restore"}:  # those are begun, not seen
        assert "**See.**" in section
        assert "**Do.**" in section


def anchor(heading: str) -> str:
    """As the pages' readers make it: lower case, no punctuation, hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("name", PAGES)
def test_the_links_lead_somewhere(name: str) -> None:
    for target, fragment in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", PAGES[name]):
        page = (ROOT / name).parent / target if target else ROOT / name
        assert page.exists(), target
        if fragment:
            headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
            assert fragment in {anchor(heading) for heading in headings}, fragment


def test_the_runbook_begins_with_every_symptom() -> None:
    table = RUNBOOK.split("\n## ", 1)[0]
    assert {anchor(symptom) for symptom in SYMPTOMS} == set(re.findall(r"\(#([^)]+)\)", table))
