"""`joulegate simulate`: a fleet of meters and vehicles that publishes to the broker of JOULEGATE_MQTT_URL."""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from joulegate_simulator.runner import SimulationProgress

_UNIT_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_seconds(text: str | float) -> float:
    """Seconds from "90", "90s", "10m" or "1.5h"; a number, which is a default of ours, is taken as it is.

    Raises:
        typer.BadParameter: it is none of these.
    """
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smh]?)", str(text).strip())
    if match is None:
        raise typer.BadParameter(
            f"{text!r} is not a time: give seconds, or a number with s, m or h, such as 90s or 10m"
        )
    return float(match[1]) * _UNIT_SECONDS[match[2]]


def _interval(seconds: float) -> float:
    if not 0.01 <= seconds <= 3600:  # noqa: PLR2004 - the limits stand in the message
        raise typer.BadParameter(f"{seconds:g} s is out of range: 0.01 s to 1 h")
    return seconds


def _duration(seconds: float | None) -> float | None:
    if seconds is not None and seconds <= 0:
        raise typer.BadParameter("it must be more than 0")
    return seconds


def simulate(
    *,
    devices: Annotated[int, typer.Option(min=1, max=100_000, help="Meter-vehicle pairs.")] = 200,
    interval: Annotated[
        float,
        typer.Option(
            parser=parse_seconds, callback=_interval, metavar="TIME", help="Time between readings of a device."
        ),
    ] = 60.0,
    connections: Annotated[int, typer.Option(min=1, max=1000, help="MQTT connections to publish over.")] = 4,
    duration: Annotated[
        float | None,
        typer.Option(
            parser=parse_seconds,
            callback=_duration,
            metavar="TIME",
            help="Stop after this time, such as 90s, 10m or 1h. Without it, run until Ctrl-C.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same fleet and the same behaviour.")] = 1,
    qos: Annotated[int, typer.Option(min=0, max=1, help="MQTT quality of service.")] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", help="No live count.")] = False,
) -> None:
    """Simulate a fleet: meters and vehicles that charge, drive and come back, published over MQTT.

    The broker is that of JOULEGATE_MQTT_URL. Exit code 1 when it did not acknowledge everything that was published.
    """
    from joulegate_cli.running import run_service
    from joulegate_core.broker import parse_broker_url
    from joulegate_core.logs import configure_logging
    from joulegate_core.settings import load_settings
    from joulegate_simulator.runner import SimulationOptions, run_simulation

    settings = load_settings(os.environ)
    options = SimulationOptions(
        devices=devices,
        interval_seconds=interval,
        connections=connections,
        duration_seconds=duration,
        seed=seed,
        qos=1 if qos else 0,
    )
    address = parse_broker_url(settings.mqtt_url)
    results: list[SimulationProgress] = []

    async def run(stop: asyncio.Event) -> None:
        results.append(await run_simulation(options, address, stop=stop, on_progress=on_progress))

    with _live_count(shown=sys.stderr.isatty() and not quiet) as on_progress:
        # inside the display, which then prints log lines above itself instead of through it
        configure_logging(settings.log, component="simulator")
        run_service(run)
    result = results[0]
    print(
        f"simulated {devices:,} meters and {devices:,} vehicles for {result.elapsed_seconds:.1f} s: {_counts(result)}"
    )
    if not result.complete:
        raise typer.Exit(1)


@contextlib.contextmanager
def _live_count(*, shown: bool) -> "Iterator[Callable[[SimulationProgress], None]]":
    """A line on standard error that is kept up to date; nothing when it is not to be shown."""
    if not shown:
        yield lambda _progress: None
        return
    from rich.console import Console
    from rich.live import Live

    with Live("connecting", console=Console(stderr=True), refresh_per_second=4, transient=True) as live:
        yield lambda progress: live.update(_counts(progress))


def _counts(progress: "SimulationProgress") -> str:
    counts = progress.counts
    parts = [f"{counts.published:,} readings published"]
    if counts.acknowledged:
        parts.append(f"{counts.acknowledged:,} acknowledged")
    if counts.pending:
        parts.append(f"{counts.pending:,} not yet acknowledged")
    if counts.refused:
        parts.append(f"{counts.refused:,} refused ({counts.refusal})")
    if counts.reconnects:
        parts.append(f"{counts.reconnects:,} reconnections")
    if progress.behind_seconds >= 1:
        parts.append(f"{progress.behind_seconds:.0f} s behind")
    rate = counts.published / max(progress.elapsed_seconds, 1e-3)
    return f"{', '.join(parts)}, {rate:,.1f}/s"
