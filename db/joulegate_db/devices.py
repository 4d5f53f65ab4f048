"""What is declared about devices: how their energies are to be read, and what their hardware can deliver."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from joulegate_core.settings import EnergyKind
from joulegate_core.telemetry import Stream
from joulegate_db.declarations import declarations_locked
from joulegate_db.sql import query

MAX_KW = 1e6
"""The same limit as the setting's."""

Key = tuple[Stream, str]
"""A meter and a vehicle may bear the same id."""


class Device(msgspec.Struct, frozen=True):
    """A device that was seen or declared. `energy` and `max_kw` (in kW) are None where the stream's setting holds."""

    kind: Stream
    device: str
    energy: EnergyKind | None
    max_kw: float | None
    first_seen: datetime


class Declaration(msgspec.Struct, frozen=True):
    """What is to hold for a device from now on; UNSET leaves it as it is, None goes back to the stream's setting."""

    kind: Stream
    device: str
    energy: EnergyKind | UnsetType | None = UNSET
    max_kw: float | UnsetType | None = UNSET

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.kind, self.device


class _Declared(msgspec.Struct, frozen=True):
    energy: EnergyKind | None = None
    max_kw: float | None = None


async def list_devices(connection: asyncpg.Connection, kind: Stream | None) -> AsyncIterator[Device]:
    """All devices, or those of one kind, in order of kind and id, as they are at one moment."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        async for row in connection.cursor(query("device_list"), kind, prefetch=1000):
            yield msgspec.convert(dict(row), Device)


async def declare_devices(connection: asyncpg.Connection, declarations: Iterable[Declaration]) -> list[Key]:
    """Declares devices, in one transaction, and returns those for which something changed; the rest costs nothing.

    All rolled buckets of a changed device are marked: answers read them from history, by the new declaration, until the roller
    has computed them anew. Of several declarations for one device the last holds.
    """
    wanted = {declaration.key: declaration for declaration in declarations}
    async with declarations_locked(connection):
        current = await _declared(connection, list(wanted))
        merged = {key: _merge(current.get(key, _Declared()), wanted[key]) for key in sorted(wanted)}
        changed = {key: new for key, new in merged.items() if current.get(key) != new}
        if changed:
            await _declare(connection, changed)
    return list(changed)


async def _declared(connection: asyncpg.Connection, keys: Sequence[Key]) -> dict[Key, _Declared]:
    rows = await connection.fetch(query("device_declared"), [kind for kind, _ in keys], [device for _, device in keys])
    return {(Stream(row["kind"]), row["device"]): _Declared(row["energy"], row["max_kw"]) for row in rows}


def _merge(current: _Declared, wanted: Declaration) -> _Declared:
    return _Declared(
        energy=current.energy if wanted.energy is UNSET else wanted.energy,
        max_kw=current.max_kw if wanted.max_kw is UNSET else wanted.max_kw,
    )


async def _declare(connection: asyncpg.Connection, changed: dict[Key, _Declared]) -> None:
    keys = ([kind.value for kind, _ in changed], [device for _, device in changed])
    values = changed.values()
    await connection.execute(
        query("device_declare"), *keys, [new.energy for new in values], [new.max_kw for new in values]
    )
    await connection.execute(query("device_forget_baselines"), *keys)
    for stream in Stream:
        devices = [device for kind, device in changed if kind is stream]
        if devices:
            await connection.execute(query(f"device_mark_{stream}"), devices)
