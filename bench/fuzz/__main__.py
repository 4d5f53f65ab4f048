"""`make fuzz`, or `PYTHONPATH=bench .venv/bin/python -m fuzz [--runs N] [--seed N] [--json FILE]`."""

import os
import shutil
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Annotated

import msgspec
import typer

import joulegate_gateway.nesting  # noqa: F401 - before atheris: its loop would be timed with the tracing in it

try:
    import atheris
except ImportError:
    sys.exit(
        "make fuzz needs atheris, which has wheels for Linux on x86-64 only (Python 3.11 to 3.13): run it there.\n"
        "The suite has a short cut that runs everywhere: make test PYTEST_ARGS=tests/test_decoder_oracle.py"
    )

with atheris.instrument_imports(include=["fuzz", "joulegate_gateway"]):
    from fuzz.compare import Comparison
from fuzz.edits import edited
from joulegate_cli.bench.machine import machine_facts

SEEDS = Path(__file__).parent / "corpus"
MAX_BYTES = 9_000
"""Of topic and payload together: enough for a payload that is too large."""
REPORTS = 10


class Run:
    """Counts payloads, and ends the process after `runs` of them, or at the first difference."""

    def __init__(self, runs: int, seed: int, record: Path | None, found: Path) -> None:
        self._runs = runs
        self._seed = seed
        self._record = record
        self._found = found
        self._done = 0
        self._comparison = Comparison()
        self._started = time.monotonic()

    def one(self, data: bytes) -> None:
        """One payload."""
        topic, payload = split(data)
        difference = self._comparison.check(topic, payload)
        self._done += 1
        if self._done % (self._runs // REPORTS or 1) == 0:
            print(f"{self._done:,} payloads, {time.monotonic() - self._started:.0f} s", flush=True)
        if difference is not None:
            print(f"payload {self._done}: {difference}\ntopic {topic!r}\npayload {payload!r}", flush=True)
        if difference is not None or self._done == self._runs:
            self._end(0 if difference is None else 1)

    def _end(self, disagreements: int) -> None:
        """Prints the summary, writes the record, and leaves: libFuzzer itself never returns."""
        seconds = time.monotonic() - self._started
        outcomes = dict(sorted(self._comparison.outcomes.items()))
        summary = {
            "payloads": self._done,
            "disagreements": disagreements,
            "accepted": outcomes.pop("accepted", 0),
            "rejected": outcomes,
            "slow": self._comparison.slow,
            "slowestMicroseconds": round(self._comparison.slowest_nanoseconds / 1000, 1),
            "seconds": round(seconds, 1),
            "seed": self._seed,
            "inputsKept": len(list(self._found.iterdir())),
            "machine": machine_facts() | {"atheris": version("atheris")},
        }
        text = msgspec.json.format(msgspec.json.encode(summary), indent=2)
        print(text.decode(), flush=True)
        if self._record is not None:
            self._record.write_bytes(text + b"\n")
        shutil.rmtree(self._found)
        os._exit(min(disagreements + self._comparison.slow, 1))


def split(data: bytes) -> tuple[str, bytes]:
    """Topic and payload of an input: a line each, so that a seed can be read."""
    topic, _, payload = data.partition(b"\n")
    return topic.decode(errors="replace"), payload


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """An input for libFuzzer: every tenth payload changed by its own means, the others token by token."""
    random = Random(seed)
    topic, payload = split(data)
    if random.random() < 0.1:
        payload = atheris.Mutate(payload, max_size - len(topic.encode()) - 1)
    else:
        topic, payload = edited(random, topic, payload)
    return (topic.encode() + b"\n" + payload)[:max_size]


def main(
    runs: Annotated[int, typer.Option(min=1, help="Payloads.")] = 1_000_000,
    seed: Annotated[int, typer.Option(min=1, help="Decides every payload.")] = 1,
    json: Annotated[Path | None, typer.Option(help="Writes the record here.")] = None,
) -> None:
    """Gives payloads to the decoder and to a second reading of the contract; ends at the first difference."""
    found = Path(tempfile.mkdtemp(prefix="joulegate-fuzz-"))
    run = Run(runs, seed, json, found)
    options = [f"-seed={seed}", f"-max_len={MAX_BYTES}", "-len_control=0", "-timeout=10", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, str(found), str(SEEDS)], run.one, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    typer.run(main)
