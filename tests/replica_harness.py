"""A real standby of a test's PostgreSQL: a base backup and streaming replication."""

import os
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from joulegate_cli.local.postgres import AS_UNPRIVILEGED, UNPRIVILEGED_ID, USER, LocalPostgres, embedded_bin_dir

OPTIONS = {"fsync": "off", "max_standby_streaming_delay": "0", "shared_buffers": "64MB"}
"""A statement that stands in the way of replication is cancelled at once."""


def bin_dir() -> Path:
    """PostgreSQL's programs; the test is skipped without pg_basebackup."""
    chosen = os.environ.get("JOULEGATE_TEST_PG_BIN")
    found = Path(chosen) if chosen else embedded_bin_dir()
    if not (found / "pg_basebackup").exists():
        pytest.skip(f"there is no pg_basebackup in {found}")
    return found


def sockets(server: LocalPostgres) -> str:
    """The directory of the server's socket."""
    return parse_qs(urlsplit(server.url()).query)["host"][0]


def replica_of(primary: LocalPostgres, directory: Path) -> LocalPostgres:
    """A standby in `directory`, running, that follows `primary`."""
    directory.mkdir()
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(directory, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
    command = [str(bin_dir() / "pg_basebackup"), "-h", sockets(primary), "-U", USER, "-D", str(directory / "data")]
    command += ["-R", "-X", "stream", "-c", "fast", "--no-sync"]
    done = subprocess.run(
        [*(AS_UNPRIVILEGED if is_root else ()), *command], capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    return LocalPostgres(directory, options=OPTIONS, bin_dir=bin_dir()).start()
