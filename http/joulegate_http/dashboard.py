"""The dashboard and the page of the API: files that are built from http/dashboard/ and shipped in the package."""

import hashlib
import mimetypes
from collections.abc import Mapping
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joulegate_http.negotiation import require_acceptable
from joulegate_http.respond import options_response

STATIC = files("joulegate_http") / "static"

PAGES = {"/": "index.html", "/docs": "docs.html"}
ASSETS = "/assets/{asset}"

METHODS = ["GET", "OPTIONS"]
"""HEAD comes with GET."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a page may load: what this service ships, and nothing inline."""

FOR_EVER = "public, max-age=31536000, immutable"
"""An asset's name has the hash of its content: another content has another name."""
ASK_AGAIN = "no-cache"
"""A page may be kept, but is asked for again: it names the assets."""


class File(msgspec.Struct, frozen=True):
    """A file in memory, and the headers that it is sent with."""

    content: bytes
    headers: Mapping[str, str]


def dashboard_routes() -> list[Route]:
    """The pages and what they load. They hold no device data and ask no database, so they need neither."""
    pages = {path: _page(STATIC / name) for path, name in PAGES.items()}
    assets = {asset.name: _asset(asset) for asset in (STATIC / "assets").iterdir()}

    async def get_page(request: Request) -> Response:
        return _answer(request, pages[request.url.path])

    async def get_asset(request: Request) -> Response:
        asset = assets.get(request.path_params["asset"])
        if asset is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return _answer(request, asset)

    shown = [Route(path, get_page, methods=METHODS, include_in_schema=False) for path in pages]
    return [*shown, Route(ASSETS, get_asset, methods=METHODS, include_in_schema=False)]


def _page(file: Traversable) -> File:
    return _file(file, {"Cache-Control": ASK_AGAIN, "Content-Security-Policy": CONTENT_SECURITY_POLICY})


def _asset(file: Traversable) -> File:
    return _file(file, {"Cache-Control": FOR_EVER})


def _file(file: Traversable, headers: Mapping[str, str]) -> File:
    content = file.read_bytes()
    guessed = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    # a machine's own registry of types may say otherwise, and a browser that was told nosniff runs no script of another type
    media_type = "text/javascript" if file.name.endswith(".js") else guessed
    charset = "; charset=utf-8" if media_type.startswith("text/") else ""
    etag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
    return File(content, {"Content-Type": media_type + charset, "ETag": etag, **headers})


def _answer(request: Request, file: File) -> Response:
    """The file, or 304 when the client has it; OPTIONS says what there is, as everywhere.

    Raises:
        ProblemError: `not_acceptable`.
    """
    if request.method == "OPTIONS":
        return options_response(METHODS)
    require_acceptable(request, file.headers["Content-Type"].partition(";")[0])
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")]
    if file.headers["ETag"] in known or known == ["*"]:
        kept = {name: value for name, value in file.headers.items() if name != "Content-Type"}
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=kept)
    return Response(file.content, headers=file.headers)
