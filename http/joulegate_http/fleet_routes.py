"""The routes of the fleet as a whole: its answer, and its alerts."""

from typing import Any, get_args

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joulegate_core.clock import Clock
from joulegate_db.alerts import AlertFilter, AlertKind, AlertState, alert_page
from joulegate_db.fleet import fleet
from joulegate_db.reader import Reader
from joulegate_http import parameters
from joulegate_http.problems import bad_request
from joulegate_http.respond import json_response
from joulegate_http.schemas import Alert, Alerts, Fleet, answer

WORST = 10
MOST_WORST = 1000
PAGE = 100
LONGEST_PAGE = 1000
HIGHEST_ID = 10**18


def fleet_routes(reader: Reader, clock: Clock) -> list[Route]:
    """The routes that answer from `reader`, at the time that `clock` tells."""

    async def whole_fleet(request: Request) -> Response:
        query, now = request.query_params, clock()
        parameters.require_known(query, ("from", "to", "worst"))
        is_asked = "from" in query or "to" in query
        window = parameters.window(query, now) if is_asked else None
        worst = parameters.number(query, "worst", default=WORST, least=0, most=MOST_WORST)
        return json_response(answer(Fleet, await fleet(reader, window, now, worst)))

    async def alerts(request: Request) -> Response:
        query = request.query_params
        parameters.require_known(query, ("state", "kind", "device", "limit", "cursor"))
        which = AlertFilter(
            state=_choice(query, "state", AlertState) or "all",
            kind=_choice(query, "kind", AlertKind),
            device=parameters.optional_id(query, "device"),
        )
        limit = parameters.number(query, "limit", default=PAGE, least=1, most=LONGEST_PAGE)
        before = parameters.number(query, "cursor", default=HIGHEST_ID, least=0, most=HIGHEST_ID)
        found = await alert_page(reader, which, before, limit + 1)  # one more than asked for: is there a next page?
        page = tuple(answer(Alert, alert) for alert in found[:limit])
        return json_response(Alerts(page, str(page[-1].id) if len(found) > limit else None))

    return [Route("/v1/analytics/fleet", whole_fleet), Route("/v1/alerts", alerts)]


def _choice(query: QueryParams, name: str, choices: Any) -> Any:
    """The parameter as one of the literal type's values, None when it is not given.

    Raises:
        ProblemError: `bad_choice`.
    """
    allowed = get_args(choices)
    if name in query and query[name] not in allowed:
        raise bad_request("bad_choice", f"{name} must be one of {', '.join(allowed)}.")
    return query.get(name)
