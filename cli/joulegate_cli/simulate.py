"""`joulegate simulate`: a fleet of meters and vehicles that publishes to the broker of JOULEGATE_MQTT_URL."""

import math
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from joulegate_cli.simulate_score import score

if TYPE_CHECKING:
    from joulegate_core.settings import Settings
    from joulegate_simulator.runner import SimulationOptions, SimulationProgress

_UNIT_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DAY = 86400.0

BROKER_QUEUE = 2_000_000
SAFE_RATE = 10_000
"""Readings/s that a gateway takes also on a busy machine."""

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
app.command()(score)


def parse_seconds(text: str | float) -> float:
    """Seconds from "90", "90s", "10m", "1.5h" or "7d"; a number, which is a default of ours, is taken as it is.

    Raises:
        typer.BadParameter: it is none of these.
    """
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd]?)", str(text).strip())
    if match is None:
        raise typer.BadParameter(
            f"{text!r} is not a time: give seconds, or a number with s, m, h or d, such as 90s, 10m or 7d"
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


def _time_option(help_text: str, *names: str) -> object:
    return typer.Option(*names, parser=parse_seconds, callback=_duration, metavar="TIME", help=help_text)


@app.callback()
def simulate(
    context: typer.Context,
    *,
    devices: Annotated[
        int, typer.Option(min=1, max=100_000, help="Meter-vehicle pairs, or charge points where they are shared.")
    ] = 200,
    interval: Annotated[
        float,
        typer.Option(
            parser=parse_seconds, callback=_interval, metavar="TIME", help="Time between readings of a device."
        ),
    ] = 60.0,
    connections: Annotated[int, typer.Option(min=1, max=1000, help="MQTT connections to publish over.")] = 4,
    duration: Annotated[
        float | None, _time_option("Stop after this time, such as 90s, 10m or 1h. Without it, run until Ctrl-C.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same fleet and the same behaviour.")] = 1,
    qos: Annotated[int, typer.Option(min=0, max=1, help="MQTT quality of service.")] = 1,
    scenario: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="A shipped scenario (see --list), or a .toml file.")
    ] = "everyday",
    list_them: Annotated[bool, typer.Option("--list", help="List the scenarios and the faults, and exit.")] = False,
    faults: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Control file, looked at while it runs: a line NAME or NAME SHARE turns a fault on, all others are off.",
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write what is true, for `joulegate simulate score`: JSON lines, or Parquet when the name ends in .parquet.",
        ),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            min=1,
            max=100_000,
            help="Simulated seconds a second. Ends a --duration, a --backfill or a day at the present.",
        ),
    ] = None,
    backfill: Annotated[
        float | None,
        _time_option("Publish so much of the past, such as 7d, as fast as it is taken (or at --speed), and exit."),
    ] = None,
    per_device: Annotated[
        bool, typer.Option("--per-device", help="A connection for each device, under its id as client id.")
    ] = False,
    logins: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --per-device: lines `user:password`, where a user is a device's id or that of its charge point.",
        ),
    ] = None,
    ramp: Annotated[
        float | None, _time_option("Let the fleet begin to report one after the other over this time.")
    ] = None,
    burst: Annotated[
        bool, typer.Option("--burst", help="All report at the same instant, instead of spread over the interval.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No live view.")] = False,
) -> None:
    """Simulate a fleet: meters and vehicles that charge, drive and come back, published over MQTT.

    The broker is that of JOULEGATE_MQTT_URL. Exit code 1 when it did not acknowledge everything that was published.
    """
    if context.invoked_subcommand is not None:
        return
    if list_them:
        _list()
        return
    from joulegate_core.settings import load_settings
    from joulegate_simulator.runner import SimulationOptions

    if backfill is not None and duration is not None:
        raise typer.BadParameter("a --backfill ends by itself, at the present: leave one out", param_hint="--duration")
    if logins is not None and not per_device:
        raise typer.BadParameter("logins are for connections of devices: add --per-device", param_hint="--logins")
    settings = load_settings(os.environ)
    options = SimulationOptions(
        devices=devices,
        interval_seconds=interval,
        connections=connections,
        duration_seconds=duration,
        seed=seed,
        qos=1 if qos else 0,
        scenario=scenario,
        speed=speed or (1.0 if backfill is None else math.inf),
        backfill_seconds=backfill,
        per_device=per_device,
        burst=burst,
        ramp_seconds=ramp or 0.0,
        truth=truth,
        faults=faults,
        logins=logins,
    )
    _check_clock_window(options, settings)
    _note_energy_kinds(options, settings)
    _note_flapping(options)
    _note_queue(options)
    result = _run(options, settings, shown=sys.stderr.isatty() and not quiet)
    if not result.complete:
        raise typer.Exit(1)


