"""`make rivals`, or `PYTHONPATH=bench .venv/bin/python -m rivals [RIVAL ...] [--runs N] [--json FILE]`."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from joulegate_cli.bench.machine import machine_facts
from joulegate_cli.bench.phases import phases
from joulegate_cli.bench.report import Cases, collect, medians, number, record
from joulegate_cli.bench.servers import Servers, bench_servers
from joulegate_cli.tables import print_table
from rivals.catalogue import RIVALS, Rival
from rivals.drained import drain
from rivals.install import npm_packages, python_packages, versions, why_no_node
from rivals.killed import kill_and_count
from rivals.load import Backlog, Pace
from rivals.result import RivalResult
from rivals.stand import stand

KILLS_AT_PACE = 3


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Rivals; all by default.")] = None,
    runs: Annotated[int, typer.Option(min=1, max=50, help="Runs; the medians are shown.")] = 3,
    scale: Annotated[float, typer.Option(min=0.01, max=10, help="Factor on the number of messages.")] = 1,
    json: Annotated[Path | None, typer.Option(help="Writes the record here.")] = None,
) -> None:
    """Measures joulegate and what others do instead, in turn, on the same broker, database and messages."""
    unknown = set(names or ()) - {rival.name for rival in RIVALS}
    if unknown:
        raise typer.BadParameter(
            f"no such rival: {', '.join(sorted(unknown))}; there are {', '.join(rival.name for rival in RIVALS)}"
        )
    chosen = [rival for rival in RIVALS if not names or rival.name in names]
    if any(rival.needs_node for rival in chosen) and (problem := why_no_node()):
        chosen = [rival for rival in chosen if not rival.needs_node]
        print(f"left out: Express and Node-RED: {problem}")
    npm = npm_packages() if any(rival.needs_node for rival in chosen) else None
    facts = machine_facts() | versions(python_packages(), npm)
    with phases() as progress:
        cases = collect(one_run(chosen, scale, partial(progress, f"run {run}: ")) for run in range(1, runs + 1))
    show(cases)
    print(", ".join(f"{name.removeprefix('rivals: ')} {value}" for name, value in facts.items()))
    if json is not None:
        json.write_text(record("rivals", cases, facts) + "\n")


def one_run(
    chosen: list[Rival], scale: float, progress: Callable[[str, int, int], None]
) -> Iterator[tuple[str, RivalResult]]:
    """Each rival in turn, on the same broker and database server."""
    with bench_servers() as servers:
        for done, rival in enumerate(chosen):
            progress(rival.title, done, len(chosen))
            yield rival.title, measure(rival, servers, scale)
        progress("done", len(chosen), len(chosen))


def measure(rival: Rival, servers: Servers, scale: float) -> RivalResult:
    """How fast it is, then what is left when it is killed, under two loads."""
    backlog = max(200, int(rival.backlog * scale))
    half, paced = max(200, backlog // 2), max(400, int(2000 * scale))
    with stand(rival, servers, f"{rival.name}-drained") as place:
        drained = drain(place, backlog)
    with stand(rival, servers, f"{rival.name}-killed") as place:
        in_backlog = kill_and_count(place, Backlog(place, half), kills=1)
    with stand(rival, servers, f"{rival.name}-paced") as place:
        at_pace = kill_and_count(place, Pace(place, paced), kills=KILLS_AT_PACE)
    return RivalResult(
        messages=backlog,
        backlog_messages=in_backlog.acknowledged,
        paced_messages=at_pace.acknowledged,
        per_second=drained.per_second,
        rival_cpu_us=drained.rival_cpu_us,
        database_cpu_us=drained.database_cpu_us,
        cpu_us=drained.rival_cpu_us + drained.database_cpu_us,
        peak_mb=drained.peak_mb,
        lost_in_backlog=in_backlog.lost,
        doubled_in_backlog=in_backlog.doubled,
        lost_at_pace=at_pace.lost,
        doubled_at_pace=at_pace.doubled,
    )


def show(cases: Cases) -> None:
    """One row a rival: medians over the runs."""
    header = (
        "",
        "messages/s",
        "us rival",
        "us database",
        "peak MB",
        "lost",
        "doubled",
        "lost at pace",
        "doubled at pace",
    )
    print_table(header, [_row(title, results) for title, results in cases.items()], "")


def _row(title: str, results: Iterable[msgspec.Struct]) -> tuple[str, ...]:
    found = list(results)
    first, middle = found[0], medians(found)
    assert isinstance(first, RivalResult)
    names = ("per_second", "rival_cpu_us", "database_cpu_us", "peak_mb")
    in_backlog = [
        f"{number(middle[name])} of {first.backlog_messages:,}" for name in ("lost_in_backlog", "doubled_in_backlog")
    ]
    at_pace = [f"{number(middle[name])} of {first.paced_messages:,}" for name in ("lost_at_pace", "doubled_at_pace")]
    return (title, *(number(middle[name]) for name in names), *in_backlog, *at_pace)


if __name__ == "__main__":
    typer.run(main)
