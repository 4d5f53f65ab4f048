"""The command line: every command of `joulegate`, with its options."""

from typing import Annotated

import typer

from joulegate_cli import services
from joulegate_cli.api_token import token
from joulegate_cli.archive.command import app as archive_app
from joulegate_cli.bench.command import app as bench_app
from joulegate_cli.devices import app as devices_app
from joulegate_cli.doctor.command import doctor
from joulegate_cli.links import app as links_app
from joulegate_cli.migrate import migrate
from joulegate_cli.quarantine import app as quarantine_app
from joulegate_cli.rollup import app as rollup_app
from joulegate_cli.simulate import app as simulate_app
from joulegate_cli.up.command import up

LEAVE_HELP = """Takes this gateway away for good: unsubscribes, stores and acknowledges everything that its session at the broker
still holds, ends the session, and exits. Stop the running gateway first, and give the same settings: JOULEGATE_CLIENT_ID names the
session. Interrupted, it can be run again."""


def gateway(*, leave: Annotated[bool, typer.Option("--leave", help=LEAVE_HELP)] = False) -> None:
    """Takes readings from the broker and writes them to the database, until SIGTERM; then drains."""
    services.gateway(leave=leave)


app = typer.Typer(
    name="joulegate",
    help="MQTT ingestion gateway for energy fleets. Settings are environment variables: docs/configuration.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (up, gateway, services.http, migrate, token, doctor):
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
