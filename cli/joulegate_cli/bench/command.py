"""The command line of `joulegate bench`."""

import statistics
import sys
from typing import Annotated

import typer

app = typer.Typer(help="Measures joulegate on this machine, on a broker and a database that it starts itself.")


@app.callback(invoke_without_command=True)
def bench(context: typer.Context) -> None:
    """Without a subcommand: `bench ingest` as it is."""
    if context.invoked_subcommand is None:
        ingest()


@app.command()
def ingest(
    messages: Annotated[int, typer.Option(min=20_000, help="Size of the backlog.")] = 300_000,
    devices: Annotated[int, typer.Option(min=2, help="Devices; half meters, half vehicles.")] = 20_000,
    runs: Annotated[int, typer.Option(min=1, max=50, help="Runs; the medians are shown.")] = 3,
    json: Annotated[bool, typer.Option("--json", help="Machine-readable, every run, on standard output.")] = False,
) -> None:
    """Fills the broker with a backlog and drains it: readings/s until all are committed, beside a bare receive loop."""
    import msgspec
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from joulegate_cli.bench.ingest import bench_ingest
    from joulegate_cli.bench.machine import machine_facts

    results = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as bars:
        for number in range(1, runs + 1):
            phases: dict[str, int] = {}

            def advance(phase: str, done: int, number: int = number, phases: dict[str, int] = phases) -> None:
                if phase not in phases:
                    phases[phase] = int(bars.add_task(f"run {number}: {phase}", total=messages))
                bars.update(bars.tasks[phases[phase]].id, completed=done)

            results.append(bench_ingest(messages=messages, devices=devices, progress=advance))
    facts = machine_facts()
    if json:
        print(msgspec.json.format(msgspec.json.encode({"machine": facts, "runs": results}), indent=2).decode())
    else:
        _show(results, facts)


def _show(results: list, facts: dict[str, str]) -> None:  # type: ignore[type-arg]  # IngestResult is imported late
    """Prints the medians as a table."""
    from rich.console import Console
    from rich.table import Table

    def median(field: str, scale: float = 1.0) -> str:
        values = sorted(getattr(result, field) * scale for result in results)
        return f"{statistics.median(values):,.2f} ({values[0]:,.2f} to {values[-1]:,.2f})"

    first = results[0]
    table = Table(
        "figure",
        "median (lowest to highest)",
        title=f"backlog of {first.messages:,} readings, {first.devices:,} devices",
    )
    table.add_row("committed and acknowledged, readings/s", median("readings_per_second"))
    table.add_row("bare loop without a database, messages/s", median("bare_loop_per_second"))
    table.add_row("ratio", median("ratio"))
    table.add_row("gateway CPU, us a message", median("gateway_cpu_us"))
    table.add_row("bare loop CPU, us a message", median("bare_loop_cpu_us"))
    table.add_row("gateway peak memory, MB", median("gateway_peak_bytes", 1e-6))
    table.add_row("start to first commit, s", median("start_seconds"))
    table.add_row("fill, messages/s acknowledged to the publisher", median("fill_per_second"))
    console = Console()
    console.print(table)
    console.print(", ".join(f"{name} {value}" for name, value in facts.items()), highlight=False)
