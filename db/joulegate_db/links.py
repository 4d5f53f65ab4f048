"""Links: this meter measures this vehicle for this time. A meter has one vehicle at a time."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Literal

import asyncpg
import msgspec

from joulegate_core.errors import JoulegateError
from joulegate_db.declarations import declarations_locked
from joulegate_db.sql import query


class LinkKey(msgspec.Struct, frozen=True, order=True):
    """What makes a link the same link; its end may change."""

    meter: str
    valid_from: datetime
    vehicle: str


class Link(msgspec.Struct, frozen=True):
    """A link, valid from `valid_from` to before `valid_to`, without end when that is None. Times in UTC."""

    id: int
    vehicle: str
    meter: str
    valid_from: datetime
    valid_to: datetime | None
    created_at: datetime

    @property
    def key(self) -> LinkKey:
        """What makes it this link."""
        return LinkKey(self.meter, self.valid_from, self.vehicle)


class LinkPut(msgspec.Struct, frozen=True):
    """A link as somebody wants it. `valid_to` is after `valid_from`, ids obey the rule of ids: the caller sees to both."""

    vehicle: str
    meter: str
    valid_from: datetime
    valid_to: datetime | None

    @property
    def key(self) -> LinkKey:
        """What makes it this link."""
        return LinkKey(self.meter, self.valid_from, self.vehicle)


class LinkFilter(msgspec.Struct, frozen=True):
    """Which links; None for any. `at`: valid at this moment."""

    vehicle: str | None = None
    meter: str | None = None
    at: datetime | None = None


Outcome = Literal["created", "changed", "unchanged"]


class LinkOverlapError(JoulegateError):
    """The meter has another vehicle for some of the time. `obstacle` is the first link in the way."""

    def __init__(self, obstacle: Link) -> None:
        super().__init__(
            f"meter {obstacle.meter} is linked to vehicle {obstacle.vehicle} {describe_validity(obstacle)} (link {obstacle.id})"
        )
        self.obstacle = obstacle


class Changed(msgspec.Struct, frozen=True):
    """The times [since, until) (None: without end) for which a meter's links changed."""

    meter: str
    since: datetime
    until: datetime | None


async def links_page(connection: asyncpg.Connection, which: LinkFilter, after: int, limit: int) -> list[Link]:
    """Up to `limit` links in order of id, beginning after the id `after` (0: from the first)."""
    rows = await connection.fetch(query("link_list"), which.vehicle, which.meter, which.at, after, limit)
    return [link_of(row) for row in rows]


async def all_links(connection: asyncpg.Connection, vehicle: str | None, meter: str | None) -> AsyncIterator[Link]:
    """Every link (of one vehicle, of one meter), by meter and time, as they are at one moment."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        async for row in connection.cursor(query("link_all"), vehicle, meter, prefetch=1000):
            yield link_of(row)


async def get_link(connection: asyncpg.Connection, number: int) -> Link | None:
    """The link with this id."""
    row = await connection.fetchrow(query("link_get"), number)
    return None if row is None else link_of(row)


async def put_link(connection: asyncpg.Connection, put: LinkPut) -> tuple[Link, Outcome]:
    """Creates a link; or gives the link of this vehicle, meter and beginning another end; or finds that it is as wanted.

    Raises:
        LinkOverlapError: the meter has another vehicle for some of the time. Nothing was changed.
    """
    async with declarations_locked(connection):
        rows = await connection.fetch(query("link_touching"), put.vehicle, put.meter, put.valid_from, put.valid_to)
        same, others = None, []
        for link in map(link_of, rows):
            if link.key == put.key:
                same = link
            else:
                others.append(link)
        if others:
            raise LinkOverlapError(others[0])
        if same is None:
            return await _create(connection, put), "created"
        if same.valid_to == put.valid_to:
            return same, "unchanged"
        await set_ends(connection, [same], [put.valid_to])
        await mark(connection, [change_of_end(same, put.valid_to)])
        return msgspec.structs.replace(same, valid_to=put.valid_to), "changed"


async def delete_link(connection: asyncpg.Connection, number: int) -> Link | None:
    """Deletes the link with this id, as if it had never been, and returns it. To end a link, put it with an end."""
    async with declarations_locked(connection):
        row = await connection.fetchrow(query("link_delete"), number)
        if row is None:
            return None
        link = link_of(row)
        await mark(connection, [Changed(link.meter, link.valid_from, link.valid_to)])
        return link


async def _create(connection: asyncpg.Connection, put: LinkPut) -> Link:
    (link,) = await insert(connection, [put])
    await mark(connection, [Changed(link.meter, link.valid_from, link.valid_to)])
    return link


async def insert(connection: asyncpg.Connection, puts: Sequence[LinkPut]) -> list[Link]:
    """Inserts links that are known not to overlap others. Part of a transaction under the lock, which must `mark` them too."""
    rows = await connection.fetch(
        query("link_insert"),
        [put.vehicle for put in puts],
        [put.meter for put in puts],
        [put.valid_from for put in puts],
        [put.valid_to for put in puts],
    )
    return [link_of(row) for row in rows]


async def set_ends(connection: asyncpg.Connection, links: Sequence[Link], ends: Sequence[datetime | None]) -> None:
    """Gives links other ends. Part of a transaction under the lock, which must `mark` them too."""
    await connection.execute(query("link_set_end"), [link.id for link in links], ends)


async def mark(connection: asyncpg.Connection, changes: Sequence[Changed]) -> None:
    """Marks the rolled buckets that changes touch, so that readers go to history until they are computed anew."""
    await connection.execute(
        query("link_mark"),
        [change.meter for change in changes],
        [change.since for change in changes],
        [change.until for change in changes],
    )


def change_of_end(link: Link, end: datetime | None) -> Changed:
    """What changes when `link` ends at `end` instead: the time between the two ends."""
    ends = [one for one in (link.valid_to, end) if one is not None]
    return Changed(link.meter, min(ends), max(ends) if len(ends) > 1 else None)


def describe_validity(link: Link | LinkPut) -> str:
    """The validity in words."""
    until = "on, without end" if link.valid_to is None else f"to {rfc3339(link.valid_to)}"
    return f"from {rfc3339(link.valid_from)} {until}"


def rfc3339(time: datetime) -> str:
    """The time as it is exported and shown, to the microsecond."""
    return time.isoformat().replace("+00:00", "Z")


def link_of(row: Any) -> Link:
    """A row of the link queries."""
    return Link(**dict(row))
