"""Truth files: a heading and lines, as JSON lines or, for a name that ends in `.parquet`, as Parquet with the same columns."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import IO

import msgspec

from joulegate_core.errors import JoulegateError

PARQUET = ".parquet"
_encode = msgspec.json.Encoder().encode


class Heading(msgspec.Struct, frozen=True, rename="camel"):
    """What was simulated. `backfilled`: whether its readings were sent later than they were measured."""

    scenario: str
    seed: int
    devices: int
    backfilled: bool


class TruthLine(msgspec.Struct, frozen=True, rename="camel"):
    """One vehicle in one bucket, [bucket, bucket + 15 min). Energies in kWh: AC at the grid side of the charger that it was plugged in at.

    `charge_point` is the last one, null on the road. `faults` are `name:device` of itself, its charge point, its meter and its site; while
    it is away, of itself and of the meter of its own charge point.
    """

    vehicle_id: str
    bucket: datetime
    charge_point: str | None
    meter_id: str | None
    kwh_ac: float
    kwh_dc: float
    efficiency: float | None
    faults: list[str]


class TruthFile(ABC):
    """A truth file that is written."""

    @abstractmethod
    def write(self, line: TruthLine) -> None:
        """Adds a line."""

    @abstractmethod
    def close(self) -> None:
        """Writes what is left. Before, the file is not complete."""


def create_truth_file(path: Path, heading: Heading) -> TruthFile:
    """Begins a file of the kind that its name says.

    Raises:
        JoulegateError: it cannot be written, or it is to be Parquet and pyarrow is not installed.
    """
    try:
        return _parquet(path).ParquetFile(path, heading) if path.suffix == PARQUET else _JsonLines(path, heading)
    except OSError as error:
        raise JoulegateError(f"the truth file {path} cannot be written: {error.strerror or error}") from error


def read_truth_file(path: Path) -> tuple[Heading, Iterator[TruthLine]]:
    """Heading and lines. The lines are read as they are asked for.

    Raises:
        JoulegateError: it is Parquet and pyarrow is not installed.
        OSError: it cannot be read.
        ValueError: it is no truth file; msgspec's errors among them. All three may come while lines are read, too.
    """
    return _parquet(path).read(path) if path.suffix == PARQUET else _read_json_lines(path)


def _parquet(path: Path) -> ModuleType:
    if find_spec("pyarrow") is None:
        raise JoulegateError(
            f"the truth file {path} needs pyarrow, the extra `archive`: pip install 'joulegate[archive]', "
            "or give a name that ends in .jsonl"
        )
    return import_module("joulegate_simulator.truth_parquet")


class _JsonLines(TruthFile):
    def __init__(self, path: Path, heading: Heading) -> None:
        self._file: IO[bytes] = path.open("wb")
        self._file.write(_encode(heading) + b"\n")

    def write(self, line: TruthLine) -> None:
        self._file.write(_encode(line) + b"\n")

    def close(self) -> None:
        self._file.close()


def _read_json_lines(path: Path) -> tuple[Heading, Iterator[TruthLine]]:
    decode = msgspec.json.Decoder(TruthLine).decode

    def lines() -> Iterator[TruthLine]:
        with path.open("rb") as file:
            next(file)
            yield from map(decode, file)

    with path.open("rb") as file:
        heading = msgspec.json.decode(file.readline(), type=Heading)
    return heading, lines()
