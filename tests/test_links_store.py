"""Links in the database: what makes a link the same one, what cannot be, and how they are found."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from declarations_support import a_link, moved
from http_support import at
from joulegate_db.connect import connect
from joulegate_db.declarations import DECLARER_SETTINGS
from joulegate_db.link_import import NumberedPut, find_overlaps, import_links
from joulegate_db.links import (
    LinkFilter,
    LinkOverlapError,
    LinkPut,
    all_links,
    delete_link,
    get_link,
    links_page,
    put_link,
)

TICK = timedelta(microseconds=1)


@pytest.fixture
async def declarer(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that changes links."""
    connection = await connect(database_url, DECLARER_SETTINGS)
    yield connection
    connection.terminate()


async def everything(connection: asyncpg.Connection) -> list[LinkPut]:
    """All links without their ids."""
    links = [link async for link in all_links(connection, None, None)]
    return [LinkPut(link.vehicle, link.meter, link.valid_from, link.valid_to) for link in links]


async def test_the_same_again_changes_nothing_and_another_end_changes_the_end(declarer: asyncpg.Connection) -> None:
    first, outcome = await put_link(declarer, a_link(0, 60))
    assert outcome == "created"
    assert await put_link(declarer, a_link(0, 60)) == (first, "unchanged")
    for end in (30, None, 90):
        link, outcome = await put_link(declarer, a_link(0, end))
        assert (link.id, outcome) == (first.id, "changed")
        assert await get_link(declarer, first.id) == link
        assert await everything(declarer) == [a_link(0, end)]
    assert await delete_link(declarer, first.id) == link
    assert await delete_link(declarer, first.id) is None
    assert await get_link(declarer, first.id) is None


@pytest.mark.parametrize(
    "wanted",
    [
        a_link(30, 40, "v-2"), a_link(0, 31, "v-2"), a_link(59, None, "v-2"), a_link(30, 60, "v-2"), a_link(0, None, "v-2"),
        a_link(31, 60), a_link(0, 60),
    ],
)  # fmt: skip
async def test_a_meter_has_one_vehicle_at_a_time(declarer: asyncpg.Connection, wanted: LinkPut) -> None:
    """The same vehicle from another moment on is another link, and in the way as well."""
    obstacle, _ = await put_link(declarer, a_link(30, 60))
    await put_link(declarer, a_link(200, 300, "v-3"))
    with pytest.raises(LinkOverlapError) as refused:
        await put_link(declarer, wanted)
    assert refused.value.obstacle == obstacle
    assert "vehicle v-1 from" in str(refused.value)
    assert len(await everything(declarer)) == 2
    with pytest.raises(asyncpg.ExclusionViolationError):
        await declarer.execute(
            "insert into links (vehicle, meter, valid) values ($1, $2, tstzrange($3, $4))",
            wanted.vehicle, wanted.meter, wanted.valid_from, wanted.valid_to,
        )  # fmt: skip


async def test_a_longer_end_may_be_in_the_way_of_the_next_link(declarer: asyncpg.Connection) -> None:
    await put_link(declarer, a_link(0, 30))
    following, _ = await put_link(declarer, a_link(30, None, "v-2"))
    with pytest.raises(LinkOverlapError) as refused:
        await put_link(declarer, LinkPut("v-1", "m-1", at(0), at(30) + TICK))
    assert refused.value.obstacle == following


async def test_links_that_touch_do_not_overlap(declarer: asyncpg.Connection) -> None:
    wanted = [a_link(0, 30), a_link(30, 60, "v-2"), a_link(60, None)]
    for link in (wanted[1], wanted[2], wanted[0], a_link(0, None, meter="m-2")):
        await put_link(declarer, link)
    assert await everything(declarer) == [*wanted, a_link(0, None, meter="m-2")]


async def test_two_at_the_same_time_cannot_both_have_the_meter(declarer: asyncpg.Connection, database_url: str) -> None:
    other = await connect(database_url, DECLARER_SETTINGS)
    both = await asyncio.gather(
        put_link(declarer, a_link(0, 60)), put_link(other, a_link(30, 90, "v-2")), return_exceptions=True
    )
    other.terminate()
    assert sorted(type(one).__name__ for one in both) == ["LinkOverlapError", "tuple"]
    assert len(await everything(declarer)) == 1


