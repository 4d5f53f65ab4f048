"""The two services, without what parses a command line: they start often, and wait for nothing that they do not use."""

import os
from functools import partial


def gateway(*, leave: bool = False) -> None:
    """Takes readings from the broker and writes them to the database, until SIGTERM; then drains. `leave`: takes the gateway away."""
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
