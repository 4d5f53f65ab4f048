"""What a scenario is, the list of all, and how one is run."""

import random
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from chaos.stand import RATE, Stand, open_stand, under_load
from chaos.verdict import Verdict, judge


class Scenario(msgspec.Struct, frozen=True):
    """One kind of fault.

    Attributes:
        title: what happens, for the tables.
        run: injects the faults; the load is on from its beginning to its end.
        may_lose: why readings may be lost that the broker acknowledged; empty where none may.
        rate: readings a second.
        options: for the stand (`broker_conf`, `window`).
    """

    name: str
    title: str
    run: Callable[[Stand], Awaitable[None]]
    may_lose: str
    rate: int
    options: dict[str, Any]


class Outcome(msgspec.Struct, frozen=True):
    """One scenario's result. `broken`: what went wrong apart from the readings."""

    name: str
    title: str
    faults: dict[str, int]
    verdict: Verdict | None
    recovery_seconds: list[float]
    notes: list[str]
    seconds: float
    may_lose: str
    broken: list[str]

    @property
    def failures(self) -> list[str]:
        """What is not as promised, in words; empty when all is well."""
        wrong = dict(self.verdict.faults) if self.verdict is not None else {}
        if self.may_lose:
            wrong.pop("lost", None)
        return [f"{name} {value}" for name, value in wrong.items()] + self.broken


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    title: str, *, may_lose: str = "", rate: int = RATE, **options: Any
) -> Callable[[Callable[[Stand], Awaitable[None]]], Callable[[Stand], Awaitable[None]]]:
    """Registers a function as a scenario, under its name."""

    def register(run: Callable[[Stand], Awaitable[None]]) -> Callable[[Stand], Awaitable[None]]:
        name = run.__name__.replace("_", "-")
        SCENARIOS[name] = Scenario(name, title, run, may_lose, rate, options)
        return run

    return register


async def perform(chosen: Scenario, directory: Path, template: Path, seed: int) -> Outcome:
    """Runs one scenario on a stand of its own. The same seed makes the same choices; what runs beside them differs."""
    started = time.monotonic()
    rng = random.Random(f"{seed} {chosen.name}")
    verdict, stand, broken = None, None, []
    try:
        async with open_stand(directory, template, rng, rate=chosen.rate, **chosen.options) as stand:
            async with under_load(stand, may_lose=bool(chosen.may_lose)):
                await chosen.run(stand)
            verdict = await judge(stand)
    except Exception as problem:  # noqa: BLE001 - one scenario's end is a line in the table, not the run's
        broken = [f"{type(problem).__name__}: {problem}"]
    outcome = Outcome(
        name=chosen.name,
        title=chosen.title,
        faults=dict(stand.faults) if stand else {},
        verdict=verdict,
        recovery_seconds=[round(s, 2) for s in stand.recoveries] if stand else [],
        notes=stand.notes if stand else [],
        seconds=round(time.monotonic() - started, 1),
        may_lose=chosen.may_lose,
        broken=broken + (stand.broken if stand else []),
    )
    if not outcome.failures:  # else logs and data stay, to be looked at
        shutil.rmtree(directory, ignore_errors=True)
    return outcome
