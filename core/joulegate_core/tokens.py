"""The tokens that the HTTP API takes: how they are written in JOULEGATE_API_TOKENS, and how a caller's is recognised.

A token is random, at least 16 characters long; so one SHA-256 of it, unsalted, is as hard to turn back as the token is to guess.
"""

import re
import secrets
from collections.abc import Iterable, Sequence
from hashlib import sha256
from hmac import compare_digest
from typing import Literal

import msgspec

from joulegate_core.errors import SettingsError

SETTING = "JOULEGATE_API_TOKENS"

Role = Literal["read", "operate"]
"""`operate` may change things, and read."""

LEAST_CHARACTERS = 16
MOST_CHARACTERS = 256
MOST_TOKENS = 100
"""Each is compared with what a caller sends, at every request."""

UNNAMED = "operator"
"""The name of a token that stands by itself; it may operate."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_TOKEN = re.compile(rf"[A-Za-z0-9._~+/-]{{{LEAST_CHARACTERS},{MOST_CHARACTERS}}}=*\Z")  # RFC 6750: b64token
_FORMS = "name:role:token, name:role:sha256:<64 hex digits>, or a token alone"


class ApiToken(msgspec.Struct, frozen=True):
    """Who may call, and what for. `digest`: the SHA-256 of the token, 32 bytes; the token itself is not kept."""

    name: str
    role: Role
    digest: bytes

    def may(self, role: Role) -> bool:
        """Whether what needs `role` is allowed."""
        return role in {"read", self.role}

    def __repr__(self) -> str:
        return f"ApiToken({self.name})"


def parse_tokens(text: str) -> tuple[ApiToken, ...]:
    """The tokens of the setting, separated by commas.

    Raises:
        SettingsError: one is not as it must be; the message says which and why, and repeats nothing of what may be secret.
    """
    entries = [entry.strip() for entry in text.split(",")] if text.strip() else []
    if len(entries) > MOST_TOKENS:
        raise _wrong(f"there are {len(entries)} tokens, at most {MOST_TOKENS} are taken")
    tokens = tuple(_parse(f"entry {number}", entry) for number, entry in enumerate(entries, 1))
    _require_distinct("name", [token.name for token in tokens])
    _require_distinct("token", [token.digest for token in tokens])
    return tokens


def find_token(tokens: Iterable[ApiToken], given: bytes) -> ApiToken | None:
    """The token that a caller sent; None when it is none of them. Takes as long whichever it is, and whether it is one."""
    digest = sha256(given).digest()
    found = None
    for token in tokens:
        if compare_digest(token.digest, digest):
            found = token
    return found


def make_token() -> str:
    """A new token: 256 random bits, after a prefix by which scanners for leaked secrets can know it."""
    return f"jg_{secrets.token_urlsafe(32)}"


def hashed_entry(name: str, role: Role, token: str) -> str:
    """What to put into the setting for a token that only its user shall know.

    Raises:
        SettingsError: the name or the token is not as it must be.
    """
    parsed = _parse("the new entry", f"{name}:{role}:{token}")
    return f"{parsed.name}:{parsed.role}:sha256:{parsed.digest.hex()}"


def _parse(which: str, entry: str) -> ApiToken:
    match entry.split(":"):
        case [token]:
            return ApiToken(UNNAMED, "operate", _digest(which, token))
        case [name, role, *secret] if secret:
            return ApiToken(_name(which, name), _role(which, role), _secret(which, secret))
        case _:
            raise _wrong(f"{which} has the wrong number of parts: expected {_FORMS}")


def _name(which: str, name: str) -> str:
    if not _NAME.match(name):
        raise _wrong(f"the name in {which} must have 1 to 64 characters of A-Z a-z 0-9 . _ and -")
    return name


def _role(which: str, role: str) -> Role:
    match role:
        case "read" | "operate":
            return role
        case _:
            raise _wrong(f"the role in {which} must be read or operate")


def _secret(which: str, parts: list[str]) -> bytes:
    match parts:
        case ["sha256", digest] if _DIGEST.match(digest):
            return bytes.fromhex(digest)
        case ["sha256", *_]:
            raise _wrong(f"the hash in {which} must be sha256: and 64 hex digits in lower case")
        case [token]:
            return _digest(which, token)
        case _:
            raise _wrong(f"{which} has the wrong number of parts: expected {_FORMS}")


def _digest(which: str, token: str) -> bytes:
    if not _TOKEN.match(token):
        allowed = (
            f"{LEAST_CHARACTERS} to {MOST_CHARACTERS} characters of A-Z a-z 0-9 . _ ~ + / - (joulegate token makes one)"
        )
        raise _wrong(f"the token in {which} must have {allowed}")
    return sha256(token.encode()).digest()


def _require_distinct(what: str, values: Sequence[str | bytes]) -> None:
    seen: dict[str | bytes, int] = {}
    for number, value in enumerate(values, 1):
        if value in seen:
            raise _wrong(f"entries {seen[value]} and {number} have the same {what}")
        seen[value] = number


def _wrong(problem: str) -> SettingsError:
    return SettingsError(f"{SETTING} is not valid: {problem} (docs/configuration.md)")
