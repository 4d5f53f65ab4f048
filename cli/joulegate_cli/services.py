"""`joulegate gateway` and `joulegate http`: the two services."""

import os
from functools import partial
from typing import Annotated

import typer

LEAVE_HELP = """Takes this gateway away for good: unsubscribes, stores and acknowledges everything that its session at the broker
still holds, ends the session, and exits. Stop the running gateway first, and give the same settings: JOULEGATE_CLIENT_ID names the
session. Interrupted, it can be run again."""


def gateway(*, leave: Annotated[bool, typer.Option("--leave", help=LEAVE_HELP)] = False) -> None:
    """Takes readings from the broker and writes them to the database, until SIGTERM; then drains."""
    from joulegate_cli.running import run_service
    from joulegate_core.logs import configure_logging
    from joulegate_core.settings import load_settings
    from joulegate_gateway.service import run_gateway

    settings = load_settings(os.environ)
    configure_logging(settings.log, component="gateway")
    run_service(partial(run_gateway, settings, leave=leave))


def http() -> None:
    """Answers the HTTP routes from the database."""
    from joulegate_cli.replaying import replayer_of
    from joulegate_cli.running import run_service
    from joulegate_core.logs import configure_logging
    from joulegate_core.settings import load_settings
    from joulegate_http.service import run_http

    settings = load_settings(os.environ)
    configure_logging(settings.log, component="http")
    run_service(partial(run_http, settings, replayer=replayer_of(settings)))
