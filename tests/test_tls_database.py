"""TLS to a real PostgreSQL through the parameters of the URL: verified, with a client certificate, and each failure in words."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from command_support import joulegate
from joulegate_cli.local.ports import free_port
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.errors import DatabaseUnavailableError
from joulegate_db.checked_pool import open_checked_pool
from joulegate_db.connect import MIGRATION_SETTINGS, READER_SETTINGS, connect
from tls_support import authority, certificates

PROGRAMS = [
    Path(os.environ.get("JOULEGATE_TEST_PG_BIN", "/none")),
    *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
]
BIN_DIR = next((path for path in PROGRAMS if (path / "initdb").exists()), None)
pytestmark = pytest.mark.skipif(
    BIN_DIR is None, reason="the embedded PostgreSQL has no TLS: install another (apt-get install postgresql)"
)

HBA = """\
local   all all trust
hostssl all joulegate 127.0.0.1/32 cert
"""
"""Over TCP only with TLS, and only with a certificate whose common name is the user."""


class TlsPostgres:
    """A server on 127.0.0.1 with the certificates of `files`."""

    def __init__(self, home: Path) -> None:
        self.files = authority(home / "files", "localhost")
        assert certificates("client", self.files, "joulegate").returncode == 0
        self.port = free_port()
        self.server = LocalPostgres(
            home / "pg", port=self.port, bin_dir=BIN_DIR, options={"fsync": "off", "ssl": "on", "ssl_ca_file": "ca.crt"}
        )
        self.server.prepare()
        self.data = home / "pg" / "data"
        self.take(self.files)
        (self.data / "pg_hba.conf").write_text(HBA)

    def take(self, files: Path) -> None:
        """Gives the server a certificate, owned by the user that it runs as."""
        owner = self.data.stat()
        for name in ("server.crt", "server.key", "ca.crt"):
            shutil.copy(files / name, self.data / name)
            shutil.chown(self.data / name, owner.st_uid, owner.st_gid)
            (self.data / name).chmod(0o600)

    def url(
        self, *, host: str = "localhost", ca: Path | None = None, client: Path | None = None, mode: str = "verify-full"
    ) -> str:
        given = {"sslmode": mode}
        if ca is not None:
            given["sslrootcert"] = str(ca / "ca.crt")
        if client is not None:
            given |= {"sslcert": f"{client}.crt", "sslkey": f"{client}.key"}
        return f"postgresql://joulegate:s3cr3t-of-the-test@{host}:{self.port}/postgres?{urlencode(given)}"


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsPostgres]:
    made = TlsPostgres(tmp_path_factory.mktemp("tls"))
    made.server.start()
    yield made
    made.server.stop("immediate")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another authority, with a client of the right name."""
    made = authority(tmp_path_factory.mktemp("other") / "files")
    assert certificates("client", made, "joulegate").returncode == 0
    return made


async def test_verified_with_a_client_certificate(postgres: TlsPostgres) -> None:
    url = postgres.url(ca=postgres.files, client=postgres.files / "joulegate")
    connection = await connect(url, MIGRATION_SETTINGS)
    row = await connection.fetchrow("select ssl, client_dn from pg_stat_ssl where pid = pg_backend_pid()")
    await connection.close()
    assert row is not None
    assert tuple(row) == (True, "/CN=joulegate")


def test_commands_take_the_same_url(postgres: TlsPostgres) -> None:
    good = postgres.url(ca=postgres.files, client=postgres.files / "joulegate")
    assert joulegate(good, "migrate").returncode == 0
    refused = joulegate(postgres.url(ca=postgres.files), "migrate", "--check")
    assert refused.returncode == 1
    assert "certificate" in refused.stderr
    assert "s3cr3t" not in refused.stderr + refused.stdout
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("through", ["connection", "pool"])
@pytest.mark.parametrize(
    ("problem", "says"),
    [
        ("another CA", "not trusted: .*; set sslrootcert in JOULEGATE_DATABASE_URL to the CA that signed it"),
        ("no CA", "sslrootcert|root certificate file"),
        ("another host", "for another host .*127.0.0.1.* in JOULEGATE_DATABASE_URL, or issue one for this name"),
        ("no client certificate", "connection requires a valid client certificate"),
        ("client of another CA", "another CA signed it .*: set sslcert and sslkey|a no to the certificate of sslcert"),
        ("of another user", "certificate authentication failed for user"),
        ("no such file", "a file named by sslrootcert, sslcert or sslkey"),
        ("no TLS", "no pg_hba.conf entry .* no encryption"),
    ],
)
async def test_what_is_refused(postgres: TlsPostgres, other: Path, problem: str, says: str, through: str) -> None:
    files = postgres.files
    url = {
        "another CA": postgres.url(ca=other),
        "no CA": postgres.url(),
        "another host": postgres.url(ca=files, host="127.0.0.1"),
        "no client certificate": postgres.url(ca=files),
        "client of another CA": postgres.url(ca=files, client=other / "joulegate"),
        "of another user": postgres.url(ca=files, client=files / "gateway"),
        "no such file": postgres.url(ca=files / "none"),
        "no TLS": postgres.url(mode="disable"),
    }[problem]
    with pytest.raises(DatabaseUnavailableError, match=says) as caught:
        await (_connect_once(url) if through == "connection" else _ask_a_pool(url))
    assert "s3cr3t" not in str(caught.value)


async def test_a_new_authority_is_used_by_the_next_connection(
    tmp_path: Path, postgres: TlsPostgres, other: Path
) -> None:
    """Files that change under a pool: no restart."""
    client = tmp_path / "client"
    shutil.copytree(postgres.files, client)
    url = postgres.url(ca=client, client=client / "joulegate")
    shutil.copytree(other, client, dirs_exist_ok=True)
    async with open_checked_pool(url, READER_SETTINGS, size=1, seconds=5) as pool:
        with pytest.raises(DatabaseUnavailableError, match="not trusted"):
            await pool.check(5)
        shutil.copytree(postgres.files, client, dirs_exist_ok=True)
        joulegate(url, "migrate")
        await pool.check(5)


async def _connect_once(url: str) -> None:
    await (await connect(url, MIGRATION_SETTINGS)).close()


async def _ask_a_pool(url: str) -> None:
    async with open_checked_pool(url, READER_SETTINGS, size=1, seconds=5) as pool:
        await pool.check(5)
