"""`PYTHONPATH=bench .venv/bin/python -m figures.curves [CURVE ...]`: cost against work, measured point by point into bench/curves.json."""

import json
import subprocess
from pathlib import Path
from typing import Annotated, Any

import typer

from joulegate_cli.bench.child import COMMAND
from joulegate_cli.bench.machine import machine_facts

RECORD = Path(__file__).parent.parent / "curves.json"

CURVES: dict[str, tuple[tuple[float, ...], str]] = {
    "devices": ((1_000, 10_000, 100_000, 300_000), "ingest --messages 600000 --devices {x}"),
    "batch": (
        (250, 1_000, 4_000, 10_000, 20_000),
        "ingest --messages 300000 --devices 20000 --batch-max {x}",
    ),
    "gateways": ((1, 2, 3), "ingest --messages 600000 --devices 100000 --gateways {x}"),
    "history": ((3, 10, 30, 90), "query --pairs 300 --days {x} {next} --fleet 0 --seconds 3"),
}
"""What is varied, and the bench of a point. `history` measures two lengths at a time."""


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Curves; all by default.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Runs a point; the medians are kept.")] = 3,
) -> None:
    """Measures the curves; those that are not named stay in the record as they are."""
    unknown = set(names or ()) - CURVES.keys()
    if unknown:
        raise typer.BadParameter(f"no such curve: {', '.join(sorted(unknown))}; there are {', '.join(CURVES)}")
    curves = json.loads(RECORD.read_text())["curves"] if RECORD.exists() else {}
    facts = machine_facts()
    for name in names or CURVES:
        curves[name] = _points(name, runs)
        RECORD.write_text(json.dumps({"machine": facts, "curves": curves}, indent=2) + "\n")


def _points(name: str, runs: int) -> list[dict[str, Any]]:
    """The medians of each point, with `x`."""
    works, line = CURVES[name]
    step = 2 if "{next}" in line else 1
    points = []
    for at in range(0, len(works), step):
        group = works[at : at + step]
        arguments = line.format(x=group[0], next=group[-1]).split()
        print(f"{name}: joulegate bench {' '.join(arguments)}", flush=True)
        done = subprocess.run(
            [*COMMAND, "bench", *arguments, "--runs", str(runs), "--json"], check=True, capture_output=True, text=True
        )
        cases = list(json.loads(done.stdout)["cases"].values())
        points += [{"x": x, **case["medians"]} for x, case in zip(group, cases, strict=False)]
    return points


if __name__ == "__main__":
    typer.run(main)
