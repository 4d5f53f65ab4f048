"""A real PgBouncer in transaction mode, on a free port, in front of a test's PostgreSQL."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from joulegate_cli.local.ports import free_port
from joulegate_cli.local.postgres import AS_UNPRIVILEGED

CONFIGURATION = """
[databases]
* = host={sockets} user=joulegate
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
ignore_startup_parameters = {ignored}
"""
"""Three sessions for everybody: fewer than those who ask, so that they change hands."""

START_SECONDS = 10.0


def find_pgbouncer() -> str:
    """The program; the test is skipped without it."""
    found = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        pytest.skip("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
    return found


@contextlib.contextmanager
def pooled(url: str, directory: Path, *, ignored: str = "") -> Iterator[str]:
    """The URL of the database at `url` (on a Unix socket) through a pooler that runs for the length of the block.

    Args:
        ignored: the settings at a connection's start that it swallows; all others than a few of its own it refuses.
    """
    program, port = find_pgbouncer(), free_port()
    parts = urlsplit(url)
    sockets = parse_qs(parts.query)["host"][0]
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(CONFIGURATION.format(sockets=sockets, port=port, ignored=ignored))
    with (directory / "pgbouncer.log").open("wb") as log:
        user = AS_UNPRIVILEGED if os.geteuid() == 0 else ()  # like PostgreSQL, it refuses to run as root
        running = subprocess.Popen([*user, program, str(configuration)], stdout=log, stderr=log)
    try:
        _wait_for(port, running, directory / "pgbouncer.log")
        yield f"postgresql://joulegate@127.0.0.1:{port}{parts.path}"
    finally:
        running.kill()
        running.wait()


def _wait_for(port: int, running: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert running.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)
