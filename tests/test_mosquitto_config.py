"""The shipped mosquitto/ folder on a real broker: who may do what, what waits while the gateway is away, and the password helpers."""

import asyncio
import contextlib
import getpass
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import msgspec
import pytest
import yaml  # type: ignore[import-untyped]

from joulegate_cli.local.ports import free_port, is_listening
from joulegate_core.settings import Settings
from joulegate_core.telemetry import MAX_PACKET_BYTES

SHIPPED = Path(__file__).parent.parent / "mosquitto"
COMPOSE = SHIPPED.parent / "docker-compose.yml"
PATH = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"
NEEDED = ("mosquitto", "mosquitto_pub", "mosquitto_sub", "mosquitto_passwd")
MISSING = [name for name in NEEDED if shutil.which(name, path=PATH) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

GATEWAY_PASSWORD = "gateway-password-of-this-test"
SIMULATOR_PASSWORD = "simulator-password-of-this-test"
NOT_AUTHORIZED = 135
"""MQTT 5 reason code 0x87; mosquitto_pub exits with the reason code of a refused connection."""

ONE_HOUR = 2 * 10_000 * 60
"""Messages that 10,000 meters and 10,000 vehicles publish in an hour, one a minute each."""


class ShippedBroker:
    """The shipped configuration, started by the shipped entrypoint.sh; only its paths, port and user are this test's."""

    def __init__(self, home: Path, environ: dict[str, str] | None = None) -> None:
        self.port = free_port()
        self.config, self.data, self.log = home / "config", home / "data", home / "log"
        self.passwords = self.data / "passwd"
        self.data.mkdir()
        shutil.copytree(SHIPPED, self.config)
        conf = (SHIPPED / "mosquitto.conf").read_text()
        for shipped, ours in (
            ("listener 1883", f"listener {self.port} 127.0.0.1"),
            ("/mosquitto/data", str(self.data)),
        ):
            assert shipped in conf
            conf = conf.replace(shipped, ours)
        (self.config / "mosquitto.conf").write_text(f"{conf}\nuser {getpass.getuser()}\n")
        self.environ = {
            "PATH": PATH,
            "MOSQUITTO_CONFIG_DIR": str(self.config),
            "MOSQUITTO_DATA_DIR": str(self.data),
            "MOSQUITTO_HEALTH_DIR": str(home / "health"),
            "MQTT_GATEWAY_PASSWORD": GATEWAY_PASSWORD,
            "MQTT_SIMULATOR_PASSWORD": SIMULATOR_PASSWORD,
            **(environ or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts mosquitto and waits until it listens."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["sh", str(self.config / "entrypoint.sh")], env=self.environ, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            if is_listening(self.port):
                return
            time.sleep(0.02)
        pytest.fail(f"mosquitto did not start: {self.log.read_text()}")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=30)

    def client(self, command: str, user: str | None, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Runs mosquitto_pub or mosquitto_sub as `user`, whose password is the service's or `USER-password`."""
        known = {"gateway": GATEWAY_PASSWORD, "simulator": SIMULATOR_PASSWORD}
        login = () if user is None else ("-u", user, "-P", known.get(user, f"{user}-password"))
        return subprocess.run(
            [command, "-h", "127.0.0.1", "-p", str(self.port), "-q", "1", *login, *args],
            input=stdin, capture_output=True, text=True, timeout=60, check=False, env={"PATH": PATH},
        )  # fmt: skip

    def publish(self, user: str | None, topic: str, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return self.client("mosquitto_pub", user, "-V", "5", "-t", topic, *args, stdin=stdin)

    def session(self, client_id: str, *filters: str, collect: int = 0) -> list[str]:
        """Resumes (or makes) the gateway's persistent session and returns `collect` of its messages as "TOPIC PAYLOAD"."""
        until = ("-C", str(collect), "-W", "30") if collect else ("-E",)
        subscriptions = [word for topic in filters or ("unused",) for word in ("-t", topic)]
        options = ("-V", "5", "-c", "-x", "3600", "-i", client_id, "-v", *subscriptions, *until)
        done = self.client("mosquitto_sub", "gateway", *options)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def add_device(self, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        pid = ("--pid", str(self.process.pid)) if self.process else ()
        command = ["sh", str(self.config / "add-device"), "--file", str(self.passwords), *pid, *args]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, env={"PATH": PATH})


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShippedBroker]:
    """One broker with the devices cp-1 and cp-2 for all tests that leave it as it was."""
    made = ShippedBroker(tmp_path_factory.mktemp("mosquitto"))
    for name in ("cp-1", "cp-2"):
        assert made.add_device("--password-stdin", name, stdin=f"{name}-password\n").returncode == 0
    made.start()
    yield made
    made.stop()


@pytest.fixture
def own_shipped(tmp_path: Path) -> Iterator[ShippedBroker]:
    """A broker that a test may restart and change."""
    made = ShippedBroker(tmp_path)
    made.start()
    yield made
    made.stop()


def test_limits_hold_an_hour_and_agree_with_the_gateway() -> None:
    lines = [line.split() for line in (SHIPPED / "mosquitto.conf").read_text().splitlines()]
    conf = {line[0]: line[-1] for line in lines if line and not line[0].startswith("#")}
    assert int(conf["max_queued_messages"]) > 1.5 * ONE_HOUR
    assert int(conf["max_queued_bytes"]) > 1.5 * ONE_HOUR * 117, "an hour of the longer reading, the vehicle's"
    assert int(conf["max_packet_size"]) + len("fleet/" + 64 * "x" + "/vehicle") < MAX_PACKET_BYTES
    expiry = next(field for field in msgspec.structs.fields(Settings) if field.name == "session_expiry_seconds")
    assert conf["persistent_client_expiration"][-1] == "d"
    assert int(conf["persistent_client_expiration"][:-1]) * 86_400 > expiry.default


@pytest.mark.parametrize("login", [(), ("-u", "cp-1", "-P", "wrong"), ("-u", "nobody", "-P", "cp-1-password")])
def test_a_stranger_is_refused(shipped: ShippedBroker, login: tuple[str, ...]) -> None:
    assert shipped.publish(None, "fleet/cp-1/meter", "-m", "x", *login).returncode == NOT_AUTHORIZED


def test_a_device_writes_under_its_own_charge_point_only(shipped: ShippedBroker) -> None:
    shipped.session("acl", "fleet/+/meter", "fleet/+/vehicle")
    allowed = ["fleet/cp-1/meter", "fleet/cp-1/vehicle"]
    refused = ["fleet/cp-2/meter", "fleet/cp-2/vehicle", "fleet/cp-1/other", "fleet/cp-1/meter/x", "other"]
    for topic in allowed + refused:
        done = shipped.publish("cp-1", topic, "-m", "from-cp-1")
        assert ("Not authorized" in done.stderr) == (topic in refused), done.stderr
    shipped.publish("cp-2", "fleet/cp-2/meter", "-m", "last")
    expected = [f"{topic} from-cp-1" for topic in allowed] + ["fleet/cp-2/meter last"]
    assert shipped.session("acl", collect=3) == expected


def test_a_device_reads_nothing(shipped: ShippedBroker) -> None:
    shipped.publish("cp-1", "fleet/cp-1/meter", "-m", "kept", "-r")
    got = shipped.client("mosquitto_sub", "cp-1", "-t", "#", "-t", "fleet/+/meter", "-t", "$SYS/#", "-W", "1")
    assert got.stdout == ""
    seen = shipped.client("mosquitto_sub", "gateway", "-t", "fleet/+/meter", "-C", "1", "-W", "10")
    shipped.publish("cp-1", "fleet/cp-1/meter", "-n", "-r")
    assert seen.stdout == "kept\n"


def test_the_gateway_may_share_its_subscription(shipped: ShippedBroker) -> None:
    shared = ("$share/g/fleet/+/meter", "$share/g/fleet/+/vehicle")
    shipped.session("shared", *shared)
    shipped.publish("simulator", "fleet/cp-9/meter", "-m", "m")
    shipped.publish("simulator", "fleet/cp-9/vehicle", "-m", "v")
    assert shipped.session("shared", *shared, collect=2) == ["fleet/cp-9/meter m", "fleet/cp-9/vehicle v"]


def test_the_gateway_does_not_publish_for_others(shipped: ShippedBroker) -> None:
    assert "Not authorized" in shipped.publish("gateway", "fleet/cp-1/meter", "-m", "x").stderr


async def test_in_flight_is_bounded_by_the_receive_maximum_alone(shipped: ShippedBroker) -> None:
    """mosquitto's own default would stop at 20 for a gateway that has not acknowledged yet."""
    shipped.session("in-flight", "fleet/+/vehicle")
    shipped.publish("simulator", "fleet/cp-5/vehicle", "-l", stdin="x\n" * 500)
    client = aiomqtt.Client(
        hostname="127.0.0.1", port=shipped.port, username="gateway", password=GATEWAY_PASSWORD.encode(),
        identifier="in-flight", session_expiry_interval=0, receive_max=400,
    )  # fmt: skip
    unsettled = 0
    async with client:
        assert (await client.connected()).receive_max == 65_535, "a publisher may have as many in flight"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20) as limit:
                async for _ in client.messages():
                    unsettled += 1
                    if unsettled == 400:
                        limit.reschedule(asyncio.get_running_loop().time() + 0.5)
    assert unsettled == 400


@pytest.mark.parametrize("size", [40 * 1024, 65_200])
def test_what_the_broker_accepts_fits_the_gateway(shipped: ShippedBroker, tmp_path: Path, size: int) -> None:
    payload = tmp_path / "payload"
    payload.write_text("x" * size)
    limit = ("-D", "connect", "maximum-packet-size", str(MAX_PACKET_BYTES))
    shipped.session("sizes", "fleet/+/meter")
    assert shipped.publish("cp-1", "fleet/cp-1/meter", "-f", str(payload)).returncode == 0
    got = shipped.client(
        "mosquitto_sub", "gateway", "-V", "5", "-c", "-i", "sizes", "-t", "unused", "-C", "1", "-W", "10", *limit
    )
    assert len(got.stdout.rstrip("\n")) == size


def test_a_packet_over_the_limit_is_not_acknowledged(shipped: ShippedBroker) -> None:
    """An MQTT 3.1.1 device that is acknowledged believes that its reading has arrived."""

    def text(value: str) -> bytes:
        return len(value).to_bytes(2) + value.encode()

    def packet(kind: int, body: bytes) -> bytes:
        return bytes([kind, len(body) & 127 | 128, len(body) >> 7 & 127 | 128, len(body) >> 14]) + body

    with socket.create_connection(("127.0.0.1", shipped.port), timeout=10) as device:
        login = text("MQTT") + b"\x04\xc2\x00\x3c" + text("oversize") + text("cp-1") + text("cp-1-password")
        device.sendall(packet(0x10, login))
        assert device.recv(4) == b"\x20\x02\x00\x00"
        with contextlib.suppress(ConnectionError):
            device.sendall(packet(0x32, text("fleet/cp-1/meter") + b"\x00\x01" + bytes(65_280)))
            assert device.recv(4) == b""


def test_the_queue_of_an_absent_gateway_outgrows_the_default_and_survives_a_restart(own_shipped: ShippedBroker) -> None:
    broker, count = own_shipped, 6_000
    broker.session("joulegate", "fleet/+/meter")
    numbers = "".join(f"{number}\n" for number in range(count))
    assert broker.publish("simulator", "fleet/cp-1/meter", "-l", stdin=numbers).returncode == 0
    broker.stop()
    broker.start()
    expected = [f"fleet/cp-1/meter {number}" for number in range(count)]
    assert broker.session("joulegate", collect=count) == expected


def test_a_device_is_added_to_and_removed_from_a_running_broker(own_shipped: ShippedBroker) -> None:
    broker = own_shipped
    issued = broker.add_device("cp-7", "cp-8")
    logins = dict(line.split(" ") for line in issued.stdout.splitlines())
    assert set(logins) == {"cp-7", "cp-8"}
    assert all(re.fullmatch("[0-9a-f]{32}", password) for password in logins.values())
    assert not any(password in broker.passwords.read_text() for password in logins.values())
    login = ("-u", "cp-7", "-P", logins["cp-7"])
    assert broker.publish(None, "fleet/cp-7/meter", "-m", "x", *login).returncode == 0
    broker.stop()
    broker.start()
    assert broker.publish(None, "fleet/cp-7/meter", "-m", "x", *login).returncode == 0, "kept over a restart"
    assert broker.add_device("--remove", "cp-7").returncode == 0
    assert broker.publish(None, "fleet/cp-7/meter", "-m", "x", *login).returncode == NOT_AUTHORIZED
    assert "cp-7 has no credentials" in broker.add_device("--remove", "cp-7").stderr


async def test_a_connected_device_is_out_when_it_is_revoked_and_all_others_stay(own_shipped: ShippedBroker) -> None:
    broker = own_shipped
    issued = broker.add_device("cp-7", "cp-8")
    logins = dict(line.split(" ") for line in issued.stdout.splitlines())
    revoked, stays = (
        aiomqtt.Client(
            hostname="127.0.0.1", port=broker.port, identifier=f"client-of-{name}", username=name,
            password=logins[name].encode(), clean_start=True,
        )
        for name in ("cp-7", "cp-8")
    )  # fmt: skip
    await revoked.__aenter__()
    async with stays:
        assert broker.add_device("--remove", "cp-7").returncode == 0
        async with asyncio.timeout(10):
            await revoked.disconnected()
        await stays.publish("fleet/cp-8/meter", b"x", qos=aiomqtt.QoS.AT_LEAST_ONCE, packet_id=1)


def test_ten_thousand_devices_are_issued_in_seconds(tmp_path: Path) -> None:
    names = [f"cp-{number}" for number in range(10_000)]
    command = ["xargs", "sh", str(SHIPPED / "add-device"), "--file", str(tmp_path / "passwd")]
    issued = subprocess.run(
        command, input="\n".join(names), capture_output=True, text=True, check=True, timeout=60, env={"PATH": PATH}
    )
    logins = dict(line.split(" ") for line in issued.stdout.splitlines())
    assert list(logins) == names
    assert len(set(logins.values())) == len(names)
    assert len((tmp_path / "passwd").read_text().splitlines()) == len(names)


@pytest.mark.parametrize("name", ["gateway", "simulator", "healthcheck", "a:b", "a/b", "+", "#", "a b", "x" * 65, ""])
def test_a_name_that_is_no_charge_point_of_a_device_is_refused(tmp_path: Path, name: str) -> None:
    broker = ShippedBroker(tmp_path)
    refused = broker.add_device(name)
    assert refused.returncode == 1
    assert refused.stderr.startswith("add-device: ")
    assert not broker.passwords.exists()


@pytest.mark.parametrize("password", ["cut:here", " trimmed", "", "ümlaut"])
def test_a_password_that_mosquitto_would_change_is_refused(tmp_path: Path, password: str) -> None:
    broker = ShippedBroker(tmp_path)
    refused = broker.add_device("--password-stdin", "cp-1", stdin=f"{password}\n")
    assert refused.returncode == 1
    assert "password" in refused.stderr
    assert not password.strip() or password.strip() not in refused.stderr


def test_devices_added_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    broker = ShippedBroker(tmp_path)
    command = ["sh", str(broker.config / "add-device"), "--file", str(broker.passwords)]
    names = [f"cp-{number}" for number in range(8)]
    running = [subprocess.Popen([*command, name], env={"PATH": PATH}, stdout=subprocess.DEVNULL) for name in names]
    assert [process.wait(30) for process in running] == [0] * 8
    assert sorted(line.split(":")[0] for line in broker.passwords.read_text().splitlines()) == names
    assert broker.passwords.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"MQTT_GATEWAY_PASSWORD": ""}, "MQTT_GATEWAY_PASSWORD must have at least 16 characters"),
        ({"MQTT_SIMULATOR_PASSWORD": "too-short"}, "MQTT_SIMULATOR_PASSWORD must have at least 16 characters"),
        ({"MQTT_GATEWAY_PASSWORD": "needs/escaping@in-a-url"}, "MQTT_GATEWAY_PASSWORD may hold only"),
    ],
)
def test_the_container_does_not_start_with_a_bad_secret(tmp_path: Path, environ: dict[str, str], says: str) -> None:
    broker = ShippedBroker(tmp_path, environ)
    command = ["sh", str(broker.config / "entrypoint.sh")]
    refused = subprocess.run(command, env=broker.environ, capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"entrypoint: {says}")
    assert not broker.passwords.exists()


