"""The command line: every command of `joulegate`, and where it is.

A module that holds a command imports at its top what declares its options, and what it works with when it runs.
"""

from importlib import import_module

import typer

COMMANDS = {
    "up": "up.command:up",
    "gateway": "gateway:gateway",
    "http": "services:http",
    "migrate": "migrate:migrate",
    "token": "api_token:token",
    "doctor": "doctor.command:doctor",
    "simulate": "simulate:app",
    "links": "links:app",
    "devices": "devices:app",
    "quarantine": "quarantine:app",
    "rollup": "rollup:app",
    "archive": "archive.command:app",
    "bench": "bench.command:app",
}
"""In the order of --help: the module in this package, and in it a function, or an app that groups several."""


def command_line(only: str | None = None) -> typer.Typer:
    """The parser of the command line. When `only` is a command, with that one alone: no other's module is imported."""
    app = typer.Typer(
        name="joulegate",
        help="MQTT ingestion gateway for energy fleets. Settings are environment variables: docs/configuration.md.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        callback=lambda: None,  # without one, typer takes a single command for the whole command line
    )
    for name in [only] if only in COMMANDS else COMMANDS:
        module, _, attribute = COMMANDS[name].partition(":")
        command = getattr(import_module(f"joulegate_cli.{module}"), attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app
