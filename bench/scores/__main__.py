"""How right joulegate is about each shipped scenario: the table in docs/simulator.md.

PYTHONPATH=bench .venv/bin/python -m scores [--devices 200] [--seed 1] [--only SCENARIO ...]
"""

import argparse
import asyncio
import logging
import tempfile
import time
from pathlib import Path

import asyncpg

from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.logs import configure_logging
from joulegate_db.connect import MIGRATION_SETTINGS, connect
from joulegate_db.migrate import migrate
from joulegate_simulator.scenario import shipped
from joulegate_simulator.score import Score, Tally
from scores.day import Day, score_day

SERVER_OPTIONS = {"fsync": "off", "shared_buffers": "256MB", "max_wal_size": "2GB"}
ALERTS = ("low_efficiency", "implausible", "register_reset", "silent_device")


async def run(server: LocalPostgres, directory: Path, options: argparse.Namespace) -> None:
    """All scenarios; a row as soon as it is known."""
    heads = [
        "scenario",
        "AC, DC wrong by",
        "quarters under 85 %: precision, recall (found)",
        *(f"`{kind}`" for kind in ALERTS),
    ]
    print(f"| {' | '.join(heads)} |\n{'| --- ' * len(heads)}|", flush=True)
    for name in options.only or [path.stem for path in shipped()]:
        url = await _empty_database(server)
        began = time.monotonic()
        score = await score_day(Day(scenario=name, devices=options.devices, seed=options.seed), url, directory)
        print(_row(name, score), flush=True)
        if options.times:
            print(f"  {time.monotonic() - began:.1f} s")


async def _empty_database(server: LocalPostgres) -> str:
    maintenance = await asyncpg.connect(server.url())
    await maintenance.execute("drop database if exists day with (force)")
    await maintenance.execute("create database day")
    await maintenance.close()
    connection = await connect(server.url("day"), MIGRATION_SETTINGS)
    await migrate(connection)
    await connection.close()
    return server.url("day")


def _row(name: str, score: Score) -> str:
    quarters = score.tallies["quarters of an hour under 85 %"]
    cells = [
        name,
        f"{score.ac_error:.2%}, {score.dc_error:.2%}",
        f"{_share(quarters.precision)}, {_share(quarters.recall)} ({quarters.right + quarters.wrong})",
        *(_counts(score.tallies[f"alerts {kind}"]) for kind in ALERTS),
    ]
    return "| " + " | ".join(cells) + " |"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _counts(tally: Tally) -> str:
    counts = (tally.right, tally.wrong, tally.missed)
    return ", ".join(map(str, counts)) if any(counts) else "-"


def main() -> None:
    """Reads the command line; owns the server."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--devices", type=int, default=200, help="charge points of each scenario")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", metavar="SCENARIO")
    parser.add_argument("--times", action="store_true", help="tell how long each took")
    options = parser.parse_args()
    configure_logging("console", component="scores", level=logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="joulegate-scores-") as directory:
        server = LocalPostgres(Path(directory) / "postgres", options=SERVER_OPTIONS).start()
        try:
            asyncio.run(run(server, Path(directory), options))
        finally:
            server.stop("immediate")


if __name__ == "__main__":
    main()