def test_no_simulator_user_without_its_password(tmp_path: Path) -> None:
    broker = ShippedBroker(tmp_path, {"MQTT_SIMULATOR_PASSWORD": ""})
    broker.start()
    try:
        assert broker.publish("simulator", "fleet/cp-1/meter", "-m", "x").returncode == NOT_AUTHORIZED
    finally:
        broker.stop()


def test_no_secret_shows_in_the_broker_process(shipped: ShippedBroker) -> None:
    assert shipped.process is not None
    process = Path(f"/proc/{shipped.process.pid}")
    shown = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
    assert b"mosquitto.conf" in shown, "mosquitto has replaced the script"
    assert GATEWAY_PASSWORD.encode() not in shown
    assert SIMULATOR_PASSWORD.encode() not in shown


def test_the_container_is_healthy_while_mosquitto_answers(own_shipped: ShippedBroker) -> None:
    broker = own_shipped
    kind, command = yaml.safe_load(COMPOSE.read_text())["services"]["mosquitto"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    assert "/tmp/health" in command
    command = command.replace("/tmp/health", broker.environ["MOSQUITTO_HEALTH_DIR"]).replace("$$", "$")
    check = ["sh", "-c", command]
    assert subprocess.run(check, env={"PATH": PATH}, capture_output=True, check=False).returncode == 0
    broker.stop()
    assert subprocess.run(check, env={"PATH": PATH}, capture_output=True, check=False).returncode != 0
