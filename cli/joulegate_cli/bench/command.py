"""The command line of `joulegate bench`."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

app = typer.Typer(help="Measures joulegate on this machine, on a broker and a database that it starts itself.")

Runs = Annotated[int, typer.Option(min=1, max=50, help="Runs; the medians are shown.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable, every run, on standard output.")]


@app.callback(invoke_without_command=True)
def bench(context: typer.Context) -> None:
    """Without a subcommand: `bench ingest` as it is."""
    if context.invoked_subcommand is None:
        ingest()


@app.command()
def ingest(
    messages: Annotated[int, typer.Option(min=20_000, help="Size of the backlog.")] = 1_000_000,
    devices: Annotated[int, typer.Option(min=2, help="Devices; half meters, half vehicles.")] = 100_000,
    stalled: Annotated[
        int, typer.Option(min=0, help="Instead: memory with the database stalled for so many seconds.")
    ] = 0,
    gateways: Annotated[int, typer.Option(min=1, max=8, help="Gateways that share the work.")] = 1,
    batch_max: Annotated[
        int, typer.Option(min=0, max=100_000, help="Messages in a batch, at most; 0: the gateway's default.")
    ] = 0,
    age: Annotated[
        int, typer.Option(min=0, max=1440, help="How old the newest reading of the backlog is, in minutes.")
    ] = 0,
    runs: Runs = 3,
    json: Json = False,
) -> None:
    """Fills the broker with a backlog and drains it: readings/s until all are committed, beside a bare loop and a COPY."""
    from joulegate_cli.bench.ingest import Setup, bench_ingest
    from joulegate_cli.bench.stalled import bench_stalled

    if stalled:
        _run("ingest --stalled", runs, json, lambda progress: bench_stalled(messages, devices, stalled, progress))
    else:
        setup = Setup(gateways, batch_max, age)
        _run("ingest", runs, json, lambda progress: bench_ingest(messages, devices, progress, setup))


@app.command()
def latency(
    rate: Annotated[float, typer.Option(min=100, help="Readings/s of the sustained load.")] = 25_000,
    devices: Annotated[int, typer.Option(min=2, help="Devices; in the second case each a reading a minute.")] = 20_000,
    seconds: Annotated[float, typer.Option(min=1, help="Length of each load.")] = 60,
    runs: Runs = 1,
    json: Json = False,
) -> None:
    """From when a reading is due at its device to its visibility in the live tables, under two loads."""
    from joulegate_cli.bench.latency import Load, bench_latency
    from joulegate_core.telemetry import READING_INTERVAL_SECONDS

    sustained = Load(devices, rate, seconds)
    fleet = Load(devices, devices / READING_INTERVAL_SECONDS, seconds)
    _run("latency", runs, json, lambda progress: bench_latency(sustained, fleet, progress))


@app.command()
def query(
    pairs: Annotated[int, typer.Option(min=1, help="Vehicles with a meter each, for the performance route.")] = 2000,
    days: Annotated[tuple[int, int], typer.Option(help="The short and the long history, in days.")] = (3, 30),
    fleet: Annotated[int, typer.Option(min=0, help="Pairs for the fleet route; 0 leaves it out.")] = 10_000,
    seconds: Annotated[float, typer.Option(min=1, help="Length of each load.")] = 10,
    runs: Runs = 1,
    json: Json = False,
) -> None:
    """The performance route at 16 clients beside a short and a long history, and the fleet route."""
    from joulegate_cli.bench.query import Fleet, bench_query

    _run("query", runs, json, lambda progress: bench_query(Fleet(pairs, days, fleet), seconds, progress))


@app.command()
def storage(
    devices: Annotated[int, typer.Option(min=2, help="Devices; half meters, half vehicles.")] = 1000,
    runs: Runs = 1,
    json: Json = False,
) -> None:
    """Bytes a reading, after a day of readings through the real writer."""
    from joulegate_cli.bench.storage import bench_storage

    _run("storage", runs, json, lambda progress: bench_storage(devices, progress))


@app.command()
def roll(
    devices: Annotated[
        list[int] | None, typer.Option(min=2, help="Size of a fleet, smallest first; 20,000, 100,000 and 400,000.")
    ] = None,
    large: Annotated[bool, typer.Option("--large", help="A million devices, too.")] = False,
    runs: Runs = 1,
    json: Json = False,
) -> None:
    """A quarter of an hour closed and rolled, for fleets of several sizes."""
    from joulegate_cli.bench.roll import bench_roll

    sizes = (devices or [20_000, 100_000, 400_000]) + [1_000_000] * large
    _run("roll", runs, json, lambda progress: bench_roll(sizes, progress))


@app.command()
def mixed(
    messages: Annotated[int, typer.Option(min=20_000, help="Size of each backlog.")] = 300_000,
    devices: Annotated[int, typer.Option(min=2, help="Devices of each backlog.")] = 20_000,
    pairs: Annotated[int, typer.Option(min=1, help="Vehicles with a meter each that are asked about.")] = 500,
    rate: Annotated[float, typer.Option(min=0, help="Requests/s of all clients; 0: as fast as they are answered.")] = 0,
    seconds: Annotated[float, typer.Option(min=1, help="Length of the load without a backlog.")] = 10,
    runs: Runs = 1,
    json: Json = False,
) -> None:
    """Ingestion with and without 16 clients that ask, and their answers with and without ingestion."""
    from joulegate_cli.bench.mixed import Mix, bench_mixed

    mix = Mix(messages, devices, pairs, rate)
    _run("mixed", runs, json, lambda progress: bench_mixed(mix, seconds, progress))


@app.command()
def stream(
    messages: Annotated[int, typer.Option(min=20_000, help="Size of each backlog.")] = 500_000,
    devices: Annotated[int, typer.Option(min=2, help="Devices of each backlog.")] = 20_000,
    clients: Annotated[int, typer.Option(min=1, max=500, help="Clients of the stream.")] = 50,
    runs: Runs = 1,
    json: Json = False,
) -> None:
    """Ingestion with and without clients that read all of the stream."""
    from joulegate_cli.bench.streaming import bench_stream

    _run("stream", runs, json, lambda progress: bench_stream(messages, devices, clients, progress))


@app.command()
def check() -> None:
    """Every bench, small, held to limits on ratios: exit code 1 when one is broken. Takes a minute or two."""
    from joulegate_cli.bench.check import check, show_checked, small_runs
    from joulegate_cli.bench.phases import phases

    with phases() as progress:
        checked = list(check(small_runs(partial(progress, ""))))
    if not show_checked(checked):
        raise typer.Exit(1)


def _run(name: str, runs: int, json: bool, one: Callable) -> None:  # type: ignore[type-arg]  # imported late
    """Runs a bench with bars on standard error, and shows or writes what it gives."""
    from joulegate_cli.bench.machine import machine_facts
    from joulegate_cli.bench.phases import phases
    from joulegate_cli.bench.report import collect, record, show

    facts = machine_facts()
    with phases() as progress:
        cases = collect(one(partial(progress, f"run {number}: ")) for number in range(1, runs + 1))
    if json:
        print(record(name, cases, facts))
    else:
        show(cases, facts)