async def test_pages_and_filters(declarer: asyncpg.Connection) -> None:
    puts = [a_link(60 * n, 60 * n + 60, f"v-{n % 2}", f"m-{n % 3}") for n in range(12)]
    links = [(await put_link(declarer, put))[0] for put in puts]
    pages = []
    after = 0
    while page := await links_page(declarer, LinkFilter(), after, 5):
        pages.append(len(page))
        after = page[-1].id
    assert (pages, after) == ([5, 5, 2], links[-1].id)
    assert await links_page(declarer, LinkFilter(vehicle="v-1", meter="m-2"), 0, 99) == [links[5], links[11]]
    assert await links_page(declarer, LinkFilter(at=at(120)), 0, 99) == [links[2]]
    assert await links_page(declarer, LinkFilter(at=at(120) - TICK), 0, 99) == [links[1]]
    assert [link.id async for link in all_links(declarer, "v-0", "m-0")] == [links[0].id, links[6].id]


def numbered(*puts: LinkPut) -> list[NumberedPut]:
    """As if they were the lines of a file, from line 2 on."""
    return [NumberedPut(line, put) for line, put in enumerate(puts, 2)]


async def test_an_import_is_judged_by_its_outcome_whatever_the_order_of_the_lines(declarer: asyncpg.Connection) -> None:
    """m-1: v-2 takes over what v-1 gives up. m-2: a link gets longer into what another gives up."""
    for put in (a_link(0, None), a_link(0, 30, meter="m-2"), a_link(60, 90, meter="m-2"), a_link(0, None, meter="m-3")):
        await put_link(declarer, put)
    await import_links(declarer, numbered(a_link(30, 40, meter="m-2")), dry_run=False)
    lines = numbered(
        a_link(45, None, "v-2"), a_link(0, 45),
        a_link(0, 35, meter="m-2"), a_link(60, None, meter="m-2"), a_link(0, None, meter="m-3"),
    )  # fmt: skip
    refused = await import_links(declarer, lines, dry_run=False)
    assert [one.line for one in refused.overlaps] == [4]  # m-2's link from 30 on is in its way
    assert await everything(declarer) == [
        a_link(0, None), a_link(0, 30, meter="m-2"), a_link(30, 40, meter="m-2"), a_link(60, 90, meter="m-2"),
        a_link(0, None, meter="m-3"),
    ]  # fmt: skip
    (gone,) = [link async for link in all_links(declarer, None, "m-2") if link.valid_from == at(30)]
    await delete_link(declarer, gone.id)
    dry = await import_links(declarer, lines, dry_run=True)
    assert len(await everything(declarer)) == 4
    imported = await import_links(declarer, lines, dry_run=False)
    assert dry == imported
    assert (imported.created, imported.changed, imported.unchanged) == (1, 3, 1)
    assert await everything(declarer) == [
        a_link(0, 45), a_link(45, None, "v-2"), a_link(0, 35, meter="m-2"), a_link(60, None, meter="m-2"),
        a_link(0, None, meter="m-3"),
    ]  # fmt: skip


async def test_each_overlapping_line_names_what_is_in_its_way(declarer: asyncpg.Connection) -> None:
    kept, _ = await put_link(declarer, a_link(100, 110, "v-9"))
    same = a_link(0, 10)
    lines = numbered(a_link(90, 105), same, same, a_link(9, 20, "v-2"), a_link(20, 30), a_link(105, 107, meter="m-2"))
    overlaps = list(find_overlaps(lines, {kept.key: kept}))
    assert [one.line for one in overlaps] == [2, 4, 5]
    assert f"link {kept.id} in the database (vehicle v-9, from" in overlaps[0].text
    assert "line 3 (vehicle v-1, from" in overlaps[1].text
    assert "line 3 (" in overlaps[2].text


def test_a_long_link_is_in_the_way_of_all_that_begin_in_it() -> None:
    lines = numbered(a_link(0, None), a_link(10, 20), moved(a_link(30, 40), None), a_link(50, 60))
    assert [one.line for one in find_overlaps(lines, {})] == [3, 4, 5]
