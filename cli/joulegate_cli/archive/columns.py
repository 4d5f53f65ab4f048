"""Readings as Arrow columns: how they are read from the database, how they are packed in files, and their digest.

A float that is a decimal of at most nine places, as meters publish them, is kept as that decimal: an integer, which packs into a third.
The packing is exact: a day with a value for which it is not keeps that column as it is.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from joulegate_core.telemetry import Stream
from joulegate_db.archive import COLUMNS

MAX_SCALE = 9
EXACT_INTEGERS = 2**50
"""A float holds integers up to 2^53. Three bits less, and float times power of ten is off by less than a half: whatever is a decimal
of some places is found to be one of more places, too, as long as it stays below."""
PRECISION = 18

TYPES: Mapping[str, pa.DataType] = {
    "ts": pa.int64(),
    "kwh": pa.float64(),
    "battery_temp": pa.float64(),
    "voltage": pa.float32(),
    "soc": pa.float32(),
    "late": pa.bool_(),
    "device": pa.string(),
    "charge_point": pa.string(),
}
"""As in the database; `ts` in microseconds since 1970."""

FLOATS = ("kwh", "battery_temp", "voltage", "soc")
TEXTS = ("device", "charge_point")
TS = pa.timestamp("us", "UTC")


class Places(NamedTuple):
    """How many decimal places a column needs, and the largest of its values, which bounds how many it can have."""

    places: int = 0
    largest: float = 0.0


Scales = dict[str, Places | None]
"""By column; None: it is kept as floats."""


def plain_schema(stream: Stream) -> pa.Schema:
    """The columns as the database has them."""
    return pa.schema([(name, TYPES[name]) for name in COLUMNS[stream]])


def packed_schema(stream: Stream, scales: Scales) -> pa.Schema:
    """The columns as they stand in a file: a device's and a charge point's name once for many rows."""
    types = {
        **TYPES,
        "ts": TS,
        **dict.fromkeys(TEXTS, pa.dictionary(pa.int32(), pa.string())),
        **{name: pa.decimal64(PRECISION, scale.places) for name, scale in scales.items() if scale is not None},
    }
    return pa.schema([pa.field(name, types[name], nullable=False) for name in COLUMNS[stream]])


def widen(scales: Scales, batch: pa.RecordBatch) -> Scales:
    """The places that are needed when `batch` is added."""
    needed = dict(scales)
    for name in FLOATS:
        scale = needed.get(name, Places())
        if name in batch.schema.names and scale is not None:
            needed[name] = _widened(scale, batch[name])
    return needed


def _widened(scale: Places, array: Any) -> Places | None:
    bounds = pc.min_max(array)
    largest = (
        max(scale.largest, abs(bounds["min"].as_py()), abs(bounds["max"].as_py())) if len(array) else scale.largest
    )
    possible = (one for one in range(scale.places, MAX_SCALE + 1) if largest * 10.0**one < EXACT_INTEGERS)
    places = next((one for one in possible if _unscaled(array, one) is not None), None)
    return None if places is None else Places(places, largest)


def pack(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Plain columns as packed ones."""
    return pa.RecordBatch.from_arrays([_pack(batch[field.name], field.type) for field in schema], schema=schema)


def unpack(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Packed columns as plain ones."""
    names = batch.schema.names
    arrays = [_unpack(batch[name], TYPES[name]) for name in names]
    return pa.RecordBatch.from_arrays(arrays, names=names)


def _pack(array: Any, kind: pa.DataType) -> Any:
    if pa.types.is_decimal(kind):
        values = _unscaled(array, kind.scale)
        assert values is not None  # noqa: S101 - `widen` has seen every batch
        return pa.Array.from_buffers(kind, len(values), [None, values.buffers()[1]], offset=values.offset)
    return array.dictionary_encode() if pa.types.is_dictionary(kind) else array.cast(kind)


def _unpack(array: Any, kind: pa.DataType) -> Any:
    if pa.types.is_decimal(array.type):
        scale = array.type.scale
        values = pa.Array.from_buffers(pa.int64(), len(array), [None, array.buffers()[1]], offset=array.offset)
        return pc.divide(values.cast(pa.float64()), 10.0**scale).cast(kind, safe=False)
    return array.cast(kind)


def _unscaled(array: Any, scale: int) -> Any | None:
    """The floats, whose largest is below EXACT_INTEGERS of them, as integers of 10^-scale; None when they are not exactly that.

    An integer below 2^53 and a power of ten up to 10^22 are exact floats, so that their quotient is the float nearest to the decimal.
    """
    scaled = pc.round(pc.multiply(array.cast(pa.float64()), 10.0**scale))
    back = pc.divide(scaled, 10.0**scale).cast(array.type, safe=False)
    return scaled.cast(pa.int64()) if pc.all(pc.equal(back, array), min_count=0).as_py() else None


class Digest:
    """SHA-256 over plain rows in order, column by column: the same however they are cut into batches. The sign of a zero does not count."""

    def __init__(self, stream: Stream) -> None:
        self.rows = 0
        self._columns = [(name, hashlib.sha256(), hashlib.sha256()) for name in COLUMNS[stream]]

    def update(self, batch: pa.RecordBatch) -> None:
        """Adds rows."""
        self.rows += batch.num_rows
        for name, values, lengths in self._columns:
            array = batch[name]
            if name in TEXTS:
                values.update(_text(array))
                lengths.update(_fixed(pc.binary_length(array)))
            elif name == "late":
                values.update(_fixed(array.cast(pa.uint8())))
            else:
                values.update(_fixed(pc.add(array, pa.scalar(0, array.type))))

    def hexdigest(self) -> str:
        """Over all rows so far."""
        whole = hashlib.sha256(str(self.rows).encode())
        for name, values, lengths in self._columns:
            whole.update(name.encode() + values.digest() + lengths.digest())
        return whole.hexdigest()


def _fixed(array: Any) -> memoryview:
    width = array.type.bit_width // 8
    return memoryview(array.buffers()[1])[array.offset * width : (array.offset + len(array)) * width]


def _text(array: Any) -> memoryview:
    _, offsets, data = array.buffers()
    if data is None or not len(array):
        return memoryview(b"")
    edges = memoryview(offsets).cast("B").cast("i")
    return memoryview(data)[edges[array.offset] : edges[array.offset + len(array)]]
