"""PostgreSQL's own programs."""

import subprocess

from joulegate_cli.local.postgres import LocalPostgres


def program(server: LocalPostgres, name: str, *arguments: str) -> None:
    """Runs one of the clients that belong to `server`: a newer pg_dump writes what an older server does not take."""
    done = subprocess.run([str(server._bin / name), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
