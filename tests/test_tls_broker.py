"""TLS and mutual TLS to a real mosquitto: who is trusted, what each failure says, and certificates that change on disk."""

import asyncio
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from command_support import joulegate
from gateway_harness import Gateway, eventually, meter, publisher
from joulegate_cli.local.broker import find_mosquitto
from joulegate_core.broker import BrokerAddress, broker_address
from joulegate_core.errors import BrokerUnavailableError, SettingsError
from joulegate_core.settings import load_settings
from joulegate_gateway.connection import Connection
from joulegate_simulator.publisher import Publisher
from process_harness import Process, launching, until_status
from tls_support import TlsBroker, authority, certificates, install, tls_broker

pytestmark = pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Authorities by name: `good`; `other`, which nobody knows; and two whose server's certificate is no good."""
    home = tmp_path_factory.mktemp("certificates")
    authority(home / "good")
    authority(home / "other")
    authority(home / "expired", server_days=0)
    authority(home / "elsewhere", "broker.example", "10.0.0.1")
    assert certificates("--days", "0", "client", home / "good", "old").returncode == 0
    return home


@pytest.fixture(scope="module")
def mutual(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsBroker]:
    with tls_broker(tmp_path_factory.mktemp("broker"), made / "good", mutual=True) as broker:
        yield broker


def address_of(broker: TlsBroker, ca: Path | None, client: Path | None = None) -> BrokerAddress:
    files = {} if ca is None else {"ca_file": str(ca / "ca.crt")}
    if client is not None:
        files |= {"cert_file": f"{client}.crt", "key_file": f"{client}.key"}
    return BrokerAddress("localhost", broker.tls_port, tls=True, **files)


async def enter_as_gateway(address: BrokerAddress) -> None:
    connection = Connection(
        address,
        deliver=lambda _connection, _packet: None,
        gate=_open_gate(),
        client_id="tls-test-gateway",
        receive_maximum=10,
        session_expiry_seconds=0,
    )
    await connection.open()
    await connection.close()


async def enter_as_simulator(address: BrokerAddress) -> None:
    async with Publisher(address, client_id="tls-test-simulator"):
        pass


def _open_gate() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate


ENTERING = [enter_as_gateway, enter_as_simulator]


@pytest.mark.parametrize("enter", ENTERING)
async def test_a_client_certificate_opens_the_door(mutual: TlsBroker, made: Path, enter) -> None:  # type: ignore[no-untyped-def]
    await enter(address_of(mutual, made / "good", made / "good" / "gateway"))


@pytest.mark.parametrize("enter", ENTERING)
@pytest.mark.parametrize(
    ("client", "says"),
    [
        (None, "wants a client certificate .*: set JOULEGATE_MQTT_CERT_FILE and JOULEGATE_MQTT_KEY_FILE"),
        ("other/gateway", "refuses our client certificate, another CA signed it .*: set JOULEGATE_MQTT_CERT_FILE"),
        ("good/old", "refuses our client certificate, it has expired .*: set JOULEGATE_MQTT_CERT_FILE"),
    ],
)
async def test_a_client_certificate_that_is_refused(  # type: ignore[no-untyped-def]
    mutual: TlsBroker, made: Path, client: str | None, says: str, enter
) -> None:
    with pytest.raises(BrokerUnavailableError, match=says):
        await enter(address_of(mutual, made / "good", made / client if client else None))


@pytest.mark.parametrize("enter", ENTERING)
@pytest.mark.parametrize(
    ("server", "ca", "says"),
    [
        ("good", "other", "not trusted: .*; set JOULEGATE_MQTT_CA_FILE to the CA that signed it"),
        ("good", None, "not trusted: .*; set JOULEGATE_MQTT_CA_FILE to the CA that signed it"),
        ("expired", "expired", "not trusted: certificate has expired; renew the certificate of the broker"),
        (
            "elsewhere",
            "elsewhere",
            "for another host .*'localhost'.* in JOULEGATE_MQTT_URL, or issue one for this name",
        ),
    ],
)
async def test_a_server_that_is_not_trusted(  # type: ignore[no-untyped-def]
    tmp_path: Path, made: Path, server: str, ca: str | None, says: str, enter
) -> None:
    with tls_broker(tmp_path, made / server) as broker, pytest.raises(BrokerUnavailableError) as caught:
        await enter(address_of(broker, None if ca is None else made / ca))
    assert re.search(f"localhost:{broker.tls_port} cannot be used: .*{says}", str(caught.value))


@pytest.mark.parametrize("enter", ENTERING)
async def test_tls_to_a_port_without_it(mutual: TlsBroker, made: Path, enter) -> None:  # type: ignore[no-untyped-def]
    address = BrokerAddress("localhost", mutual.port, tls=True, ca_file=str(made / "good" / "ca.crt"))
    with pytest.raises(BrokerUnavailableError, match=r"cannot be (used|reached) ?.*JOULEGATE_MQTT_URL"):
        await enter(address)


