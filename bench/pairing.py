"""How many swapped meters `GET /v1/analytics/pairing` finds, and how many of its findings are right, on simulated fleets.

    .venv/bin/python bench/pairing.py [--pairs 1000] [--seeds 5] [--first-seed 1] [--only SCENARIO ...]

Every fleet is driven through a simulated day by the simulator's physics, written to a PostgreSQL of its own in the order of time,
and rolled up; then the analysis is asked about these 24 hours. The table that it prints stands in docs/pairing.md.
"""

import argparse
import asyncio
import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from math import sqrt
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.clock import utc_now
from joulegate_core.telemetry import Stream
from joulegate_db import reader as limits
from joulegate_db.connect import MIGRATION_SETTINGS, ROLLER_SETTINGS, connect
from joulegate_db.migrate import migrate
from joulegate_db.pairing import Pairings, pairings
from joulegate_db.partitions import ensure_partitions
from joulegate_db.reader import open_reader
from joulegate_db.rollups import EnergyDefaults, Rollups
from joulegate_db.windows import Window
from pairing_fleets import END, START, Devices, Scenario, Signal, devices, places, readings, simulate

SERVER_OPTIONS = {"fsync": "off", "shared_buffers": "512MB", "max_wal_size": "4GB"}
WINDOW = Window(START, END)

NOISE: dict[str, Any] = {"missing": 0.02, "skewed": 0.2}
SCENARIOS = [
    Scenario("mixed"),
    Scenario("mixed, noise", **NOISE),
    Scenario("mixed, noise, 10 % lost", missing=0.10, skewed=0.2),
    Scenario("mixed, noise, 5 % without a meter", fault="unmetered", **NOISE),
    Scenario("mixed, noise, no meter at any vehicle's place", fault="all unmetered", **NOISE),
    Scenario("mixed, noise, nothing wrong", fault="none", **NOISE),
    Scenario("depot", depot="mixed"),
    Scenario("depot, noise", depot="mixed", **NOISE),
    Scenario("depot, noise, 5 % without a meter", depot="mixed", fault="unmetered", **NOISE),
    Scenario("depot, noise, nothing wrong", depot="mixed", fault="none", **NOISE),
    Scenario("depot of one model, noise", depot="same", **NOISE),
]


class Outcome(msgspec.Struct):
    """Counts over the seeds, and the longest times in s: for the whole fleet, for one vehicle, and for which the
    event loop could do nothing else meanwhile."""

    right: int = 0
    wrong: int = 0
    faults: int = 0
    judged: int = 0
    vehicles: int = 0
    seconds: float = 0.0
    seconds_for_one: float = 0.0
    pause: float = 0.0


async def prepare(server: LocalPostgres) -> None:
    """An empty database with the schema, to be copied."""
    maintenance = await asyncpg.connect(server.url())
    await maintenance.execute("create database empty")
    await maintenance.close()
    connection = await connect(server.url("empty"), MIGRATION_SETTINGS)
    await migrate(connection)
    await ensure_partitions(connection, utc_now(), max_age_days=7)
    await connection.close()


async def write(connection: asyncpg.Connection, signals: list[Signal], scenario: Scenario, seed: int) -> set[int]:
    """Fills the database and rolls it up; returns the numbers of the pairs in which something is wrong."""
    rng = random.Random(f"{scenario.name}/{seed}")
    where, wrong = places(len(signals), scenario, rng)
    meters = devices("m", where, scenario, rng)
    vehicles = devices("v", [f"cp-{number}" for number in range(len(signals))], scenario, rng)
    records = readings(meters, [ac for ac, _ in signals], scenario.missing, rng)
    await copy(connection, Stream.METER, meters, ((*r, 230.0, False) for r in records), ("voltage", "late"))
    records = readings(vehicles, [dc for _, dc in signals], scenario.missing, rng)
    extra = ("battery_temp", "soc", "late")
    await copy(connection, Stream.VEHICLE, vehicles, ((*r, 25.0, 50.0, False) for r in records), extra)
    rollups = Rollups(connection, EnergyDefaults("interval", "interval", 2000.0, timedelta(days=8)))
    await rollups.lock()
    async for _ in rollups.roll(utc_now()):
        pass
    await connection.execute("vacuum analyze")
    return wrong


