"""The route that suggests which meter belongs to which vehicle."""

import re
from datetime import timedelta

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joulegate_core.clock import Clock
from joulegate_db.pairing import pairings
from joulegate_db.reader import Reader
from joulegate_http import parameters
from joulegate_http.problems import bad_request, not_found
from joulegate_http.respond import json_response
from joulegate_http.schemas import PairingFinding, Pairings, Window, answer

LONGEST_WINDOW = timedelta(days=3)
"""More days show nothing that three do not, and their minutes would take long to read."""

DEFAULT_LIMIT = 100
HIGHEST_LIMIT = 1000


def pairing_routes(reader: Reader, clock: Clock) -> list[Route]:
    """The route that answers from `reader`; a window ends by default at the time that `clock` tells."""

    async def pairing(request: Request) -> Response:
        query = request.query_params
        parameters.require_known(query, ("from", "to", "vehicleId", "limit"))
        window = parameters.window(query, clock())
        if window.length > LONGEST_WINDOW:
            raise bad_request("window_too_long", f"Shapes are compared over at most {LONGEST_WINDOW.days} days.")
        vehicle = parameters.device_id(query["vehicleId"]) if "vehicleId" in query else None
        limit = _limit(query)
        result = await pairings(reader, window, vehicle)
        if result is None:
            raise not_found("vehicle_not_found", "No reading with this vehicleId was accepted yet.")
        return json_response(
            Pairings(
                window=answer(Window, result.window),
                vehicles=result.vehicles,
                judged=result.judged,
                not_judged={str(reason): count for reason, count in result.not_judged.items()},
                found=len(result.findings),
                findings=tuple(answer(PairingFinding, finding) for finding in result.findings[:limit]),
            )
        )

    return [Route("/v1/analytics/pairing", pairing)]


def _limit(query: QueryParams) -> int:
    """How many findings are listed.

    Raises:
        ProblemError: `bad_limit`.
    """
    text = query.get("limit", str(DEFAULT_LIMIT))
    if re.fullmatch("[0-9]{1,4}", text) is None or not 1 <= int(text) <= HIGHEST_LIMIT:
        raise bad_request("bad_limit", f"limit must be a whole number from 1 to {HIGHEST_LIMIT}.")
    return int(text)
