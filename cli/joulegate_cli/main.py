"""`joulegate`: the composition root. Each command reads the settings, builds its component and runs it."""

import sys
from typing import NoReturn

import typer

from joulegate_cli.archive.command import app as archive_app
from joulegate_cli.bench.command import app as bench_app
from joulegate_cli.devices import app as devices_app
from joulegate_cli.doctor.command import doctor
from joulegate_cli.links import app as links_app
from joulegate_cli.migrate import migrate
from joulegate_cli.quarantine import app as quarantine_app
from joulegate_cli.rollup import app as rollup_app
from joulegate_cli.services import gateway, http
from joulegate_cli.simulate import app as simulate_app
from joulegate_cli.up.command import up
from joulegate_core.errors import JoulegateError

app = typer.Typer(
    name="joulegate",
    help="MQTT ingestion gateway for energy fleets. Settings are environment variables: docs/configuration.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (up, gateway, http, migrate, doctor):
    app.command()(command)
for name, group in (
    ("simulate", simulate_app),
    ("links", links_app),
    ("devices", devices_app),
    ("quarantine", quarantine_app),
    ("rollup", rollup_app),
    ("archive", archive_app),
    ("bench", bench_app),
):
    app.add_typer(group, name=name)

SERVICES = {"gateway": gateway, "http": http}


def main() -> NoReturn:
    """Runs the command line. Exit 0 done, 1 failed, 2 usage; an error of the user's is one line on standard error."""
    # without an option there is nothing to parse, and to build the parser (pydantic) is a fifth of a service's start
    service = SERVICES.get(sys.argv[1]) if len(sys.argv) == 2 else None  # noqa: PLR2004 - program and command
    try:
        (service or app)()
    except JoulegateError as error:
        _fail(error)
    except BaseExceptionGroup as group:
        known = group.subgroup(JoulegateError)
        if known is None:
            raise
        _fail(_first_leaf(known))
    sys.exit(0)


def _fail(error: BaseException) -> NoReturn:
    print(f"joulegate: {error}", file=sys.stderr)
    sys.exit(error.exit_code if isinstance(error, JoulegateError) else 1)


def _first_leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
