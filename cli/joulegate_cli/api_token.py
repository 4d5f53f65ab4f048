"""`joulegate token`: a token for the HTTP API, and what to put into JOULEGATE_API_TOKENS for it."""

import sys
from enum import StrEnum
from typing import Annotated

import typer


class TokenRole(StrEnum):
    """What the token may be used for."""

    READ = "read"
    OPERATE = "operate"


def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who will use it; it stands in the service's log.")],
    *,
    role: Annotated[TokenRole, typer.Option(help="read: look; operate: change things, too.")] = TokenRole.READ,
    stdin: Annotated[bool, typer.Option("--stdin", help="Take a token of yours from standard input.")] = False,
) -> None:
    """Make a token for the HTTP API. It is shown once: the entry for JOULEGATE_API_TOKENS holds only its hash."""
    from joulegate_core.tokens import hashed_entry, make_token

    made = sys.stdin.readline().rstrip("\r\n") if stdin else make_token()
    entry = hashed_entry(name, role.value, made)
    if not stdin:
        print(f"token {made}")
    print(f"entry {entry}")
