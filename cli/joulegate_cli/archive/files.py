"""A day's readings from the database into a Parquet file, and back."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import asyncpg
import msgspec
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from joulegate_cli.archive.columns import (
    FLOATS,
    TEXTS,
    TYPES,
    Digest,
    Scales,
    pack,
    packed_schema,
    plain_schema,
    unpack,
    widen,
)
from joulegate_cli.archive.layout import ArchiveError, begin, finish
from joulegate_core.telemetry import Stream
from joulegate_db.archive import COLUMNS, read_day

BLOCK_BYTES = 8 << 20
"""So much CSV is made columns at a time: memory is bounded whatever the day holds."""

ROW_GROUP = 1 << 18
"""A few hundred devices' days: a question for one device reads one group."""

ZSTD_LEVEL = 9


class Rows(msgspec.Struct, frozen=True):
    """How many rows there are, and their digest."""

    rows: int
    digest: str


class _Blocks:
    """Cuts CSV at line ends and hands columns on."""

    def __init__(self, stream: Stream, take: Callable[[pa.RecordBatch], None]) -> None:
        names = list(COLUMNS[stream])
        self._read = pc.ReadOptions(column_names=names, use_threads=False, block_size=2 * BLOCK_BYTES)
        self._convert = pc.ConvertOptions(
            column_types={name: TYPES[name] for name in names}, true_values=["t"], false_values=["f"], null_values=[]
        )
        self._take = take
        self._waiting = bytearray()

    async def add(self, data: bytes) -> None:
        """Takes a piece as COPY gives it."""
        self._waiting += data
        if len(self._waiting) >= BLOCK_BYTES:
            self._flush(self._waiting.rfind(b"\n") + 1)

    def close(self) -> None:
        """Hands on what is left."""
        self._flush(len(self._waiting))

    def _flush(self, end: int) -> None:
        if end:
            text = BytesIO(bytes(self._waiting[:end]))
            del self._waiting[:end]
            for batch in pc.read_csv(text, read_options=self._read, convert_options=self._convert).to_batches():
                self._take(batch)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What goes wrong on the archive's disk is said of it, and not of the database."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise ArchiveError(
            f"{path} cannot be written: {error}. What is archived so far stays; mend it and run this again"
        ) from None


async def digest_of_table(connection: asyncpg.Connection, stream: Stream, table: str) -> Rows:
    """Of a day's table, in the order of the files."""
    digest = Digest(stream)
    blocks = _Blocks(stream, digest.update)
    await read_day(connection, stream, table, blocks.add)
    blocks.close()
    return Rows(digest.rows, digest.hexdigest())


def digest_of_file(path: Path, stream: Stream) -> Rows:
    """Of a file, every row read back.

    Raises:
        ArchiveError: it is not there, or is damaged.
    """
    digest = Digest(stream)
    try:
        for batch in _plain_batches(path):
            digest.update(batch)
    except (OSError, pa.ArrowException, KeyError, IndexError) as error:
        raise ArchiveError(f"{path} cannot be read: {error}. Restore it from a copy of the archive") from None
    return Rows(digest.rows, digest.hexdigest())


async def write_file(connection: asyncpg.Connection, stream: Stream, table: str, path: Path) -> Rows:
    """Writes the table's readings to `path`; returns what the database had. By way of a file on the same disk, so that a day of
    any size fits into memory and the packing is known before the first row is packed.
    """
    digest, scales = Digest(stream), Scales()
    with writing(path):
        stage = begin(path.with_suffix(".arrow"))
        part = begin(path)
        sink = pa.OSFile(str(stage), "wb")
    packing = pa.ipc.IpcWriteOptions(compression="lz4")
    with sink, pa.ipc.new_file(sink, plain_schema(stream), options=packing) as writer:

        def take(batch: pa.RecordBatch) -> None:
            nonlocal scales
            digest.update(batch)
            scales = widen(scales, batch)
            with writing(path):
                writer.write_batch(batch)

        blocks = _Blocks(stream, take)
        await read_day(connection, stream, table, blocks.add)
        blocks.close()
    with writing(path):
        _write_parquet(stage, part, packed_schema(stream, scales))
        finish(part, path)
        stage.unlink()
    return Rows(digest.rows, digest.hexdigest())


def _write_parquet(stage: Path, part: Path, schema: pa.Schema) -> None:
    integers = [field.name for field in schema if pa.types.is_decimal(field.type)]
    encodings = dict.fromkeys(("ts", *integers), "DELTA_BINARY_PACKED")
    encodings |= {name: "BYTE_STREAM_SPLIT" for name in FLOATS if name in schema.names and name not in integers}
    with (
        pa.OSFile(str(stage)) as source,
        pq.ParquetWriter(
            part,
            schema,
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            use_dictionary=list(TEXTS),
            column_encoding=encodings,
            store_decimal_as_integer=True,
            sorting_columns=pq.SortingColumn.from_ordering(schema, [("device", "ascending"), ("ts", "ascending")]),
        ) as writer,
    ):
        reader = pa.ipc.open_file(source)
        waiting: list[pa.RecordBatch] = []
        for number in range(reader.num_record_batches):
            waiting.append(reader.get_batch(number))
            if sum(batch.num_rows for batch in waiting) >= ROW_GROUP:
                waiting = _write_groups(writer, waiting, schema, least=ROW_GROUP)
        _write_groups(writer, waiting, schema, least=1)


def _write_groups(
    writer: pq.ParquetWriter, batches: list[pa.RecordBatch], schema: pa.Schema, *, least: int
) -> list[pa.RecordBatch]:
    """Writes whole row groups, and the rest too when there are `least` rows of it; returns what is left."""
    [whole] = pa.Table.from_batches(batches).combine_chunks().to_batches() if batches else [None]
    begin = 0
    while whole is not None and whole.num_rows - begin >= least:
        rows = whole.slice(begin, ROW_GROUP)
        writer.write_batch(pack(rows, schema), row_group_size=ROW_GROUP)
        begin += rows.num_rows
    return [] if whole is None or begin == whole.num_rows else [whole.slice(begin)]


def _plain_batches(path: Path) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROW_GROUP):
            yield unpack(batch)


async def csv_of_file(path: Path) -> AsyncIterator[bytes]:
    """A file's readings as CSV that COPY takes."""
    for batch in _plain_batches(path):
        shown = batch.set_column(0, "ts", batch["ts"].cast(pa.timestamp("us", "UTC")))
        sink = BytesIO()
        pc.write_csv(shown, sink, pc.WriteOptions(include_header=False, quoting_style="none"))
        yield sink.getvalue()
