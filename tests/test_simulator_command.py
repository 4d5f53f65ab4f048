"""`joulegate simulate`, as a user runs it."""

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from joulegate_cli.commands import command_line
from joulegate_cli.local.broker import LocalBroker
from joulegate_cli.local.ports import free_port
from joulegate_cli.simulate import parse_seconds
from simulator_support import Mailbox, mosquitto

COMMAND = [sys.executable, "-c", "from joulegate_cli.main import main; main()", "simulate"]
SUMMARY = re.compile(
    r"simulated ([\d,]+) meters and ([\d,]+) vehicles for [\d.]+ s: "
    r"([\d,]+) readings published, ([\d,]+) acknowledged, [\d,.]+/s\n"
)


def environ(url: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOULEGATE_")}
    return kept | {"JOULEGATE_MQTT_URL": url}


def simulate(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *options], env=environ(url), capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_cleanly_with_a_summary(broker: LocalBroker, signum: signal.Signals) -> None:
    mailbox = Mailbox(broker, "fleet/cp-00020/+")
    await mailbox.open()
    process = subprocess.Popen(
        [*COMMAND, "--devices", "20", "--interval", "0.2"],
        env=environ(broker.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        await mailbox.collect(6)
        process.send_signal(signum)
        output, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, errors) == (0, "")
    summary = SUMMARY.fullmatch(output)
    assert summary is not None, output
    assert summary[1] == summary[2] == "20"
    assert int(summary[3]) == int(summary[4]) >= 100


def test_a_duration_ends_it(broker: LocalBroker) -> None:
    done = simulate(broker.url, "--devices", "1000", "--interval", "1s", "--duration", "1", "--connections", "2")
    assert (done.returncode, done.stderr) == (0, "")
    summary = SUMMARY.fullmatch(done.stdout)
    assert summary is not None, done.stdout
    assert summary.groups() == ("1,000", "1,000", "2,000", "2,000")


def test_the_count_is_live_on_a_terminal_unless_it_is_to_be_quiet(broker: LocalBroker) -> None:
    for quiet in (False, True):
        terminal, far_end = pty.openpty()
        try:
            options = ["--devices", "10", "--interval", "0.1", "--duration", "1", *(["--quiet"] if quiet else [])]
            environment = environ(broker.url) | {"TERM": "xterm", "COLUMNS": "120"}
            done = subprocess.run(
                [*COMMAND, *options], env=environment, stdout=subprocess.PIPE, stderr=far_end, timeout=60, check=True
            )
            os.write(far_end, b"end")
            shown = os.read(terminal, 65536)
        finally:
            os.close(terminal)
            os.close(far_end)
        assert done.stdout.count(b"\n") == 1
        assert all(part in shown for part in (b"acknowledged", b"charging", b"faults on")) is not quiet
        assert (shown == b"end") is quiet


def test_what_the_broker_refuses_makes_it_fail(tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("topic write fleet/cp-00001/#\n")
    with mosquitto(tmp_path / "broker", f"acl_file {tmp_path / 'acl'}") as broker:
        done = simulate(broker.url, "--devices", "2", "--interval", "1", "--duration", "1")
    assert done.returncode == 1
    assert "4 readings published, 2 acknowledged, 2 refused (not authorized)" in done.stdout


def test_a_broker_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    port = free_port()
    done = simulate(f"mqtt://someone:secret@127.0.0.1:{port}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"joulegate: the broker at 127.0.0.1:{port} cannot be reached (connection refused): "
        "start it, or set JOULEGATE_MQTT_URL to where it is\n"
    )


def test_a_past_that_the_gateway_would_refuse_is_an_error_that_says_what_to_set() -> None:
    done = simulate("mqtt://127.0.0.1:1", "--backfill", "30d")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "joulegate: the simulation would begin 30 days ago, and the gateway's clock window is JOULEGATE_MAX_AGE_DAYS=7: "
        "older readings would go to quarantine. Set JOULEGATE_MAX_AGE_DAYS=31 for the gateway, restart it, "
        "and set it for this command too\n"
    )


def test_counters_that_the_gateway_must_know_of_are_told(broker: LocalBroker) -> None:
    done = simulate(broker.url, "--scenario", "failing-charger", "--devices", "1", "--duration", "0.1")
    assert done.returncode == 0
    assert done.stderr == (
        "joulegate: meters of failing-charger publish register energies: the gateway must run with JOULEGATE_METER_ENERGY=register\n"
    )


def test_that_shared_connections_do_not_flap_is_told(broker: LocalBroker, tmp_path: Path) -> None:
    done = simulate(broker.url, "--scenario", "heat-wave", "--devices", "1", "--duration", "0.1")
    assert (done.returncode, done.stderr) == (
        0,
        "joulegate: connections of heat-wave flap only with --per-device: here 4 carry all devices, and none drops\n",
    )
    own = simulate(broker.url, "--scenario", "heat-wave", "--devices", "1", "--duration", "0.1", "--per-device")
    assert (own.returncode, own.stderr) == (0, "")
    (tmp_path / "faults").write_text("flapping\n")
    done = simulate(broker.url, "--devices", "1", "--duration", "0.5", "--faults", str(tmp_path / "faults"))
    assert "flapping_needs_per_device" in done.stderr


def test_a_backfill_that_the_brokers_queue_may_not_hold_is_told_with_a_speed_that_it_does() -> None:
    done = simulate("mqtt://127.0.0.1:1", "--backfill", "6d", "--devices", "2000")
    assert "34,560,000 readings may come faster" in done.stderr
    assert "--speed 150 makes 10,000 readings/s" in done.stderr
    assert "may come faster" not in simulate("mqtt://127.0.0.1:1", "--backfill", "1d").stderr


def test_a_truth_file_that_is_none_and_an_api_that_is_not_there_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"scenario":"x","seed":1,"devices":1,"backfilled":true}\n{"vehicleId":1}\n')
    done = simulate("mqtt://127.0.0.1:1", "score", str(tmp_path / "bad.jsonl"))
    assert done.returncode == 1
    assert "is not a truth file of `joulegate simulate --truth`: line 2: " in done.stderr
    (tmp_path / "good.jsonl").write_text(
        '{"scenario":"x","seed":1,"devices":1,"backfilled":true}\n'
        '{"vehicleId":"v-1","bucket":"2026-11-25T10:15:00Z","chargePoint":null,"meterId":null,'
        '"kwhAc":0,"kwhDc":0,"efficiency":null,"faults":[]}\n'
    )
    url = f"http://127.0.0.1:{free_port()}"
    done = simulate("mqtt://127.0.0.1:1", "score", str(tmp_path / "good.jsonl"), "--url", url)
    assert done.returncode == 1
    assert f"{url} cannot be asked" in done.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--devices", "0"], ["--devices", "1"]),
        (["--devices", "100001"], ["--devices", "100000"]),
        (["--interval", "0.001"], ["--interval", "0.01 s to 1 h"]),
        (["--interval", "nan"], ["--interval", "90s"]),
        (["--interval", "-1"], ["--interval", "90s"]),
        (["--duration", "0"], ["--duration", "more than 0"]),
        (["--duration", "5 days"], ["--duration", "90s"]),
        (["--connections", "0"], ["--connections", "1"]),
        (["--qos", "2"], ["--qos", "1"]),
        (["--speed", "0.5"], ["--speed", "1"]),
        (["--backfill", "1w"], ["--backfill", "7d"]),
        (["--backfill", "1d", "--duration", "1h"], ["--duration", "leave one out"]),
        (["--logins", "x"], ["--logins", "add --per-device"]),
    ],
)
def test_a_bad_option_is_named_with_its_limit(options: list[str], expected: list[str]) -> None:
    done = CliRunner().invoke(command_line("simulate"), ["simulate", *options])
    assert done.exit_code == 2
    for part in expected:
        assert part in done.stderr


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("10m", 600),
        ("1h", 3600),
        ("1.5h", 5400),
        ("0.25", 0.25),
        (60.0, 60),
        (" 5s ", 5),
        ("7d", 604800),
    ],
)
def test_times(text: str | float, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "1w", "-5", "1e3", "inf", "nan", "1 0", "٣"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a time"):
        parse_seconds(text)
