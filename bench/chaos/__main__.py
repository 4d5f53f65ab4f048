"""`make chaos`, or `PYTHONPATH=bench .venv/bin/python -m chaos [SCENARIO ...] [--seed N] [--jobs N] [--list]`."""

import asyncio
import shutil
import tempfile
from logging import CRITICAL
from pathlib import Path
from typing import Annotated

import msgspec
import structlog
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from chaos.report import as_markdown, table
from chaos.scenario import SCENARIOS, Outcome, perform
from chaos.scenarios import load_all
from chaos.stand import make_template
from joulegate_cli.bench.machine import machine_facts


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Scenarios; all by default.")] = None,
    seed: Annotated[int, typer.Option(help="Decides when and where faults strike.")] = 1,
    jobs: Annotated[
        int, typer.Option(min=1, max=8, help="Scenarios at a time; most of them wait most of the time.")
    ] = 4,
    json: Annotated[Path | None, typer.Option(help="Writes the record here.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Writes the table for docs/reliability.md here.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Lists the scenarios.")] = False,
) -> None:
    """Breaks joulegate under load and compares what was acknowledged with what was kept, row by row."""
    load_all()
    if list_:
        for chosen in SCENARIOS.values():
            print(f"{chosen.name:28}{chosen.title}")
        return
    unknown = set(names or ()) - SCENARIOS.keys()
    if unknown:
        raise typer.BadParameter(f"no such scenario: {', '.join(sorted(unknown))}; --list shows all")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(CRITICAL))  # publishers tell of every fault
    console = Console(width=max(160, Console().width))
    outcomes = asyncio.run(_perform_all(names or list(SCENARIOS), seed, jobs, console))
    console.print(table(outcomes))
    if json is not None:
        record = {"seed": seed, "machine": machine_facts(), "outcomes": outcomes}
        json.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    if markdown is not None:
        markdown.write_text(as_markdown(outcomes) + "\n")
    failed = [outcome.name for outcome in outcomes if outcome.failures]
    if failed:
        print(f"not as promised: {', '.join(failed)}")
        raise typer.Exit(1)


async def _perform_all(names: list[str], seed: int, jobs: int, console: Console) -> list[Outcome]:
    """Runs the scenarios, some at a time, in the order given."""
    root = Path(tempfile.mkdtemp(prefix="joulegate-chaos-"))
    root.chmod(0o755)
    template = await asyncio.to_thread(make_template, root / "template")
    places = asyncio.Semaphore(jobs)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        total = bars.add_task("scenarios", total=len(names))

        async def one(name: str) -> Outcome:
            async with places:
                outcome = await perform(SCENARIOS[name], root / name, template, seed)
                bars.print(f"{name}: {'; '.join(outcome.failures) or 'as promised'} ({outcome.seconds:.0f} s)")
                bars.advance(total)
                return outcome

        outcomes = await asyncio.gather(*(one(name) for name in names))
    if any(outcome.failures for outcome in outcomes):
        print(f"logs and data of what failed: {root}")
    else:
        shutil.rmtree(root, ignore_errors=True)
    return list(outcomes)


if __name__ == "__main__":
    typer.run(main)
