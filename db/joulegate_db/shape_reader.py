"""Reads shapes: coarse ones from rollups as far as these hold and from history behind, fine ones from history.

Rows come as arrays, one row a device and place, in batches: no statement is long, and decoding none of them keeps the event loop for
more than some 20 ms.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec

from joulegate_core.telemetry import READING_INTERVAL_SECONDS, Stream
from joulegate_db.presence import BUCKET_SECONDS
from joulegate_db.registers import Counter, energies
from joulegate_db.roll_view import DeviceView, Register, view_devices
from joulegate_db.shapes import Minutes, Shape, ShapeSums
from joulegate_db.sql import query
from joulegate_db.windows import Window

BATCH_VALUES = 20_000
"""How many values one statement may return, about."""

VIEW_BATCH = 1000

Views = dict[str, DeviceView]


class Span(msgspec.Struct, frozen=True):
    """What is to be read of one device."""

    device: str
    window: Window


async def all_devices(connection: asyncpg.Connection, stream: Stream) -> list[str]:
    """Every device of the stream that was ever seen or declared."""
    return [row[0] for row in await connection.fetch(query("pairing_devices"), stream.value)]


async def read_shapes(
    connection: asyncpg.Connection, stream: Stream, devices: Sequence[str], window: Window
) -> dict[str, Shape]:
    """The coarse shapes of those of `devices` that reported in `window`, which begins with a bucket."""
    views = await _views(connection, stream, devices)
    first, length = _slots(window, BUCKET_SECONDS)
    sums: dict[str, ShapeSums] = {}
    splits = {device: _rolled_until(view, window) for device, view in views.items()}
    rolled = [Span(device, Window(window.start, split)) for device, split in splits.items()]
    async for row in _fetch(connection, f"pairing_rolled_{stream}", rolled, BUCKET_SECONDS):
        one = sums.setdefault(row["device"], ShapeSums(row["device"], length))
        place = (row["charge_point"], row["linked_vehicle"])
        for bucket, kwh, readings in zip(row["buckets"], row["kwh"], row["readings"], strict=True):
            one.add(place, bucket - first, kwh, readings)
    raw = [Span(device, Window(split, window.end)) for device, split in splits.items()]
    async for row in _fetch(connection, f"pairing_readings_{stream}", raw, READING_INTERVAL_SECONDS):
        one = sums.setdefault(row["device"], ShapeSums(row["device"], length))
        place = (row["charge_point"], row["linked_vehicle"])
        for ts, kwh in _intervals(row, views[row["device"]].register):
            one.add(place, int(ts // BUCKET_SECONDS) - first, kwh, 1)
    return await asyncio.to_thread(lambda: {device: one.shape() for device, one in sums.items()})


async def read_minutes(
    connection: asyncpg.Connection, stream: Stream, devices: Collection[str], window: Window
) -> dict[str, Minutes]:
    """The fine shapes of those of `devices` that reported in `window`. A register's first reading in it is left out."""
    views = await _views(connection, stream, sorted(devices))
    first, length = _slots(window, READING_INTERVAL_SECONDS)
    minutes: dict[str, Minutes] = {}
    readings: dict[int, list[float]] = {}
    spans = [Span(device, window) for device in views]
    async for row in _fetch(connection, f"pairing_readings_{stream}", spans, READING_INTERVAL_SECONDS):
        if row["device"] not in minutes:  # rows are in order of the device; it may have been at several places
            readings = {}
        for ts, kwh in _intervals(row, views[row["device"]].register):
            readings.setdefault(int(ts // READING_INTERVAL_SECONDS) - first, []).append(kwh)
        minutes[row["device"]] = Minutes.of(readings, length)
    return minutes


def _slots(window: Window, seconds: int) -> tuple[int, int]:
    """The number, since 1970, of the window's first slot, and how many slots it touches."""
    first = int(window.start.timestamp() // seconds)
    return first, int(-(-window.end.timestamp() // seconds)) - first


async def _views(connection: asyncpg.Connection, stream: Stream, devices: Sequence[str]) -> Views:
    views: Views = {}
    for first in range(0, len(devices), VIEW_BATCH):
        views |= await view_devices(connection, stream, devices[first : first + VIEW_BATCH])
    return views


def _rolled_until(view: DeviceView, window: Window) -> datetime:
    """Up to where the device's rollups hold without a break. What lies behind is read from history."""
    ranges = view.rolled(window)
    return ranges[0].end if ranges and ranges[0].start == window.start else window.start


async def _fetch(
    connection: asyncpg.Connection, name: str, spans: Sequence[Span], seconds_a_value: int
) -> AsyncIterator[Any]:
    """The rows of one of the pairing queries, batch by batch."""
    for batch in _batches([span for span in spans if span.window.start < span.window.end], seconds_a_value):
        rows = await connection.fetch(
            query(name),
            [span.device for span in batch],
            [span.window.start for span in batch],
            [span.window.end for span in batch],
            min(span.window.start for span in batch),
            max(span.window.end for span in batch),
        )
        for row in rows:
            yield row


def _batches(spans: Sequence[Span], seconds_a_value: int) -> Iterator[list[Span]]:
    batch: list[Span] = []
    values = 0.0
    for span in spans:
        more = span.window.length.total_seconds() / seconds_a_value
        if batch and values + more > BATCH_VALUES:
            yield batch
            batch, values = [], 0.0
        batch.append(span)
        values += more
    if batch:
        yield batch


def _intervals(row: Any, register: Register | None) -> Iterator[tuple[float, float]]:
    """Time and energy of a device's readings at one place.

    Of a register's only plain differences between neighbours count: energy across a gap belongs to many minutes, and what is
    no difference says nothing about its minute. The first reading is left out too: one more or less changes no mean.
    """
    if register is None:
        yield from zip(row["times"], row["kwh"], strict=True)
        return
    counters = [
        Counter(datetime.fromtimestamp(ts, UTC), kwh) for ts, kwh in sorted(zip(row["times"], row["kwh"], strict=True))
    ]
    walk = energies(counters, None, None, register.limits)
    for counter, (energy, _) in zip(counters, walk, strict=True):
        if energy.outcome == "difference":
            yield counter.ts.timestamp(), energy.kwh