async def copy(
    connection: asyncpg.Connection, stream: Stream, fleet: Devices, records: Any, extra: tuple[str, ...]
) -> None:
    """Copies one stream's readings and devices."""
    columns = ("ts", "kwh", "device", "charge_point", *extra)
    await connection.copy_records_to_table(f"{stream}_history", records=records, columns=columns)
    known = [(name, stream.value) for name in fleet.names]
    await connection.copy_records_to_table("devices", records=known, columns=("device", "kind"))


async def measure(server: LocalPostgres, signals: list[Signal], scenario: Scenario, seed: int, total: Outcome) -> None:
    """One fleet of a scenario; adds to `total`."""
    maintenance = await asyncpg.connect(server.url())
    await maintenance.execute("create database run template empty")
    connection = await connect(server.url("run"), ROLLER_SETTINGS)
    wrong = await write(connection, signals, scenario, seed)
    await connection.close()
    async with open_reader(server.url("run")) as reader:
        await reader.check()
        watch = asyncio.create_task(watch_loop(total))
        started = time.perf_counter()
        answer = await pairings(reader, WINDOW)
        between = time.perf_counter()
        await pairings(reader, WINDOW, f"v-{min(wrong, default=1)}")
        watch.cancel()
        total.seconds = max(total.seconds, between - started)
        total.seconds_for_one = max(total.seconds_for_one, time.perf_counter() - between)
    await maintenance.execute("drop database run with (force)")
    await maintenance.close()
    assert answer is not None
    count(answer, wrong, total)


async def watch_loop(total: Outcome) -> None:
    """Wakes every millisecond and notes the longest delay."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        total.pause = max(total.pause, time.perf_counter() - before - 0.001)


def count(answer: Pairings, wrong: set[int], total: Outcome) -> None:
    """A finding is right when something is wrong with the vehicle's pair and the suggested meter is the vehicle's own."""
    for finding in answer.findings:
        number = int(finding.vehicle_id.removeprefix("v-"))
        if number in wrong and finding.suggested_meter_id == f"m-{number}":
            total.right += 1
        else:
            total.wrong += 1
            print("  a wrong finding:", finding.sentence, finding.evidence)
    total.faults += len(wrong)
    total.judged += answer.judged
    total.vehicles += answer.vehicles
    print(f"  {len(answer.findings)} findings, not judged: {answer.not_judged}")


def share(part: int, whole: int) -> str:
    """A share in per cent with its 95 % confidence interval (Wilson 1927)."""
    if not whole:
        return "-"
    z, p = 1.96, part / whole
    centre = (p + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z * sqrt(p * (1 - p) / whole + z * z / (4 * whole * whole)) / (1 + z * z / whole)
    return f"{100 * p:.1f} % ({100 * max(0.0, centre - half):.1f} to {100 * min(1.0, centre + half):.1f})"


async def run(server: LocalPostgres, options: argparse.Namespace) -> None:
    """All fleets, then the table."""
    await prepare(server)
    chosen = [one for one in SCENARIOS if not options.only or one.name in options.only]
    totals = {scenario.name: Outcome() for scenario in chosen}
    for depot in dict.fromkeys(scenario.depot for scenario in chosen):
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            signals = simulate(options.pairs, seed, depot)
            for scenario in (one for one in chosen if one.depot == depot):
                print(f"{datetime.now(UTC):%H:%M:%S} seed {seed}: {scenario.name}", flush=True)
                await measure(server, signals, scenario, seed, totals[scenario.name])
    print("| fleet | wrong pairs | findings | precision | recall | judged | fleet, s | one vehicle, s | pause, ms |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, t in totals.items():
        found = t.right + t.wrong
        print(
            f"| {name} | {t.faults} | {found} | {share(t.right, found)} | {share(t.right, t.faults)} "
            f"| {100 * t.judged / t.vehicles:.1f} % | {t.seconds:.1f} | {t.seconds_for_one:.2f} | {1000 * t.pause:.0f} |"
        )


def main() -> None:
    """Reads the command line; owns the server."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--only", nargs="*")
    options = parser.parse_args()
    limits.ANSWER_SECONDS = 600.0  # how long it takes is measured here; the service gives up after 15 s
    with tempfile.TemporaryDirectory(prefix="joulegate-bench-") as directory:
        server = LocalPostgres(Path(directory), options=SERVER_OPTIONS).start()
        try:
            asyncio.run(run(server, options))
        finally:
            server.stop("immediate")


if __name__ == "__main__":
    main()
