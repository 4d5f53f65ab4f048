"""Truth files as Parquet. Needs pyarrow, the extra `archive`: import it only where that was looked for."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from joulegate_simulator.truth_files import Heading, TruthFile, TruthLine

HEADING_KEY = b"joulegate.truth"
"""The key of the heading, as JSON, in the file's metadata."""

ROW_GROUP = 50_000


class ParquetFile(TruthFile):
    """Writes whole row groups; what is left when it is closed."""

    def __init__(self, path: Path, heading: Heading) -> None:
        self._schema = _schema().with_metadata({HEADING_KEY: msgspec.json.encode(heading)})
        self._file = path.open("wb")  # its errors say what is wrong in few words
        self._writer = pq.ParquetWriter(self._file, self._schema, compression="zstd")
        self._waiting: list[dict[str, Any]] = []

    def write(self, line: TruthLine) -> None:
        self._waiting.append(msgspec.to_builtins(line, builtin_types=(datetime,)))
        if len(self._waiting) == ROW_GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()
        self._file.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_pylist(self._waiting, self._schema))
            self._waiting.clear()


def _schema() -> Any:
    texts = {name: pa.string() for name in ("vehicleId", "chargePoint", "meterId")}
    numbers = {name: pa.float64() for name in ("kwhAc", "kwhDc", "efficiency")}
    types = texts | numbers | {"bucket": pa.timestamp("ms", "UTC"), "faults": pa.list_(pa.string())}
    return pa.schema([(name, types[name]) for name in TruthLine.__struct_encode_fields__])


def read(path: Path) -> tuple[Heading, Iterator[TruthLine]]:
    """As `read_truth_file`."""
    file = pq.ParquetFile(path)
    metadata = file.schema_arrow.metadata or {}
    heading = msgspec.json.decode(metadata.get(HEADING_KEY, b""), type=Heading)

    def lines() -> Iterator[TruthLine]:
        for batch in file.iter_batches():
            yield from msgspec.convert(batch.to_pylist(), list[TruthLine])

    return heading, lines()
