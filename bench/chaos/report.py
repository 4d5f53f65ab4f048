"""The tables: for a terminal, and for docs/reliability.md."""

import statistics
from collections.abc import Sequence

from rich.table import Table

from chaos.scenario import Outcome

HEADER = ("scenario", "faults", "sent", "acknowledged", "lost", "doubled", "quarantined", "recovery s", "verdict")


def table(outcomes: Sequence[Outcome]) -> Table:
    """For a terminal."""
    shown = Table(*HEADER, title="every acknowledged reading is in history once, or in quarantine")
    for outcome in outcomes:
        shown.add_row(*_cells(outcome), style="red" if outcome.failures else None)
    return shown


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """For docs/reliability.md."""
    lines = ["| " + " | ".join(HEADER) + " |", "|" + " --- |" * len(HEADER)]
    lines += ["| " + " | ".join(_cells(outcome)) + " |" for outcome in outcomes]
    return "\n".join(lines)


def _cells(outcome: Outcome) -> list[str]:
    faults = ", ".join(f"{count} x {name}" for name, count in sorted(outcome.faults.items()))
    verdict = outcome.verdict
    figures = (
        [verdict.sent, verdict.acknowledged, verdict.lost, verdict.doubled, verdict.in_quarantine]
        if verdict is not None
        else ["-"] * 5
    )
    shown_faults = "; ".join(filter(None, [faults, *outcome.notes]))
    recovery = "-"
    if outcome.recovery_seconds:
        recovery = f"{statistics.median(outcome.recovery_seconds):.1f} ({max(outcome.recovery_seconds):.1f})"
    passed = "; ".join(outcome.failures) or "as promised"
    if outcome.may_lose and not outcome.failures:
        passed = f"the broker's loss: {outcome.may_lose}"
    return [f"{outcome.title} (`{outcome.name}`)", shown_faults or "-", *map(str, figures), recovery, passed]
