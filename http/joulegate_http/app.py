"""The ASGI application."""

from starlette.applications import Starlette
from starlette.middleware import Middleware

from joulegate_core.clock import Clock
from joulegate_db.link_store import LinkStore
from joulegate_db.reader import Reader
from joulegate_db.replay import Replayer
from joulegate_http.fleet_routes import fleet_operations
from joulegate_http.gateway_routes import gateway_operations
from joulegate_http.leaving import Leaving
from joulegate_http.link_routes import link_operations
from joulegate_http.metrics import Metrics
from joulegate_http.observe import Observe
from joulegate_http.openapi import openapi_operation
from joulegate_http.operation import routes_of
from joulegate_http.operations import operations
from joulegate_http.pairing_routes import pairing_operations
from joulegate_http.performance_routes import performance_operations
from joulegate_http.problems import EXPECTED, on_problem
from joulegate_http.quarantine_routes import quarantine_operations
from joulegate_http.state_routes import state_operations
from joulegate_http.stream_hub import Hub
from joulegate_http.stream_routes import stream_operations


def create_app(
    reader: Reader,
    clock: Clock,
    metrics: Metrics,
    links: LinkStore | None = None,
    *,
    hub: Hub | None = None,
    replayer: Replayer | None = None,
) -> Starlette:
    """Builds the application on an open reader.

    Args:
        links: without it the application only reads, and has no routes of links.
        hub: without it there is no stream.
        replayer: without it messages in quarantine can be looked at only.
    """
    declared = [
        *performance_operations(reader, clock),
        *pairing_operations(reader, clock),
        *fleet_operations(reader, clock),
        *state_operations(reader, clock),
        *(stream_operations(hub) if hub is not None else ()),
        *gateway_operations(reader),
        *quarantine_operations(reader, replayer),
        *(link_operations(links) if links is not None else ()),
        *operations(reader, metrics),
    ]
    app = Starlette(
        routes=routes_of([*declared, openapi_operation(declared)]),
        middleware=[Middleware(Observe, metrics=metrics), Middleware(Leaving)],
        exception_handlers=dict.fromkeys(EXPECTED, on_problem),
    )
    app.router.redirect_slashes = False  # a path is right or it is a problem document, never a redirect
    return app
