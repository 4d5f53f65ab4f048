"""Links: look, put, delete. A change counts at once, in every answer that is given after it."""

from http import HTTPStatus
from typing import Annotated

from msgspec import Meta
from starlette.responses import Response

from joulegate_db.link_store import LinkStore
from joulegate_db.links import Link as StoredLink
from joulegate_db.links import LinkFilter, LinkOverlapError, LinkPut, describe_validity
from joulegate_http.codes import Code
from joulegate_http.operation import DATABASE_CODES, Operation, Success
from joulegate_http.parameters import Parameters
from joulegate_http.problems import ProblemError
from joulegate_http.respond import json_response
from joulegate_http.rules import (
    CursorParameter,
    LinkParameter,
    MeterParameter,
    MomentParameter,
    VehicleParameter,
    device_id,
    in_range,
    no_such_link,
)
from joulegate_http.schemas import Link, LinkBody, Links, answer

LINKS = "/v1/links"
LINK = LINKS + "/{linkId}"


class LinksParameters(Parameters, frozen=True, kw_only=True):
    """Which links."""

    vehicle_id: Annotated[VehicleParameter, Meta(description="Of this vehicle only.")] | None = None
    meter_id: Annotated[MeterParameter, Meta(description="Of this meter only.")] | None = None
    at: Annotated[MomentParameter, Meta(description="Valid at this moment only.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000, description="The length of a page.")] = 100
    cursor: CursorParameter | None = None


class LinkParameters(Parameters, frozen=True, kw_only=True):
    """A link."""

    link_id: LinkParameter


def link_operations(links: LinkStore) -> list[Operation]:
    """What looks into `links`, and what changes it."""
    return [*_looking(links), *_changing(links)]


def _looking(links: LinkStore) -> list[Operation]:
    async def list_links(asked: LinksParameters) -> Links:
        which = LinkFilter(vehicle=asked.vehicle_id, meter=asked.meter_id, at=asked.at)
        found = await links.page(which, int(asked.cursor or 0), asked.limit + 1)  # one more: is there a next page?
        items = tuple(answer(Link, link) for link in found[: asked.limit])
        return Links(items, str(items[-1].id) if len(found) > asked.limit else None)

    async def get_link(asked: LinkParameters) -> Link:
        link = await links.get(asked.link_id)
        if link is None:
            raise no_such_link()
        return answer(Link, link)

    return [
        Operation(
            method="GET",
            path=LINKS,
            handler=list_links,
            tag="links",
            summary="Links, in order of their ids",
            parameters=LinksParameters,
            answer=Links,
            codes=DATABASE_CODES,
            has_tag=True,
        ),
        Operation(
            method="GET",
            path=LINK,
            handler=get_link,
            tag="links",
            summary="One link",
            parameters=LinkParameters,
            answer=Link,
            codes=DATABASE_CODES,
            has_tag=True,
        ),
    ]


def _changing(links: LinkStore) -> list[Operation]:
    async def put_link(_: Parameters, body: LinkBody) -> Response:
        try:
            link, outcome = await links.put(_as_put(body))
        except LinkOverlapError as error:
            raise _in_the_way(error.obstacle) from None
        status = HTTPStatus.CREATED if outcome == "created" else HTTPStatus.OK
        return json_response(answer(Link, link), status, {"Location": f"{LINKS}/{link.id}"})

    async def delete_link(asked: LinkParameters) -> Response:
        if await links.delete(asked.link_id) is None:
            raise no_such_link()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return [
        Operation(
            method="PUT",
            path=LINKS,
            handler=put_link,
            tag="links",
            summary="Create a link, or move its end",
            description="The same again changes nothing. A meter has one vehicle at a time.",
            body=LinkBody,
            answer=Link,
            successes=(
                Success(HTTPStatus.OK, "The link was there; its end is as wanted.", ("Location",)),
                Success(HTTPStatus.CREATED, "The link was created.", ("Location",)),
            ),
            codes=(
                Code.BAD_ID,
                Code.TIME_OUT_OF_RANGE,
                Code.EMPTY_VALIDITY,
                Code.LINK_CONFLICT,
                *DATABASE_CODES,
            ),
        ),
        Operation(
            method="DELETE",
            path=LINK,
            handler=delete_link,
            tag="links",
            summary="Delete a link, as if it had never been",
            description="To end a link, put it with an end.",
            parameters=LinkParameters,
            answer=None,
            successes=(Success(HTTPStatus.NO_CONTENT, "The link is gone."),),
            codes=DATABASE_CODES,
        ),
    ]


def _as_put(body: LinkBody) -> LinkPut:
    """The body as a link that is sound in itself."""
    vehicle, meter = device_id("vehicleId", body.vehicle_id), device_id("meterId", body.meter_id)
    valid_from = in_range("validFrom", body.valid_from)
    valid_to = None if body.valid_to is None else in_range("validTo", body.valid_to)
    if valid_to is not None and valid_to <= valid_from:
        raise ProblemError(Code.EMPTY_VALIDITY, "validTo must be after validFrom, or null for a link without end.")
    return LinkPut(vehicle, meter, valid_from, valid_to)


def _in_the_way(link: StoredLink) -> ProblemError:
    """409: a meter has one vehicle at a time."""
    return ProblemError(
        Code.LINK_CONFLICT,
        f"Meter {link.meter} is linked to vehicle {link.vehicle} {describe_validity(link)}: link {link.id}. "
        "A meter has one vehicle at a time; end that link first, or delete it.",
        link=answer(Link, link),
    )
