"""The ASGI application."""

from starlette.applications import Starlette
from starlette.middleware import Middleware

from joulegate_core.clock import Clock
from joulegate_db.reader import Reader
from joulegate_http.metrics import Metrics
from joulegate_http.observe import Observe
from joulegate_http.operations import operations_routes
from joulegate_http.problems import EXPECTED, on_problem
from joulegate_http.routes import api_routes


def create_app(reader: Reader, clock: Clock, metrics: Metrics) -> Starlette:
    """Builds the application on an open reader."""
    app = Starlette(
        routes=[*api_routes(reader, clock), *operations_routes(reader, metrics)],
        middleware=[Middleware(Observe, metrics=metrics)],
        exception_handlers=dict.fromkeys(EXPECTED, on_problem),
    )
    app.router.redirect_slashes = False  # a path is right or it is a problem document, never a redirect
    return app
