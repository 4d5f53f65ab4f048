"""Packing is exact for any float, and the digest is of the rows, however they are cut."""

import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulegate_core.telemetry import Stream

pa = pytest.importorskip("pyarrow", reason="the extra `archive` is not installed")
columns = pytest.importorskip("joulegate_cli.archive.columns")

DECIMALS = st.integers(-(10**12), 10**12).flatmap(lambda n: st.integers(0, 9).map(lambda places: n / 10**places))
FLOATS = st.floats(-1e9, 1e9) | DECIMALS.filter(lambda one: abs(one) <= 1e9) | st.sampled_from([0.0, -0.0, 1e9, 5e-324])
IDS = st.text("ABCabc019._:-", min_size=1, max_size=12)
ROWS = st.lists(
    st.tuples(st.integers(0, 2**52), FLOATS, FLOATS.map(lambda one: struct.unpack("f", struct.pack("f", one))[0]), st.booleans(), IDS, IDS),
    max_size=30,
)  # fmt: skip


def batch(rows: list[tuple[Any, ...]]) -> Any:
    schema = columns.plain_schema(Stream.METER)
    arrays = [pa.array([row[i] for row in rows], field.type) for i, field in enumerate(schema)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def digest(*batches: Any) -> str:
    found = columns.Digest(Stream.METER)
    for one in batches:
        found.update(one)
    return str(found.hexdigest())


@settings(max_examples=200, deadline=None)
@given(ROWS, st.integers(0, 30))
def test_packed_and_unpacked_rows_are_the_same(rows: list[tuple[Any, ...]], cut: int) -> None:
    whole = batch(rows)
    scales = columns.widen(columns.widen({}, whole.slice(0, cut)), whole.slice(cut))
    schema = columns.packed_schema(Stream.METER, scales)
    parts = [columns.unpack(columns.pack(part, schema)) for part in (whole.slice(0, cut), whole.slice(cut))]
    assert [row for part in parts for row in part.to_pylist()] == whole.to_pylist()
    assert digest(*parts) == digest(whole) == digest(*(whole.slice(n, 1) for n in range(len(rows))))


def test_places_that_a_later_batch_needs_are_bounded_by_an_earlier_one() -> None:
    """Nine digits before the point and eight behind it are no exact integer of 10^-8: the column stays as it is."""
    rows = [(n, kwh, 230.0, False, "m", "cp") for n, kwh in enumerate((90071993.0, 0.12345678))]
    whole = batch(rows)
    scales = columns.widen(columns.widen({}, whole.slice(0, 1)), whole.slice(1))
    assert scales["kwh"] is None
    assert (
        columns.unpack(columns.pack(whole, columns.packed_schema(Stream.METER, scales))).to_pylist()
        == whole.to_pylist()
    )


@settings(max_examples=100, deadline=None)
@given(ROWS.filter(bool), st.data())
def test_another_row_is_another_digest(rows: list[tuple[Any, ...]], data: st.DataObject) -> None:
    where = data.draw(st.integers(0, len(rows) - 1))
    other = list(rows)
    ts, kwh, *rest = rows[where]
    changed = data.draw(st.sampled_from(["ts", "kwh", "late", "device", "gone", "twice"]))
    voltage, late, device, place = rest
    other[where] = (
        ts + (changed == "ts"), math.nextafter(kwh, math.inf) if changed == "kwh" else kwh, voltage,
        late != (changed == "late"), device + "x" * (changed == "device"), place,
    )  # fmt: skip
    if changed == "gone":
        del other[where]
    elif changed == "twice":
        other.append(rows[where])
    assert digest(batch(other)) != digest(batch(rows))


def test_neighbouring_names_do_not_flow_into_each_other() -> None:
    one, two = ((1, 1.0, 1.0, False, device, "c") for device in ("ab", "c"))
    three, four = ((1, 1.0, 1.0, False, device, "c") for device in ("a", "bc"))
    assert digest(batch([one, two])) != digest(batch([three, four]))


@pytest.mark.parametrize(
    ("values", "scale"),
    [([1.5, 230.25], 2), ([0.123456789], 9), ([1 / 3], None), ([1e9, 1e-9], None), ([7.0], 0), ([], 0)],
)
def test_as_many_places_as_are_needed(values: list[float], scale: int | None) -> None:
    rows = [(1, value, 1.0, False, "d", "c") for value in values]
    found = columns.widen({}, batch(rows))["kwh"]
    assert (None if found is None else found.places) == scale
