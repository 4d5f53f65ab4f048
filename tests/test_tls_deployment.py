"""docker-compose.tls.yml and the shipped broker's TLS listener."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from joulegate_cli.local.ports import free_port, is_listening
from test_deployment import compose_command, environment_file
from test_mosquitto_config import MISSING, NOT_AUTHORIZED, ShippedBroker
from tls_support import authority

ROOT = Path(__file__).parent.parent
__all__ = ["environment_file"]  # a fixture


def test_compose_accepts_it_and_gateway_and_simulator_use_tls(environment_file: Path) -> None:
    files = ("-f", "docker-compose.yml", "-f", "docker-compose.tls.yml")
    command = [*compose_command(), "--env-file", str(environment_file), *files, "--profile", "simulator", "config"]
    clean = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    for name in ("gateway", "simulator"):
        environment = services[name]["environment"]
        assert environment["JOULEGATE_MQTT_URL"].startswith(f"mqtts://{name}:")
        assert environment["JOULEGATE_MQTT_CA_FILE"] == "/tls/ca.crt"
        assert "/tls" in str(services[name]["volumes"])
    assert "8883" in str(services["mosquitto"]["ports"])


@pytest.mark.skipif(bool(MISSING), reason="mosquitto or its clients are not installed")
def test_the_shipped_broker_asks_for_password_and_certificate(tmp_path: Path) -> None:
    files, port = authority(tmp_path / "files"), free_port()
    broker = ShippedBroker(tmp_path, {"MQTT_TLS_DIR": str(files), "MQTT_TLS_CLIENTS": "required"})
    for name in ("tls.conf", "tls-mutual.conf"):
        text = (broker.config / name).read_text()
        shipped = text.replace("/mosquitto/tls", str(files)).replace("listener 8883", f"listener {port} 127.0.0.1")
        assert shipped != text
        (broker.config / name).write_text(shipped)
    broker.start()
    try:
        assert is_listening(port)
        trust = ("-h", "localhost", "-p", str(port), "--cafile", str(files / "ca.crt"))
        ours = ("--cert", str(files / "gateway.crt"), "--key", str(files / "gateway.key"))
        topic = ("fleet/cp-1/meter", "-m", "x")
        assert broker.publish("simulator", *topic, *trust, *ours).returncode == 0
        assert broker.publish(None, *topic, *trust, *ours).returncode == NOT_AUTHORIZED, "a certificate is no password"
        assert broker.publish("simulator", *topic, *trust).returncode not in {0, NOT_AUTHORIZED}, "nor the reverse"
    finally:
        broker.stop()


def test_the_container_does_not_start_without_its_certificates(tmp_path: Path) -> None:
    for environ, says in (
        ({"MQTT_TLS_DIR": str(tmp_path / "none")}, "none/server.crt cannot be read by user"),
        ({"MQTT_TLS_DIR": str(tmp_path), "MQTT_TLS_CLIENTS": "maybe"}, "MQTT_TLS_CLIENTS is required or optional"),
    ):
        home = tmp_path / says[:4].strip("/")
        home.mkdir()
        broker = ShippedBroker(home, environ)
        command = ["sh", str(broker.config / "entrypoint.sh")]
        refused = subprocess.run(command, env=broker.environ, capture_output=True, text=True, timeout=30, check=False)
        assert refused.returncode == 1
        assert says in refused.stderr
