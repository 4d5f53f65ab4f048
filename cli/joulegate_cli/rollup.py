"""`joulegate rollup`: the 15-minute sums that answers are made of, and history computed into them anew."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from joulegate_cli.csv_file import FieldError, a_time

if TYPE_CHECKING:
    import asyncpg

    from joulegate_db.rebuild import RollupState

app = typer.Typer(help="Rollups: the 15-minute sums that answers are made of.", no_args_is_help=True)


def _moment(text: str | datetime) -> datetime:
    """A time that the command line gives."""
    if isinstance(text, datetime):
        return text
    try:
        return a_time(text)
    except FieldError as error:
        raise typer.BadParameter(str(error)) from None


@app.command()
def rebuild(
    *,
    since: Annotated[
        datetime, typer.Option("--from", parser=_moment, metavar="TIME", help="RFC 3339, such as 2026-05-01T00:00:00Z.")
    ],
    until: Annotated[datetime, typer.Option("--to", parser=_moment, metavar="TIME", help="Up to before this time.")],
) -> None:
    """Compute the rollups of [from, to) anew from history, in whole buckets. A gateway may run meanwhile.

    Buckets that are not rolled yet are the gateway's; those of days without history stay as they are.
    """
    from joulegate_cli.database import with_declarer

    if since >= until:
        raise typer.BadParameter("--from must be before --to")
    rebuilt = with_declarer(lambda connection: _rebuild(connection, since, until))
    if rebuilt:
        print(f"rollups computed anew for {rebuilt / timedelta(hours=1):,g} hours")
    else:
        print("nothing to do: no bucket of that time is rolled, or its history is gone")


@app.command()
def status() -> None:
    """Show how far rollups are, and how many buckets wait to be computed anew."""
    from joulegate_cli.database import with_declarer
    from joulegate_db.links import rfc3339
    from joulegate_db.presence import EPOCH

    state, waiting = with_declarer(_state)
    print(f"rolled until    {rfc3339(state.rolled_until) if state.rolled_until > EPOCH else 'nothing is rolled yet'}")
    print(f"closed until    {rfc3339(state.closed_until) if state.closed_until > EPOCH else 'nothing is closed yet'}")
    print(f"marks waiting   {waiting:,} (device, bucket) read from history until the roller has computed them anew")


async def _rebuild(connection: "asyncpg.Connection", since: datetime, until: datetime) -> timedelta:
    """Returns the length of what was rebuilt."""
    from joulegate_cli.progress import bar
    from joulegate_db.rebuild import rebuild as steps
    from joulegate_db.rebuild import rollup_state
    from joulegate_db.rollups import Rollups
    from joulegate_db.windows import Window

    done = timedelta()
    state = await rollup_state(connection)
    todo = state.rolled(Window(since, until))
    if todo is None:
        return done
    with bar("rebuilding", total=todo.length.total_seconds()) as advance:
        async for step in steps(connection, todo):
            done += step.until - step.since
            advance((step.until - step.since).total_seconds())
    await Rollups(connection, state.defaults).vacuum()
    return done


async def _state(connection: "asyncpg.Connection") -> "tuple[RollupState, int]":
    """How far rollups are, and how many marks wait."""
    from joulegate_db.rebuild import marks_waiting, rollup_state

    return await rollup_state(connection), await marks_waiting(connection)
