"""Headers of a request, straight from the ASGI scope: cheaper than a mapping of all of them for the one that is wanted."""

from starlette.types import Scope


def header(scope: Scope, name: bytes) -> bytes:
    """The value of the header, `name` in lower case; several are joined with commas, as lists are; empty without one."""
    values = [value for key, value in scope["headers"] if key == name]
    return values[0] if len(values) == 1 else b", ".join(values)