def test_what_cannot_work_stops_the_start(made: Path, tmp_path: Path) -> None:
    good, junk = made / "good", tmp_path / "junk"
    junk.write_text("no certificate")
    for given, says in (
        ({"CA_FILE": tmp_path / "none"}, "JOULEGATE_MQTT_CA_FILE: .*/none cannot be read .No such file"),
        ({"CA_FILE": tmp_path}, "JOULEGATE_MQTT_CA_FILE: .* cannot be read .Is a directory"),
        ({"CA_FILE": junk}, "JOULEGATE_MQTT_CA_FILE: .*/junk holds no certificate"),
        ({"CERT_FILE": good / "gateway.crt"}, "go together"),
        ({"CERT_FILE": good / "gateway.crt", "KEY_FILE": good / "server.key"}, "are not a certificate and its own key"),
        ({"CERT_FILE": junk, "KEY_FILE": good / "gateway.key"}, "are not a certificate and its own key"),
        ({"URL": "mqtt://h", "CA_FILE": good / "ca.crt"}, "JOULEGATE_MQTT_CA_FILE is set and .* make it mqtts://"),
    ):
        environ = {f"JOULEGATE_MQTT_{name}": str(value) for name, value in ({"URL": "mqtts://h"} | given).items()}
        with pytest.raises(SettingsError, match=says):
            broker_address(load_settings(environ))


async def test_a_gateway_over_mutual_tls_and_certificates_that_change_on_disk(
    made: Path, tmp_path: Path, database_url: str, db: asyncpg.Connection
) -> None:
    """One authority gives way to another, server and client, under a gateway that runs on."""
    server, client = tmp_path / "server", tmp_path / "client"
    for files in (server, client):
        install(made / "good", files)
    with tls_broker(tmp_path / "broker", server, mutual=True) as broker:
        gateway = Gateway(broker, database_url)
        settings = {
            "mqtt_url": broker.tls_url,
            "mqtt_ca_file": client / "ca.crt",
            "mqtt_cert_file": client / "gateway.crt",
            "mqtt_key_file": client / "gateway.key",
        }
        async with launching(gateway, tmp_path) as launch:
            process = await launch(**settings)
            await until_status(gateway, "/readyz", process)
            async with publisher(broker) as publish:
                await publish("fleet/cp-1/meter", meter("before"))
            broker.stop()
            install(made / "other", server)
            broker.start()
            await eventually(lambda: _says(process, "not trusted", "JOULEGATE_MQTT_CA_FILE"))
            install(made / "other", client)
            async with publisher(broker) as publish:
                await publish("fleet/cp-1/meter", meter("after"))

            async def both_are_stored() -> bool:
                return bool(await db.fetchval("select count(*) from meter_history") == 2)

            await eventually(both_are_stored)
            assert process.is_running


async def _says(process: Process, *words: str) -> bool:
    return any(all(word in line for word in words) for line in process.errors())


def test_simulate_and_doctor_use_the_same_settings(mutual: TlsBroker, made: Path, database_url: str) -> None:
    files = made / "good"
    given = {
        "URL": mutual.tls_url,
        "CA_FILE": files / "ca.crt",
        "CERT_FILE": files / "gateway.crt",
        "KEY_FILE": files / "gateway.key",
    }
    environ = {f"JOULEGATE_MQTT_{name}": str(value) for name, value in given.items()}
    ran = joulegate(database_url, "simulate", "--devices", "2", "--backfill", "5m", **environ)
    assert ran.returncode == 0, ran.stderr
    assert "mosquitto version" in joulegate(database_url, "doctor", "--gateway", "none", **environ).stdout
    del environ["JOULEGATE_MQTT_CERT_FILE"], environ["JOULEGATE_MQTT_KEY_FILE"]
    for command in (["simulate", "--devices", "2", "--backfill", "5m"], ["doctor", "--gateway", "none"]):
        refused = joulegate(database_url, *command, **environ)
        assert refused.returncode == 1
        assert "wants a client certificate" in refused.stdout + refused.stderr
        assert "Traceback" not in refused.stderr


def test_keys_are_private_and_a_certificate_is_replaced_only_when_asked(tmp_path: Path) -> None:
    authority(tmp_path / "ca")
    for name in ("ca", "server", "gateway"):
        assert (tmp_path / "ca" / f"{name}.key").stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "ca" / f"{name}.crt").stat().st_mode & 0o777 == 0o644
    before = (tmp_path / "ca" / "server.crt").read_text()
    again = certificates("server", tmp_path / "ca", "localhost")
    assert (again.returncode, again.stderr) == (
        1,
        f"certificates: {tmp_path}/ca/server.crt exists: --force replaces it\n",
    )
    assert certificates("--force", "server", tmp_path / "ca", "localhost").returncode == 0
    assert (tmp_path / "ca" / "server.crt").read_text() != before
    context = ssl.create_default_context(cafile=tmp_path / "ca" / "ca.crt")
    context.load_cert_chain(tmp_path / "ca" / "server.crt", tmp_path / "ca" / "server.key")
    assert not list((tmp_path / "ca").glob(".new*"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("server", "DIR", "a b"), "not a host name"),
        (("server", "DIR", "a,IP:1.2.3.4"), "not a host name"),
        (("client", "DIR", "ca"), "the name of another certificate"),
        (("client", "DIR", "a/b"), "may hold only"),
        (("--days", "x", "client", "DIR", "a"), "not a number of days"),
        (("client", "EMPTY", "a"), "no authority in"),
    ],
)
def test_the_helper_refuses(made: Path, tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    places = {"DIR": made / "good", "EMPTY": tmp_path}
    refused = certificates(*(places.get(word, word) for word in arguments))
    assert refused.returncode == 1
    assert refused.stderr.startswith("certificates: ")
    assert says in refused.stderr
