"""A private MQTT broker: mosquitto where it is installed, else the one that comes in a wheel (rumqttd)."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

from joulegate_cli.local.ports import free_port, is_listening
from joulegate_core.errors import JoulegateError, PortTakenError

START_SECONDS = 15.0
STOP_SECONDS = 10.0

MOSQUITTO_CONF = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence {persistence}
persistence_location {directory}/
autosave_interval 60
max_queued_messages 0
max_inflight_messages 0
message_size_limit 65536
{extra}
"""

# rumqttd speaks MQTT 5 only on a [v5] listener, and keeps at most 100 messages in flight
RUMQTTD_TOML = """\
id = 0
[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "v5-1"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 65536
max_inflight_count = 100
dynamic_filters = true
"""

RUMQTTD_GATEWAY = {"JOULEGATE_RECEIVE_MAXIMUM": "100", "JOULEGATE_SUBSCRIBE": "new-session"}


class LocalBrokerError(JoulegateError):
    """The private broker could not be started."""


def find_mosquitto() -> str | None:
    """The path of mosquitto; Debian puts it where a user's PATH does not look."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class LocalBroker:
    """A broker on 127.0.0.1 that lets everyone in, started and stopped by this process.

    Args:
        directory: for configuration, log and persistence; created when it is missing.
        port: a free one by default.
        kind: mosquitto when it is installed, by default.
        persistence: whether mosquitto keeps sessions over a restart; rumqttd keeps none.
        extra: further lines for mosquitto.conf.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        kind: Literal["mosquitto", "rumqttd"] | None = None,
        persistence: bool = True,
        extra: str = "",
    ) -> None:
        self.port = port or free_port()
        self.kind = kind or ("mosquitto" if find_mosquitto() else "rumqttd")
        self._directory = directory.resolve()
        self._persistence = persistence
        self._extra = extra
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For JOULEGATE_MQTT_URL."""
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def gateway_settings(self) -> dict[str, str]:
        """What a gateway must be told to live with this broker."""
        return RUMQTTD_GATEWAY if self.kind == "rumqttd" else {}

    @property
    def pid(self) -> int | None:
        """The broker's process id, None when it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def prepare(self) -> list[str]:
        """Writes the configuration and returns the command that runs the broker in the foreground, for a supervisor."""
        self._directory.mkdir(parents=True, exist_ok=True)
        return self._mosquitto() if self.kind == "mosquitto" else self._rumqttd()

    def start(self) -> "LocalBroker":
        """Starts the broker and waits until it accepts connections.

        Raises:
            PortTakenError: something else listens on the port.
            LocalBrokerError: it does not start; the message holds the last lines of its log.
        """
        if is_listening(self.port):
            raise PortTakenError(
                f"port {self.port} is in use: the broker cannot listen there. Choose another MQTT port"
            )
        command = self.prepare()
        log = self._directory / "broker.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not is_listening(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise LocalBrokerError(f"{self.kind} did not start: {log.read_text(errors='replace')[-600:]}")
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        """Stops the broker in order; mosquitto then saves its sessions."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """Ends the broker as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _mosquitto(self) -> list[str]:
        extra = self._extra + ("\nuser root" if os.geteuid() == 0 else "")
        text = MOSQUITTO_CONF.format(
            port=self.port, directory=self._directory, persistence=str(self._persistence).lower(), extra=extra
        )
        path = self._directory / "mosquitto.conf"
        path.write_text(text)
        return [find_mosquitto() or "mosquitto", "-c", str(path)]

    def _rumqttd(self) -> list[str]:
        path = self._directory / "rumqttd.toml"
        path.write_text(RUMQTTD_TOML.format(port=self.port))
        return [sys.executable, "-m", "iotcore", "--config", str(path)]
