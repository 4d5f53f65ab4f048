"""What an operator asks the sidecar: /healthz, /readyz, /metrics."""

import asyncio

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joulegate_core.errors import DatabaseUnavailableError
from joulegate_db.reader import Reader
from joulegate_http.metrics import Metrics
from joulegate_http.respond import json_response
from joulegate_http.schemas import Health

READY_TIMEOUT_SECONDS = 2.0


def operations_routes(reader: Reader, metrics: Metrics) -> list[Route]:
    """The routes. /healthz says that the process answers; /readyz that it can answer from the database."""

    async def healthz(_: Request) -> Response:
        return json_response(Health())

    async def readyz(_: Request) -> Response:
        try:
            async with asyncio.timeout(READY_TIMEOUT_SECONDS):
                await reader.check()
        except TimeoutError:
            raise DatabaseUnavailableError("the database does not answer") from None
        return json_response(Health())

    async def scrape(_: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", scrape)]
