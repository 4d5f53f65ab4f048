"""How deep a payload is nested. msgspec's own limit is the interpreter's, which differs between versions and callers."""

import re

MAX_NESTING = 256
"""Arrays and objects inside each other, the payload's own object counted (RFC 8259, 9, allows a limit)."""

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def is_nested_too_deeply(payload: bytes) -> bool:
    """True when more than `MAX_NESTING` brackets are open at a place. What is no JSON gets any answer, in linear time."""
    if payload.count(b"[") + payload.count(b"{") <= MAX_NESTING:
        return False
    depth = 0
    for bracket in _STRING.sub(b"", payload).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_NESTING:
            return True
    return False
