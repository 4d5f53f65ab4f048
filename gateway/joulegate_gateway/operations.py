"""What an operator asks a gateway: /metrics, /healthz, /readyz."""

import asyncio
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from joulegate_core.errors import DatabaseUnavailableError, SchemaMismatchError
from joulegate_gateway.database import Database
from joulegate_gateway.ledger import Metrics

if TYPE_CHECKING:
    from joulegate_gateway.subscriber import Subscriber

READY_TIMEOUT_SECONDS = 2.0


def operations_app(metrics: Metrics, database: Database, subscriber: "Subscriber") -> Starlette:
    """The gateway's own small HTTP application."""

    async def metrics_route(_: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        missing = [] if subscriber.subscribed else ["not subscribed to both streams"]
        if (problem := await _database_problem(database)) is not None:
            missing.append(problem)
        if missing:
            return JSONResponse({"status": "unavailable", "missing": missing}, status_code=503)
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[Route("/metrics", metrics_route), Route("/healthz", healthz), Route("/readyz", readyz)],
    )


async def _database_problem(database: Database) -> str | None:
    """Why the database is not ready, or None. The schema is checked whenever a writer is opened."""
    try:
        async with asyncio.timeout(READY_TIMEOUT_SECONDS):
            await database.writer()
    except (DatabaseUnavailableError, SchemaMismatchError, TimeoutError) as error:
        return str(error) or "the database does not answer"
    return None
