"""The routes of the current state: one vehicle, one meter."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joulegate_core.clock import Clock
from joulegate_db.reader import Reader
from joulegate_http import parameters
from joulegate_http.problems import not_found
from joulegate_http.respond import json_response
from joulegate_http.schemas import Meter, Vehicle, answer


def state_routes(reader: Reader, clock: Clock) -> list[Route]:
    """The routes that answer from `reader`, at the time that `clock` tells."""

    async def vehicle(request: Request) -> Response:
        device = parameters.device_id(request.path_params["vehicle_id"])
        parameters.require_known(request.query_params, ())
        state = await reader.vehicle(device, clock())
        if state is None:
            raise not_found("vehicle_not_found", "No reading with this vehicleId was accepted yet.")
        return json_response(answer(Vehicle, state))

    async def meter(request: Request) -> Response:
        device = parameters.device_id(request.path_params["meter_id"])
        parameters.require_known(request.query_params, ())
        state = await reader.meter(device, clock())
        if state is None:
            raise not_found("meter_not_found", "No reading with this meterId was accepted yet.")
        return json_response(answer(Meter, state))

    return [
        Route("/v1/vehicles/{vehicle_id}", vehicle),
        Route("/v1/meters/{meter_id}", meter),
    ]
