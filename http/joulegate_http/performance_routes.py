"""The routes of a vehicle's performance: one answer for a window, and the same in steps."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joulegate_core.clock import Clock
from joulegate_db.reader import Reader
from joulegate_http import parameters
from joulegate_http.problems import ProblemError, not_found
from joulegate_http.respond import json_response
from joulegate_http.schemas import Performance, Series, SeriesPoint, Window, answer


def performance_routes(reader: Reader, clock: Clock) -> list[Route]:
    """The routes that answer from `reader`; a window ends by default at the time that `clock` tells."""

    async def performance(request: Request) -> Response:
        vehicle = parameters.device_id(request.path_params["vehicle_id"])
        parameters.require_known(request.query_params, ("from", "to"))
        window = parameters.window(request.query_params, clock())
        result = await reader.performance(vehicle, window)
        if result is None:
            raise never_seen()
        return json_response(answer(Performance, result))

    async def series(request: Request) -> Response:
        vehicle = parameters.device_id(request.path_params["vehicle_id"])
        parameters.require_known(request.query_params, ("from", "to", "bucket"))
        window = parameters.window(request.query_params, clock())
        bucket = parameters.bucket(request.query_params, window)
        points = await reader.series(vehicle, window, parameters.BUCKETS[bucket])
        if points is None:
            raise never_seen()
        return json_response(
            Series(
                vehicle_id=vehicle,
                window=answer(Window, window),
                bucket=bucket,
                points=tuple(answer(SeriesPoint, point) for point in points),
            )
        )

    return [
        Route("/v1/analytics/performance/{vehicle_id}", performance),
        Route("/v1/analytics/performance/{vehicle_id}/series", series),
    ]


def never_seen() -> ProblemError:
    """404 for a vehicle that no answer can be given for."""
    return not_found(
        "vehicle_not_found", "This vehicle was never seen nor linked: no reading with its vehicleId was accepted."
    )
