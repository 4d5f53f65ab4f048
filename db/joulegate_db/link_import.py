"""Many links in one transaction: all of them or, when one would give a meter two vehicles at a time, none."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby

import asyncpg
import msgspec

from joulegate_db.declarations import declarations_locked
from joulegate_db.links import (
    Changed,
    Link,
    LinkKey,
    LinkPut,
    change_of_end,
    describe_validity,
    insert,
    link_of,
    mark,
    set_ends,
)
from joulegate_db.sql import query

_ENDLESS = datetime.max.replace(tzinfo=UTC)


class NumberedPut(msgspec.Struct, frozen=True):
    """A link as a line of a file wants it."""

    line: int
    put: LinkPut


class Overlap(msgspec.Struct, frozen=True):
    """A line that cannot be: `text` names what is in its way, another line or a link in the database."""

    line: int
    text: str


class Imported(msgspec.Struct, frozen=True):
    """How many links were created, got another end, or were there already as wanted. With overlaps nothing was changed."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    overlaps: tuple[Overlap, ...] = ()


class _Plan(msgspec.Struct, frozen=True):
    """What is to be done. `ends` are (link, its new end)."""

    new: list[LinkPut]
    ends: list[tuple[Link, datetime | None]]
    unchanged: int


async def import_links(connection: asyncpg.Connection, puts: Sequence[NumberedPut], *, dry_run: bool) -> Imported:
    """Puts every link as `put_link` does. The order of the lines does not matter: what counts is whether the outcome is sound.

    `dry_run`: says what would be done.
    """
    async with declarations_locked(connection):
        existing = await _links_of(connection, puts)
        if overlaps := tuple(find_overlaps(puts, existing)):
            return Imported(overlaps=overlaps)
        plan = _plan(puts, existing)
        if not dry_run:
            await _carry_out(connection, plan)
    return Imported(len(plan.new), len(plan.ends), plan.unchanged)


async def _links_of(connection: asyncpg.Connection, puts: Sequence[NumberedPut]) -> dict[LinkKey, Link]:
    meters = sorted({one.put.meter for one in puts})
    rows = await connection.fetch(query("link_of_meters"), meters)
    return {link.key: link for link in map(link_of, rows)}


def _plan(puts: Iterable[NumberedPut], existing: Mapping[LinkKey, Link]) -> _Plan:
    new, ends, unchanged = [], [], 0
    for one in puts:
        link = existing.get(one.put.key)
        if link is None:
            new.append(one.put)
        elif link.valid_to != one.put.valid_to:
            ends.append((link, one.put.valid_to))
        else:
            unchanged += 1
    return _Plan(new, ends, unchanged)


async def _carry_out(connection: asyncpg.Connection, plan: _Plan) -> None:
    """Ends come first: they may make room for new links. Among themselves they cannot, because no link's beginning changes."""
    await set_ends(connection, [link for link, _ in plan.ends], [end for _, end in plan.ends])
    await insert(connection, plan.new)
    created = [Changed(put.meter, put.valid_from, put.valid_to) for put in plan.new]
    await mark(connection, created + [change_of_end(link, end) for link, end in plan.ends])


class _Claim(msgspec.Struct, frozen=True):
    """What the outcome would hold: a link by a line (0: none, it is in the database and no line is about it)."""

    line: int
    link: Link | LinkPut

    @property
    def name(self) -> str:
        what = f"line {self.line}" if isinstance(self.link, LinkPut) else f"link {self.link.id} in the database"
        return f"{what} (vehicle {self.link.vehicle}, {describe_validity(self.link)})"


def find_overlaps(puts: Sequence[NumberedPut], existing: Mapping[LinkKey, Link]) -> Iterator[Overlap]:
    """The lines that would give a meter two vehicles at a time, by line; each is named once, with one that is in its way."""
    replaced = {one.put.key for one in puts}
    claims = [_Claim(one.line, one.put) for one in puts]
    claims += [_Claim(0, link) for key, link in existing.items() if key not in replaced]
    claims.sort(key=lambda claim: (claim.link.meter, claim.link.valid_from, claim.line))
    found: dict[int, Overlap] = {}
    for _, of_meter in groupby(claims, key=lambda claim: claim.link.meter):
        longest: _Claim | None = None
        for claim in of_meter:
            if longest is not None and claim.link.valid_from < _end(longest.link.valid_to):
                overlap = _overlap(*sorted((longest, claim), key=lambda one: one.line))
                found.setdefault(overlap.line, overlap)
            if longest is None or _end(claim.link.valid_to) > _end(longest.link.valid_to):
                longest = claim
    yield from (found[line] for line in sorted(found))


def _overlap(first: _Claim, second: _Claim) -> Overlap:
    """`second`, the later line, is the one to be told."""
    return Overlap(second.line, f"meter {second.link.meter} already has a vehicle then: {first.name}")


def _end(time: datetime | None) -> datetime:
    return _ENDLESS if time is None else time
