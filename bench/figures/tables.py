"""Records as Markdown tables: a figure a row, or a case a row where cases are to be compared."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from joulegate_cli.bench import ingest, latency, mixed, query, roll, stalled, storage
from joulegate_cli.bench.report import Figure, figures, number
from rivals.result import RivalResult
from shapes.__main__ import ShapeResult

BENCH = Path(__file__).parent.parent
MODULES = (ingest, latency, mixed, query, roll, stalled, storage)

SIDE_BY_SIDE = {"rivals", "shapes"}
"""Records with a case a row."""

REASONS = {"shapes": "breaks"}
"""What is said of each case beside its figures, a field of its runs."""


def table(name: str) -> str:
    """bench/{name}.json as Markdown; a sentence when it was not recorded yet."""
    path = BENCH / f"{name}.json"
    if not path.exists():
        return f"(bench/{name}.json is not recorded yet.)"
    record = json.loads(path.read_text())
    lines = _compared(name, record) if name in SIDE_BY_SIDE else _by_figure(record)
    return "\n".join([*lines, "", _machine(record["machine"])])


def _by_figure(record: dict[str, Any]) -> Iterator[str]:
    for case, results in record["cases"].items():
        titles = _figures(set(results["medians"]), results["targets"])
        yield from ("", f"| {case} | median | lowest | highest | target |", "| --- | --- | --- | --- | --- |")
        for name, median in results["medians"].items():
            values = [run[_camel(name)] for run in results["runs"]]
            figure = titles.get(name, Figure(name))
            shown = " | ".join(map(number, (median, min(values), max(values))))
            yield f"| {_cell(figure.title)} | {shown} | {_target(figure, median)} |"


def _compared(name: str, record: dict[str, Any]) -> Iterator[str]:
    reason = REASONS.get(name)
    medians = {case: results["medians"] for case, results in record["cases"].items()}
    columns = list(next(iter(medians.values())))
    titles = _figures(set(columns), {})
    heads = [titles.get(column, Figure(column)).title for column in columns] + ([reason] if reason else [])
    yield f"| | {' | '.join(heads)} |"
    yield "| --- " * (len(heads) + 1) + "|"
    for case, values in medians.items():
        cells = [number(round(values[column], 1)) for column in columns]
        if reason:
            cells.append(record["cases"][case]["runs"][0][reason])
        yield f"| {case} | {' | '.join(cells)} |"


def _figures(names: set[str], targets: dict[str, str]) -> dict[str, Figure]:
    """The titles of the kind of result that has these figures, and of several the one with these targets; none, when a record is older
    than its bench."""
    kinds = [kind for module in MODULES for kind in vars(module).values() if _is_result(kind)]
    found = [one for kind in [*kinds, RivalResult, ShapeResult] if set(one := figures(kind)) == names]
    exact = (one for one in found if {name: figure.target for name, figure in one.items() if figure.target} == targets)
    return next(exact, found[0] if found else {})


def _is_result(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__name__.endswith("Result")


def _target(figure: Figure, value: float) -> str:
    return f"{figure.target}{'' if figure.is_reached(value) else ' MISSED'}"


def _cell(title: str) -> str:
    return title.replace("  ", "&nbsp;&nbsp;") if title.startswith(" ") else title


def _camel(name: str) -> str:
    """A field's name as it stands in a record."""
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def _machine(facts: dict[str, str]) -> str:
    return f"<sub>{', '.join(f'{name} {value}' for name, value in facts.items())}</sub>"
