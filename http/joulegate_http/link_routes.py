"""The routes of links: look, put, delete. A change counts at once, in every answer that is given after it."""

import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joulegate_db.link_store import LinkStore
from joulegate_db.links import Link as StoredLink
from joulegate_db.links import LinkFilter, LinkOverlapError, LinkPut, describe_validity
from joulegate_http import parameters
from joulegate_http.body import json_body
from joulegate_http.problems import ProblemError, bad_request, not_found
from joulegate_http.respond import json_response
from joulegate_http.schemas import Link, LinkBody, Links, answer

LINKS = "/v1/links"
PAGE = 100
LONGEST_PAGE = 1000

_NUMBER = re.compile(r"[0-9]{1,18}\Z")
"""What the database can hold as an id."""


Endpoint = Callable[[Request], Awaitable[Response]]


def link_routes(links: LinkStore) -> list[Route]:
    """The routes that look into `links` and change it."""

    async def page(request: Request) -> Response:
        query = request.query_params
        parameters.require_known(query, ("vehicleId", "meterId", "at", "limit", "cursor"))
        which = LinkFilter(
            vehicle=parameters.optional_id(query, "vehicleId"),
            meter=parameters.optional_id(query, "meterId"),
            at=parameters.moment(query, "at"),
        )
        limit = parameters.number(query, "limit", default=PAGE, least=1, most=LONGEST_PAGE)
        after = parameters.number(query, "cursor", default=0, least=0, most=10**18)
        found = await links.page(which, after, limit + 1)  # one more than asked for: is there a next page?
        items = tuple(answer(Link, link) for link in found[:limit])
        return json_response(Links(items, str(items[-1].id) if len(found) > limit else None))

    async def get(request: Request) -> Response:
        parameters.require_known(request.query_params, ())
        link = await links.get(_link_id(request))
        if link is None:
            raise _no_such_link()
        return json_response(answer(Link, link))

    async def put(request: Request) -> Response:
        parameters.require_known(request.query_params, ())
        wanted = _as_put(await json_body(request, LinkBody))
        try:
            link, outcome = await links.put(wanted)
        except LinkOverlapError as error:
            raise _in_the_way(error.obstacle) from None
        response = json_response(answer(Link, link))
        response.status_code = HTTPStatus.CREATED if outcome == "created" else HTTPStatus.OK
        response.headers["Location"] = f"{LINKS}/{link.id}"
        return response

    async def delete(request: Request) -> Response:
        parameters.require_known(request.query_params, ())
        if await links.delete(_link_id(request)) is None:
            raise _no_such_link()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return [
        Route(LINKS, _by_method(GET=page, HEAD=page, PUT=put), methods=["GET", "PUT"]),
        Route(LINKS + "/{link_id}", _by_method(GET=get, HEAD=get, DELETE=delete), methods=["GET", "DELETE"]),
    ]


def _by_method(**endpoints: Endpoint) -> Endpoint:
    """One route for all methods of a path: the router can then say which of them there are."""

    async def endpoint(request: Request) -> Response:
        return await endpoints[request.method](request)

    return endpoint


def _link_id(request: Request) -> int:
    number = request.path_params["link_id"]
    if not _NUMBER.match(number):
        raise _no_such_link()
    return int(number)


def _as_put(body: LinkBody) -> LinkPut:
    """The body as a link that is sound in itself."""
    for name, value in (("vehicleId", body.vehicle_id), ("meterId", body.meter_id)):
        parameters.device_id(value, name)
    valid_from = parameters.in_range("validFrom", body.valid_from)
    valid_to = None if body.valid_to is None else parameters.in_range("validTo", body.valid_to)
    if valid_to is not None and valid_to <= valid_from:
        raise bad_request("empty_validity", "validTo must be after validFrom, or null for a link without end.")
    return LinkPut(body.vehicle_id, body.meter_id, valid_from, valid_to)


def _no_such_link() -> ProblemError:
    return not_found("link_not_found", "There is no link with this id.")


def _in_the_way(link: StoredLink) -> ProblemError:
    """409: a meter has one vehicle at a time."""
    return ProblemError(
        HTTPStatus.CONFLICT,
        "link_conflict",
        f"Meter {link.meter} is linked to vehicle {link.vehicle} {describe_validity(link)}: link {link.id}. "
        "A meter has one vehicle at a time; end that link first, or delete it.",
        link=answer(Link, link),
    )
