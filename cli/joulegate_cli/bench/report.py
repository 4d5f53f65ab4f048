"""Figures of a bench: how they are named, what they have to reach, and how runs become a table or a record."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, get_type_hints

import msgspec

from joulegate_cli.tables import print_table

Progress = Callable[[str, int, int], None]
"""Called with the name of a phase, what is done of it, and all that there is to do."""

Results = Iterable[tuple[str, msgspec.Struct]]
"""What one run of a bench yields: the case that was measured, and its figures."""

WHOLE_FROM = 100
"""Numbers from here on are shown without a fraction."""

Cases = dict[str, list[msgspec.Struct]]
"""The results of all runs by case."""


class Figure(msgspec.Struct, frozen=True):
    """Says what a number of a result is, unit included, and what the product has to reach (`least` or `most`)."""

    title: str
    least: float | None = None
    most: float | None = None

    def is_reached(self, value: float) -> bool:
        """Whether `value` is within the target; always, when there is none."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    @property
    def target(self) -> str:
        """The target for a person; empty when there is none."""
        least = "" if self.least is None else f">= {self.least:,g}"
        return least or ("" if self.most is None else f"<= {self.most:,g}")


def collect(runs: Iterable[Results]) -> Cases:
    """The results of several runs by case, in the order in which the cases came."""
    cases: Cases = {}
    for results in runs:
        for case, result in results:
            cases.setdefault(case, []).append(result)
    return cases


def figures(kind: type[msgspec.Struct]) -> dict[str, Figure]:
    """The figures of a kind of result, by the name of the field that holds each."""
    hints = get_type_hints(kind, include_extras=True)
    noted = {name: getattr(hint, "__metadata__", (None,))[0] for name, hint in hints.items()}
    return {name: note for name, note in noted.items() if isinstance(note, Figure)}


def medians(results: Sequence[msgspec.Struct]) -> dict[str, float]:
    """The median over the runs of each figure."""
    names = figures(type(results[0]))
    return {name: float(statistics.median(getattr(result, name) for result in results)) for name in names}


def percentile(values: Iterable[float], share: float) -> float:
    """The nearest-rank percentile: the smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def record(bench: str, cases: Cases, facts: Mapping[str, str]) -> str:
    """Everything, machine-readable: the machine, and by case the medians, the targets and every run."""
    content: dict[str, Any] = {"bench": bench, "machine": facts, "cases": {}}
    for case, results in cases.items():
        targets = {name: figure.target for name, figure in figures(type(results[0])).items() if figure.target}
        content["cases"][case] = {"medians": medians(results), "targets": targets, "runs": results}
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()


def show(cases: Cases, facts: Mapping[str, str]) -> None:
    """Prints a table a case, with the targets, and what it was measured on."""
    for case, results in cases.items():
        print_table((case, "median", "lowest", "highest", "target", ""), [*_rows(results)], "")
    print(", ".join(f"{name} {value}" for name, value in facts.items()))


def _rows(results: Sequence[msgspec.Struct]) -> Iterator[tuple[str, ...]]:
    middles = medians(results)
    for name, figure in figures(type(results[0])).items():
        values = [getattr(result, name) for result in results]
        numbers = map(number, (middles[name], min(values), max(values)))
        verdict = "" if not figure.target else "reached" if figure.is_reached(middles[name]) else "MISSED"
        yield figure.title, *numbers, figure.target, verdict


def number(value: float) -> str:
    """Three significant digits, or all digits before the point."""
    return f"{value:,.0f}" if abs(value) >= WHOLE_FROM or value == int(value) else f"{value:.3g}"
