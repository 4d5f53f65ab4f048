"""What an operator asks the sidecar: /healthz, /readyz, /metrics."""

import math

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from joulegate_core.errors import DatabaseUnavailableError, PoolerError, SchemaMismatchError
from joulegate_db.reader import Reader
from joulegate_http.metrics import Metrics
from joulegate_http.operation import DATABASE_CODES, Operation
from joulegate_http.parameters import Parameters
from joulegate_http.schemas import Health

READY_SECONDS = 2.0
LAG_SECONDS = 1.0
"""How long a scrape waits for the database; the other metrics need none."""


def operations(reader: Reader, metrics: Metrics) -> list[Operation]:
    """/healthz says that the process answers; /readyz that it can answer from the database."""

    async def get_health(_: Parameters) -> Health:
        return Health()

    async def get_readiness(_: Parameters) -> Health:
        await reader.check(READY_SECONDS)
        return Health()

    async def get_metrics(_: Parameters) -> Response:
        try:
            metrics.read_lag.set(await reader.lag(LAG_SECONDS))
        except (DatabaseUnavailableError, PoolerError, SchemaMismatchError):
            metrics.read_lag.set(math.nan)
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return [
        Operation(
            method="GET",
            path="/healthz",
            handler=get_health,
            tag="operations",
            summary="The process answers",
            answer=Health,
        ),
        Operation(
            method="GET",
            path="/readyz",
            handler=get_readiness,
            tag="operations",
            summary="It can answer from the database",
            description="The database is reached within two seconds, and its schema is this version's.",
            answer=Health,
            codes=DATABASE_CODES,
        ),
        Operation(
            method="GET",
            path="/metrics",
            handler=get_metrics,
            tag="operations",
            summary="Metrics for Prometheus",
            answer="text/plain",
        ),
    ]
