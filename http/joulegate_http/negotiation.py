"""What a client wants of an answer: a type of content, a coding, or nothing when it has the answer already.

https://www.rfc-editor.org/rfc/rfc9110#section-12.5
"""

from functools import lru_cache
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from joulegate_http.codes import Code
from joulegate_http.problems import ProblemError
from joulegate_http.request_headers import header

REMEMBERED = 64
"""Clients send the same few headers again and again."""


def require_acceptable(request: Request, media_type: str) -> None:
    """Lets the request pass when its client takes `media_type`.

    Raises:
        ProblemError: `not_acceptable`.
    """
    accept = header(request.scope, b"accept")
    if accept and not _accepts(accept.decode("latin-1"), media_type):
        raise ProblemError(Code.NOT_ACCEPTABLE, f"This route gives {media_type}, which the request's Accept excludes.")


def accepts_gzip(scope: Scope) -> bool:
    """Whether the client asks for gzip; one that says nothing does not."""
    coding = header(scope, b"accept-encoding")
    return bool(coding) and _weight(coding.decode("latin-1"), ("*", "gzip")) > 0


def conditional(request: Request, response: Response) -> Response:
    """The response with an entity tag of its body; or 304 when the client has just that.

    The tag is a weak one: it is the same whether the body is compressed or not.
    """
    tag = f'W/"{sha256(response.body).hexdigest()[:32]}"'
    if _matches(header(request.scope, b"if-none-match").decode("latin-1"), tag):
        return Response(status_code=304, headers={"ETag": tag})
    response.headers["ETag"] = tag
    return response


def _matches(tags: str, tag: str) -> bool:
    """If-None-Match compares weakly."""
    opaque = tag.removeprefix("W/")
    return any(one.strip() == "*" or one.strip().removeprefix("W/") == opaque for one in tags.split(","))


@lru_cache(REMEMBERED)
def _accepts(accept: str, media_type: str) -> bool:
    return _weight(accept, ("*/*", f"{media_type.partition('/')[0]}/*", media_type)) > 0


@lru_cache(REMEMBERED)
def _weight(wanted: str, names: tuple[str, ...]) -> float:
    """The weight of what the last of `names` names; `names` are ever more specific, and the most specific one counts."""
    weights: dict[str, float] = {}
    for one in wanted.lower().split(","):
        name, _, parameters = one.partition(";")
        weights.setdefault(name.strip(), _q(parameters))
    return next((weights[name] for name in reversed(names) if name in weights), 0.0)


def _q(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