def _run(options: "SimulationOptions", settings: "Settings", *, shown: bool) -> "SimulationProgress":
    """Runs it to its end and prints the summary."""
    import asyncio

    from joulegate_cli.running import run_service
    from joulegate_cli.simulate_view import live_view, summary
    from joulegate_core.broker import broker_address
    from joulegate_core.logs import configure_logging
    from joulegate_simulator.runner import run_simulation

    address = broker_address(settings)
    results: list[SimulationProgress] = []

    with live_view(options, shown=shown) as on_progress:

        async def run(stop: asyncio.Event) -> None:
            results.append(await run_simulation(options, address, stop=stop, on_progress=on_progress))

        # inside the display, which then prints log lines above itself instead of through it
        configure_logging(settings.log, component="simulator")
        run_service(run)
    print(summary(results[0]))
    return results[0]


def _check_clock_window(options: "SimulationOptions", settings: "Settings") -> None:
    """Refuses a past that the gateway would quarantine as `too_old`.

    Raises:
        JoulegateError: it begins before the clock window that this command's own environment says; with what to set.
    """
    from joulegate_core.errors import JoulegateError

    ago = options.starts_ago_seconds
    if ago < settings.max_age_days * _DAY:
        return
    needed = int(ago // _DAY) + 1
    raise JoulegateError(
        f"the simulation would begin {ago / _DAY:g} days ago, and the gateway's clock window is "
        f"JOULEGATE_MAX_AGE_DAYS={settings.max_age_days}: older readings would go to quarantine. "
        f"Set JOULEGATE_MAX_AGE_DAYS={needed} for the gateway, restart it, and set it for this command too"
    )


def _note_energy_kinds(options: "SimulationOptions", settings: "Settings") -> None:
    """Says what to set when the scenario's counters are not what this command's own environment says of the gateway."""
    from joulegate_simulator.scenario import load_scenario

    fleet = load_scenario(options.scenario).fleet
    for stream, wanted, have in (
        ("meter", fleet.meter_energy, settings.meter_energy),
        ("vehicle", fleet.vehicle_energy, settings.vehicle_energy),
    ):
        if wanted != have:
            name = f"JOULEGATE_{stream.upper()}_ENERGY"
            print(
                f"joulegate: {stream}s of {options.scenario} publish {wanted} energies: the gateway must run with {name}={wanted}",
                file=sys.stderr,
            )


def _note_flapping(options: "SimulationOptions") -> None:
    """Says that the scenario's connections do not flap where none is a device's."""
    from joulegate_simulator.scenario import load_scenario

    if not options.per_device and "flapping" in load_scenario(options.scenario).faults:
        print(
            f"joulegate: connections of {options.scenario} flap only with --per-device: "
            f"here {options.connections} carry all devices, and none drops",
            file=sys.stderr,
        )


def _note_queue(options: "SimulationOptions") -> None:
    """Says how to slow a backfill down that a broker's queue may not hold: what it drops it has acknowledged to us."""
    if not math.isinf(options.speed):
        return
    readings = 2 * options.devices * options.starts_ago_seconds / options.interval_seconds
    if readings > BROKER_QUEUE:
        speed = max(1, round(SAFE_RATE * options.interval_seconds / (2 * options.devices)))
        print(
            f"joulegate: {readings:,.0f} readings may come faster than the gateway takes them, "
            f"and a broker drops what its queue cannot hold ({BROKER_QUEUE:,} in the shipped mosquitto.conf): "
            f"--speed {speed} makes {SAFE_RATE:,} readings/s, a longer --interval makes fewer",
            file=sys.stderr,
        )


def _list() -> None:
    """Prints the shipped scenarios and the faults."""
    from joulegate_simulator.fault_catalogue import CATALOGUE
    from joulegate_simulator.scenario import load_scenario, shipped

    print("Scenarios (--scenario NAME):")
    for path in shipped():
        print(f"  {path.stem:<18} {load_scenario(str(path)).title}")
    print(
        "\nFaults (in a scenario, or in the file of --faults), with the share of their subjects that have them by default:"
    )
    for name, kind in CATALOGUE.items():
        share = f"{kind.share:.0%}" if kind.probability is None else f"{kind.probability:.2%} of readings"
        print(f"  {name:<18} {kind.subject}: {kind.text} ({share})")
