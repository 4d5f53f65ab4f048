"""`joulegate quarantine`: what could not be accepted, and trying it again once its cause is mended."""

import os
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from joulegate_core.errors import JoulegateError
from joulegate_core.reasons import Reason

if TYPE_CHECKING:
    import asyncpg

    from joulegate_db.quarantine import Quarantined, ReasonTotal
    from joulegate_db.replay import Results

SHOWN = 40
"""Characters of a payload in a table."""

HIGHEST_ID = 10**18

ReasonOption = Annotated[Reason | None, typer.Option(help="Only messages with this reason.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON on standard output.")]

app = typer.Typer(help="Quarantine: what could not be accepted, and why.", no_args_is_help=True)


@app.command("list")
def show_all(
    *,
    reason: ReasonOption = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the newest messages, and how many there are of each reason."""
    from joulegate_cli.tables import print_table

    items, totals = _page(reason, HIGHEST_ID, limit)
    if as_json:
        _print_json({"items": [_as_json(item) for item in items], "totals": totals})
        return
    rows = [
        (str(one.id), one.reason, f"{one.count:,}", _time(one), one.topic, _text(one.payload)[:SHOWN]) for one in items
    ]
    print_table(("id", "reason", "count", "last seen", "topic", "payload"), rows, f"{len(rows):,} shown")
    print()
    sums = [(one.reason, f"{one.rows:,}", f"{one.messages:,}", f"{one.overflowed:,}") for one in totals]
    print_table(("reason", "rows", "messages", "only counted"), sums, f"{sum(one.rows for one in totals):,} rows")


@app.command("show")
def show_one(
    number: Annotated[int, typer.Argument(metavar="ID", min=1, max=HIGHEST_ID - 1, help="As `list` shows it.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show one message in full."""
    items, _ = _page(None, number + 1, 1)
    if not items or items[0].id != number:
        raise _not_there(number)
    [item] = items
    if as_json:
        _print_json(_as_json(item))
        return
    for name, value in _as_json(item).items():
        print(f"{name:<16} {value}")


@app.command()
def replay(
    *,
    reason: ReasonOption = None,
    number: Annotated[
        int | None, typer.Option("--id", min=1, max=HIGHEST_ID - 1, help="Only the message with this id.")
    ] = None,
    all_of_it: Annotated[bool, typer.Option("--all", help="Everything in quarantine.")] = False,
    as_json: AsJson = False,
) -> None:
    """Try messages again by today's rules and settings. What is accepted goes to history and leaves quarantine; the rest stays.

    The clock window holds here too: to take in what is too old by now, run this with a larger JOULEGATE_MAX_AGE_DAYS. Interrupted, it
    can be run again: nothing is lost or doubled.
    """
    import asyncio

    if [reason is not None, number is not None, all_of_it].count(True) != 1:
        raise typer.BadParameter("give one of --reason, --id and --all")
    results = asyncio.run(_replay_one(number) if number is not None else _replay(reason))
    by_reason: dict[str, int] = {}
    for (why, _), count in results.quarantined.items():
        by_reason[why] = by_reason.get(why, 0) + count
    by_reason = {why: count for why, count in sorted(by_reason.items()) if count}
    if as_json:
        _print_json({"committed": results.committed, "duplicate": results.duplicate, "quarantined": by_reason})
        return
    print(f"{results.committed:,} committed, {results.duplicate:,} duplicates, {sum(by_reason.values()):,} stay")
    for why, count in by_reason.items():
        example = next(detail for (other, detail), n in results.quarantined.items() if other == why and n)
        print(f"  {count:,} {why}: {example}")


def _page(reason: Reason | None, before: int, limit: int) -> "tuple[list[Quarantined], list[ReasonTotal]]":
    from joulegate_cli.database import with_declarer
    from joulegate_db.quarantine import quarantine_page, quarantine_totals

    async def page(connection: "asyncpg.Connection") -> "tuple[list[Quarantined], list[ReasonTotal]]":
        return await quarantine_page(connection, reason, before, limit), await quarantine_totals(connection)

    return with_declarer(page)


async def _replay_one(number: int) -> "Results":
    from collections import Counter

    from joulegate_cli.replaying import replayer_of
    from joulegate_core.settings import load_settings
    from joulegate_db.replay import Results

    replayer = replayer_of(load_settings(os.environ))
    try:
        result = await replayer.one(number)
    finally:
        replayer.close()
    if result is None:
        raise _not_there(number)
    staying = Counter([(result.reason or "", result.detail or "")]) if result.outcome == "quarantined" else Counter()
    return Results(int(result.outcome == "committed"), int(result.outcome == "duplicate"), staying)


async def _replay(reason: Reason | None) -> "Results":
    """All rows that there are when it begins: what a gateway adds meanwhile is for the next time."""
    from joulegate_cli.progress import bar
    from joulegate_cli.replaying import replayer_of
    from joulegate_core.settings import load_settings
    from joulegate_db.replay import Results

    replayer, results = replayer_of(load_settings(os.environ)), Results()
    try:
        rows, last = await replayer.count(reason)
        with bar("replaying", total=rows) as advance:
            async for some in replayer.many(reason, last):
                results.committed += some.committed
                results.duplicate += some.duplicate
                results.quarantined.update(some.quarantined)
                advance(some.committed + some.duplicate + some.quarantined.total())
    finally:
        replayer.close()
    return results


def _not_there(number: int) -> JoulegateError:
    return JoulegateError(f"quarantine has no message {number}: `joulegate quarantine list` shows those that there are")


def _as_json(item: "Quarantined") -> dict[str, object]:
    return {
        "id": item.id,
        "reason": item.reason,
        "detail": item.detail,
        "topic": item.topic,
        "payload": item.payload.decode("utf-8", "replace"),
        "payloadTruncated": item.payload_truncated,
        "count": item.count,
        "firstSeen": item.first_seen,
        "lastSeen": item.last_seen,
    }


def _text(payload: bytes) -> str:
    """On one line, whatever a device has sent."""
    return "".join(
        one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in payload.decode("utf-8", "replace")
    )


def _time(item: "Quarantined") -> str:
    return item.last_seen.isoformat(timespec="seconds").replace("+00:00", "Z")


def _print_json(value: object) -> None:
    print(msgspec.json.encode(value).decode())
