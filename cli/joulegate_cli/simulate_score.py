"""`joulegate simulate score`: compares a truth file with what the HTTP API answers."""

import contextlib
import os
from pathlib import Path
from typing import Annotated

import typer


def score(
    truth: Annotated[Path, typer.Argument(help="The file that `joulegate simulate --truth` wrote.")],
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The HTTP API; otherwise that of JOULEGATE_HTTP_HOST and JOULEGATE_HTTP_PORT."
        ),
    ] = None,
) -> None:
    """Compare a truth file with the performance series and the alerts of the HTTP API; print precision and recall.

    Ask when the gateway has rolled: two to three minutes after the simulation.
    """
    from joulegate_cli.progress import bar
    from joulegate_cli.simulate_answers import HttpAnswers
    from joulegate_core.settings import load_settings
    from joulegate_simulator.score import read_truth, score_answers

    known = read_truth(truth)
    settings = load_settings(os.environ)
    with bar("asking", total=len(known.lines)) as advance:
        base = url or f"http://{settings.http_host}:{settings.http_port}"
        with contextlib.closing(HttpAnswers(base, asked=lambda: advance(1))) as api:
            result = score_answers(known, api)
    start, end = known.window
    print(
        f"{known.heading.scenario}, seed {known.heading.seed}: {result.vehicles:,} vehicles, {start:%F %R} to {end:%F %R} UTC"
    )
    print(
        f"energies: AC wrong by {result.ac_error:.2%}, DC by {result.dc_error:.2%} (sum of the differences over the sum of the truth)"
    )
    print(f"{'':<32}{'right':>8}{'wrong':>8}{'missed':>8}{'precision':>11}{'recall':>9}")
    for name, tally in result.tallies.items():
        shares = f"{_share(tally.precision):>11}{_share(tally.recall):>9}"
        print(f"{name:<32}{tally.right:>8,}{tally.wrong:>8,}{tally.missed:>8,}{shares}")
    if known.heading.backfilled:
        print("silent_device alerts are not judged: silence is that of reception, and this was backfilled")


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
