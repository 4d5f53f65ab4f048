"""The headers that every answer has, whatever it is."""

from typing import Any

REQUEST_ID = b"x-request-id"
ROLE = b"x-joulegate-role"
"""What the caller's token allows: a page can then leave out what would be refused."""

Headers = list[tuple[bytes, bytes]]

POLICY = b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""For what is data. Pages send a policy of their own."""

ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"vary", b"Accept-Encoding"),
]


def completed(headers: Headers, request_id: str, role: str | None = None) -> Headers:
    """The headers of an answer, and what it lacks. What has an entity tag may be kept if it is asked for again; all else is not kept."""
    names = {name for name, _ in headers}
    full = [*headers, (REQUEST_ID, request_id.encode()), *ALWAYS]
    if role is not None:
        full.append((ROLE, role.encode()))
    if b"content-security-policy" not in names:
        full.append((b"content-security-policy", POLICY))
    if b"cache-control" not in names:
        full.append((b"cache-control", b"no-cache" if b"etag" in names else b"no-store"))
    return full


def with_headers(message: Any, request_id: str, role: str | None = None) -> Any:
    """The `http.response.start` message with these headers."""
    return {**message, "headers": completed(message.get("headers", []), request_id, role)}
