"""What `up` runs: the services as descriptions, with the ports, directories and settings that make them find each other."""

import ipaddress
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import asyncpg
import msgspec

from joulegate_cli.local.broker import LocalBroker
from joulegate_cli.local.ports import is_listening
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_cli.up.ports import WantedPort
from joulegate_cli.up.probe import Endpoint
from joulegate_cli.up.supervisor import Service
from joulegate_core.broker import BrokerAddress, parse_broker_url
from joulegate_core.errors import SettingsError
from joulegate_core.exposure import tokens_for_listening
from joulegate_core.settings import Settings
from joulegate_core.tokens import hashed_entry, make_token

PROGRAM = (sys.executable, "-P", "-c", "from joulegate_cli.main import main; main()")
DATABASE = "joulegate"
DEFAULT_MQTT_PORT = 1883
SIMULATED_INTERVAL_SECONDS = 5
"""A device sends a reading a minute; for a demonstration that is a long wait."""

POSTGRES_OPTIONS = {
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",  # fewer checkpoints, hence fewer full-page writes
    "max_connections": "50",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says. `devices` are simulated meter-vehicle pairs, 0 for none."""

    directory: Path
    devices: int
    mqtt_port: int | None = None


class Stack:
    """The services of one `up`, in `options.directory`.

    Args:
        settings: those of `environ`, checked.
        environ: what the services inherit; the broker and the database are ours, whatever it says.

    Raises:
        SettingsError: the gateway's metrics port is turned off, or HTTP would be open to others without tokens.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str], options: Options) -> None:
        if not settings.metrics_port:
            raise SettingsError(
                "JOULEGATE_METRICS_PORT is 0, but `joulegate up` asks the gateway there whether it is ready: set another port"
            )
        self.devices = options.devices
        self.directory = options.directory
        self.logs = options.directory / "logs"
        self._tokens = settings.api_tokens
        self.http = Endpoint(
            settings.http_host, settings.http_port, make_token() if tokens_for_listening(settings) else ""
        )
        self.gateway = Endpoint(settings.metrics_host, settings.metrics_port)
        self.postgres = LocalPostgres(options.directory / "postgres", options=POSTGRES_OPTIONS)
        self.broker = LocalBroker(options.directory / "broker", port=options.mqtt_port or _mqtt_port(settings))
        self._environ = environ

    @property
    def ports(self) -> list[WantedPort]:
        """The ports that must be free."""
        mqtt = "--mqtt-port {port}, or JOULEGATE_MQTT_URL=mqtt://127.0.0.1:{port}"
        return [
            WantedPort("the MQTT broker", "127.0.0.1", self.broker.port, mqtt),
            WantedPort("HTTP", self.http.host, self.http.port, "JOULEGATE_HTTP_PORT={port}"),
            WantedPort("the gateway's metrics", self.gateway.host, self.gateway.port, "JOULEGATE_METRICS_PORT={port}"),
        ]

    @property
    def ignored_settings(self) -> list[str]:
        """Names of settings that are set and have no effect here."""
        names = [name for name in ("JOULEGATE_DATABASE_URL", "JOULEGATE_READ_DATABASE_URL") if self._environ.get(name)]
        url = self._environ.get("JOULEGATE_MQTT_URL")
        return names if url is None or _is_ours(parse_broker_url(url)) else [*names, "JOULEGATE_MQTT_URL"]

    def postgres_service(self) -> Service:
        """The database server; blocks while its data directory is created, the first time."""
        return Service(
            name="postgres",
            command=tuple(self.postgres.prepare()),
            environ=self._environ,
            ready=self._postgres_is_ready,
            stop_signal=signal.SIGINT,
            end_signal=signal.SIGQUIT,
            stop_seconds=30,
        )

    def broker_service(self) -> Service:
        """The broker."""
        return Service(
            name="broker", command=tuple(self.broker.prepare()), environ=self._environ, ready=self._broker_is_ready
        )

    def http_service(self) -> Service:
        """The HTTP sidecar. Where it asks for tokens it knows one more, of this run's own: the others may be known by their hash only."""
        if not self.http.token:
            return self._own_service("http", "http", ready=self.http)
        entry = hashed_entry("joulegate-up", "read", self.http.token)
        return self._own_service(
            "http", "http", ready=self.http, settings={"JOULEGATE_API_TOKENS": f"{self._tokens},{entry}"}
        )

    def gateway_service(self) -> Service:
        """The gateway; it may take 15 s to commit and acknowledge what it has taken."""
        return self._own_service(
            "gateway", "gateway", ready=self.gateway, stop_seconds=20, settings=self.broker.gateway_settings
        )

    def simulator_service(self) -> Service:
        """A fleet that publishes."""
        fleet = ("--devices", str(self.devices), "--interval", str(SIMULATED_INTERVAL_SECONDS), "--quiet")
        return self._own_service("simulator", "simulate", *fleet)

    def _own_service(
        self,
        name: str,
        *arguments: str,
        ready: Endpoint | None = None,
        stop_seconds: float = 10,
        settings: Mapping[str, str] | None = None,
    ) -> Service:
        environ = dict(self._environ) | {
            "JOULEGATE_MQTT_URL": self.broker.url,
            "JOULEGATE_DATABASE_URL": self.postgres.url(DATABASE),
            "JOULEGATE_READ_DATABASE_URL": "",
            "JOULEGATE_LOG": "json",
            "PYTHONUNBUFFERED": "1",
            **(settings or {}),
        }
        return Service(
            name=name,
            command=(*PROGRAM, *arguments),
            environ=environ,
            ready=None if ready is None else ready.is_ready,
            stop_seconds=stop_seconds,
        )

    async def _postgres_is_ready(self) -> bool:
        try:
            connection = await asyncpg.connect(self.postgres.url(), timeout=2)
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return False
        await connection.close()
        return True

    async def _broker_is_ready(self) -> bool:
        return is_listening(self.broker.port)


def _mqtt_port(settings: Settings) -> int:
    address = parse_broker_url(settings.mqtt_url)
    return address.port if _is_ours(address) else DEFAULT_MQTT_PORT


def _is_ours(address: BrokerAddress) -> bool:
    """Whether the broker of `up`, which listens on the loopback interface without TLS, can stand at `address`."""
    if address.tls:
        return False
    try:
        return ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        return address.host == "localhost"
