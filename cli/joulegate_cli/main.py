"""`joulegate`: the composition root. Each command reads the settings, builds its component and runs it."""

import sys
from collections.abc import Callable
from typing import NoReturn

from joulegate_cli import services
from joulegate_core.errors import JoulegateError

SERVICES = {"gateway": services.gateway, "http": services.http}


def main() -> NoReturn:
    """Runs the command line. Exit 0 done, 1 failed, 2 usage; an error of the user's is one line on standard error."""
    try:
        _command()()
    except JoulegateError as error:
        _fail(error)
    except BaseExceptionGroup as group:
        known = group.subgroup(JoulegateError)
        if known is None:
            raise
        _fail(_first_leaf(known))
    sys.exit(0)


def _command() -> Callable[[], None]:
    name = sys.argv[1] if len(sys.argv) > 1 else None
    # without an option there is nothing to parse, and it starts a twentieth sooner without the parser
    if name in SERVICES and len(sys.argv) == 2:  # noqa: PLR2004 - program and command
        return SERVICES[name]
    from joulegate_cli.commands import command_line

    return command_line(name)


def _fail(error: BaseException) -> NoReturn:
    print(f"joulegate: {error}", file=sys.stderr)
    sys.exit(error.exit_code if isinstance(error, JoulegateError) else 1)


def _first_leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
