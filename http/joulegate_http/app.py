"""The ASGI application."""

from starlette.applications import Starlette
from starlette.middleware import Middleware

from joulegate_core.clock import Clock
from joulegate_db.link_store import LinkStore
from joulegate_db.reader import Reader
from joulegate_http.fleet_routes import fleet_routes
from joulegate_http.link_routes import link_routes
from joulegate_http.metrics import Metrics
from joulegate_http.observe import Observe
from joulegate_http.operations import operations_routes
from joulegate_http.pairing_routes import pairing_routes
from joulegate_http.performance_routes import performance_routes
from joulegate_http.problems import EXPECTED, on_problem
from joulegate_http.state_routes import state_routes


def create_app(reader: Reader, clock: Clock, metrics: Metrics, links: LinkStore | None = None) -> Starlette:
    """Builds the application on an open reader. Without `links` it only reads, and has no routes of links."""
    app = Starlette(
        routes=[
            *performance_routes(reader, clock),
            *pairing_routes(reader, clock),
            *fleet_routes(reader, clock),
            *state_routes(reader, clock),
            *(link_routes(links) if links is not None else ()),
            *operations_routes(reader, metrics),
        ],
        middleware=[Middleware(Observe, metrics=metrics)],
        exception_handlers=dict.fromkeys(EXPECTED, on_problem),
    )
    app.router.redirect_slashes = False  # a path is right or it is a problem document, never a redirect
    return app
