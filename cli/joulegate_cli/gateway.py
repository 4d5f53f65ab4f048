"""`joulegate gateway` with its option; without one, `main` starts the service past the parser."""

from typing import Annotated

import typer

from joulegate_cli import services

LEAVE_HELP = """Takes this gateway away for good: unsubscribes, stores and acknowledges everything that its session at the broker
still holds, ends the session, and exits. Stop the running gateway first, and give the same settings: JOULEGATE_CLIENT_ID names the
session. Interrupted, it can be run again."""


def gateway(*, leave: Annotated[bool, typer.Option("--leave", help=LEAVE_HELP)] = False) -> None:
    """Takes readings from the broker and writes them to the database, until SIGTERM; then drains."""
    services.gateway(leave=leave)
