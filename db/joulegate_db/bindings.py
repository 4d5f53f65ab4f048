"""Bindings: which devices are accepted at one charge point only."""

from collections.abc import Iterable, Mapping

import asyncpg
import msgspec

from joulegate_core.telemetry import Stream
from joulegate_db.sql import query

Places = Mapping[str, str]
"""Charge points by device, of one stream."""


class Binding(msgspec.Struct, frozen=True):
    """This device reports from this charge point, and what it says elsewhere is refused as `wrong_place`."""

    kind: Stream
    device: str
    charge_point: str


async def bindings_version(connection: asyncpg.Connection) -> int:
    """Another number whenever a binding has changed."""
    return int(await connection.fetchval(query("binding_version")))


async def list_bindings(connection: asyncpg.Connection, kind: Stream | None = None) -> list[Binding]:
    """All, or those of one kind, in order of kind and device."""
    return [msgspec.convert(dict(row), Binding) for row in await connection.fetch(query("binding_list"), kind)]


async def bind(connection: asyncpg.Connection, wanted: Iterable[Binding]) -> int:
    """Binds devices, in one transaction; returns for how many something changed. Of several for one device the last holds."""
    last = {(one.kind, one.device): one for one in wanted}.values()
    columns = [one.kind.value for one in last], [one.device for one in last], [one.charge_point for one in last]
    return len(await connection.fetch(query("binding_set"), *columns))


async def unbind(connection: asyncpg.Connection, kind: Stream, device: str) -> str | None:
    """Ends a binding; returns where it was bound to, None when it was not bound."""
    charge_point: str | None = await connection.fetchval(query("binding_forget"), kind, device)
    return charge_point


def places_of(bindings: Iterable[Binding]) -> dict[Stream, dict[str, str]]:
    """As a decoder looks them up."""
    places: dict[Stream, dict[str, str]] = {stream: {} for stream in Stream}
    for one in bindings:
        places[one.kind][one.device] = one.charge_point
    return places
