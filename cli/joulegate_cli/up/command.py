"""`joulegate up`: everything on this machine with one command."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from joulegate_cli.up.stack import Stack


def up(
    *,
    devices: Annotated[int, typer.Option(min=0, max=100_000, help="Simulated meter-vehicle pairs; 0 for none.")] = 200,
    directory: Annotated[Path, typer.Option("--dir", help="Where data and logs are kept.")] = Path(".joulegate"),
    mqtt_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port of the broker; otherwise that of JOULEGATE_MQTT_URL, or 1883."),
    ] = None,
) -> None:
    """Start PostgreSQL, a broker, the gateway, HTTP and a simulated fleet here, and keep them running until Ctrl-C.

    What is stored stays in the directory, and the next start goes on with it.
    """
    import asyncio

    from joulegate_cli.up.console import note
    from joulegate_cli.up.journal import Journal
    from joulegate_cli.up.ports import require_free_ports
    from joulegate_cli.up.run import run_up
    from joulegate_cli.up.stack import Options, Stack
    from joulegate_core.settings import load_settings

    settings = load_settings(os.environ)
    stack = Stack(settings, os.environ, Options(directory=directory.resolve(), devices=devices, mqtt_port=mqtt_port))
    _create(stack.directory)
    journal = Journal.open(stack.directory, note)
    try:
        require_free_ports(stack.ports)
        _announce(stack)
        asyncio.run(run_up(stack, journal, max_age_days=settings.max_age_days))
    finally:
        journal.close()


def _create(directory: Path) -> None:
    from joulegate_core.errors import JoulegateError

    try:
        directory.mkdir(parents=True, exist_ok=True)
        if directory.stat().st_uid != os.geteuid():
            raise JoulegateError(f"{directory} belongs to another user: choose another with --dir")
        (directory / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise JoulegateError(f"{directory} cannot be used: {error.strerror}. Choose another with --dir") from error


def _announce(stack: "Stack") -> None:
    from joulegate_cli.up.console import note

    note(f"data in {stack.directory}, logs in {stack.logs}")
    for name in stack.ignored_settings:
        note(f"{name} is set, but `joulegate up` runs its own: it has no effect here")
