"""Certificates from mosquitto/certificates, and a broker that speaks TLS with them."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from joulegate_cli.local.broker import LocalBroker
from joulegate_cli.local.ports import free_port

HELPER = Path(__file__).parent.parent / "mosquitto" / "certificates"


def certificates(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs the helper."""
    return subprocess.run([HELPER, *arguments], capture_output=True, text=True, check=False, timeout=30)


def authority(directory: Path, *names: str, server_days: int = 1) -> Path:
    """A directory with a CA, a server's certificate for `names` (localhost by default) and the client `gateway`."""
    steps: tuple[tuple[str | Path, ...], ...] = (
        ("ca", directory),
        ("--days", str(server_days), "server", directory, *(names or ("localhost", "127.0.0.1"))),
        ("client", directory, "gateway"),
    )
    for arguments in steps:
        done = certificates(*arguments)
        assert done.returncode == 0, done.stderr
    return directory


def install(made: Path, server: Path) -> None:
    """Puts what `made` holds where a server or a client looks for it, over what was there."""
    server.mkdir(exist_ok=True)
    for file in made.iterdir():
        shutil.copy(file, server / file.name)


class TlsBroker(LocalBroker):
    """A mosquitto with a plain listener (`port`), and one with TLS (`tls_port`) and the certificates in `files`."""

    def __init__(self, directory: Path, files: Path, *, mutual: bool = False) -> None:
        self.tls_port = free_port()
        lines = (
            f"listener {self.tls_port} 127.0.0.1",
            *(f"{name} {files / file}" for name, file in (("certfile", "server.crt"), ("keyfile", "server.key"))),
            *((f"cafile {files / 'ca.crt'}", "require_certificate true") if mutual else ()),
        )
        super().__init__(directory, kind="mosquitto", extra="\n".join(lines))

    @property
    def tls_url(self) -> str:
        """For JOULEGATE_MQTT_URL."""
        return f"mqtts://localhost:{self.tls_port}"


@contextmanager
def tls_broker(directory: Path, files: Path, *, mutual: bool = False) -> Iterator[TlsBroker]:
    """Such a broker, started, for the length of the block."""
    broker = TlsBroker(directory, files, mutual=mutual)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
