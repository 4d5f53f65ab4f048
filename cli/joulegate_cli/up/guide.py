"""What `up` prints to be opened and pasted. Every line holds on any width: nothing wraps or colours it."""

import http.client
import json
import shutil

from joulegate_cli.local.broker import LocalBroker
from joulegate_cli.up.answers import PERFORMANCE_PATH
from joulegate_cli.up.probe import Endpoint

PAGES = {"/": "dashboard", "/docs": "API", "/healthz": "health", "/metrics": "metrics"}
CHARGE_POINT, METER, VEHICLE = "cp-x", "m-x", "v-x"
NOW = "$(date -u +%Y-%m-%dT%H:%M:%SZ)"


async def guide(
    http_endpoint: Endpoint, gateway: Endpoint, broker: LocalBroker, vehicle: str | None, database_url: str
) -> list[str]:
    """The lines to print once everything runs. `vehicle`: one that has an answer, None without a simulated fleet."""
    with_token = '-H "Authorization: Bearer $TOKEN" ' if http_endpoint.token else ""
    ask = f"curl {with_token}{http_endpoint.url}{PERFORMANCE_PATH}"
    lines = ["", *await _pages(http_endpoint), f"  {'gateway':<10} {gateway.url}/metrics", ""]
    if with_token:
        lines += ["HTTP asks for a token: let TOKEN be one of JOULEGATE_API_TOKENS.", ""]
    if vehicle is not None:
        lines += ["Ask for a vehicle's efficiency:", "", f"{ask}{vehicle}", ""]
    lines += [
        "Publish a meter's and a vehicle's reading of your own, at one charge point, and ask for the vehicle:",
        "",
    ]
    lines += publish_commands(broker)
    # one bare curl line, whatever the mode: scripts look for it
    lines += ["sleep 1", f"{ask}{VEHICLE}", ""] if vehicle is None else [f"sleep 1; {ask}{VEHICLE}", ""]
    lines += [
        "For psql, and for joulegate's own commands (links, quarantine, archive, doctor and so on) in another terminal:",
        "",
        f"export JOULEGATE_DATABASE_URL='{database_url}'",
        "",
    ]
    if shutil.which("mosquitto_pub") is None:
        lines += ["(mosquitto_pub is not installed here: it comes with mosquitto-clients; any MQTT client will do)", ""]
    return lines


def publish_commands(broker: LocalBroker) -> list[str]:
    """Two commands for a shell, of one reading each, measured when they are run."""
    meter = {"meterId": METER, "kwhConsumedAc": 1.0, "voltage": 230.1, "timestamp": NOW}
    vehicle = {"vehicleId": VEHICLE, "soc": 55.5, "kwhDeliveredDc": 0.91, "batteryTemp": 31.2, "timestamp": NOW}
    return [_publish(broker, "meter", meter), _publish(broker, "vehicle", vehicle)]


def _publish(broker: LocalBroker, stream: str, reading: dict[str, object]) -> str:
    payload = json.dumps(reading, separators=(",", ":")).replace('"', '\\"')  # in double quotes, for $(date) to work
    version = " -V mqttv5" if broker.kind == "rumqttd" else ""  # which speaks nothing older
    return f'mosquitto_pub -h 127.0.0.1 -p {broker.port}{version} -q 1 -t fleet/{CHARGE_POINT}/{stream} -m "{payload}"'


async def _pages(http_endpoint: Endpoint) -> list[str]:
    """The pages that are there."""
    there = [path for path in PAGES if (await http_endpoint.get(path))[0] == http.client.OK]
    return [f"  {PAGES[path]:<10} {http_endpoint.url}{path}" for path in there]
