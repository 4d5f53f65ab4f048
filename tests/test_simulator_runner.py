"""A simulated fleet against a real broker, from start to stop."""

import asyncio
import re
import resource
import subprocess
import time
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import mqtt5
import msgspec
import pytest

from joulegate_cli.local.broker import LocalBroker
from joulegate_cli.local.ports import free_port
from joulegate_core.broker import BrokerAddress
from joulegate_core.errors import BrokerUnavailableError, JoulegateError, SettingsError
from joulegate_core.telemetry import MeterMessage, VehicleMessage
from joulegate_simulator import connections, runner
from joulegate_simulator.logins import read_logins
from joulegate_simulator.publisher import Publisher
from joulegate_simulator.runner import SimulationOptions, SimulationProgress, run_simulation
from joulegate_simulator.score import read_truth
from joulegate_simulator.simulated_time import NO_LIMIT
from simulator_support import Mailbox, Tap, a_name, address_of, mosquitto, until

MESSAGE_TYPES = {"meter": MeterMessage, "vehicle": VehicleMessage}


def ignore(_progress: SimulationProgress) -> None:
    """Not interested in the progress."""


def times_by_device(packets: list[tuple[str, bytes]]) -> dict[str, list[int]]:
    """Decodes every message as what its topic says, and returns the times of each device in milliseconds, sorted."""
    times: dict[str, set[int]] = defaultdict(set)
    for topic, payload in packets:
        match = re.fullmatch(r"fleet/cp-(\d{5})/(meter|vehicle)", topic)
        assert match is not None
        message = msgspec.json.decode(payload, type=MESSAGE_TYPES[match[2]])
        device = message.meter_id if isinstance(message, MeterMessage) else message.vehicle_id
        assert device == f"{match[2][0]}-{match[1]}"
        assert not isinstance(message.timestamp, int)
        times[device].add(round(message.timestamp.timestamp() * 1000))
    return {device: sorted(stamps) for device, stamps in times.items()}


async def test_every_device_reports_once_an_interval_spread_evenly(broker: LocalBroker) -> None:
    mailbox = Mailbox(broker, "fleet/#")
    await mailbox.open()
    seen: list[SimulationProgress] = []
    result = await run_simulation(
        SimulationOptions(devices=10, interval_seconds=0.5, connections=3, duration_seconds=1.5),
        address_of(broker),
        stop=asyncio.Event(),
        on_progress=seen.append,
    )
    assert (result.counts.published, result.counts.acknowledged) == (60, 60)
    assert result.complete
    assert seen[-1] == result
    published = [progress.counts.published for progress in seen]
    assert published == sorted(published)
    assert len(published) >= 4
    times = times_by_device([(packet.topic, packet.payload) for packet in await mailbox.collect(60)])
    assert len(times) == 20
    first = min(stamps[0] for stamps in times.values())
    for number in range(1, 11):
        expected = [first + (number - 1) * 50 + cycle * 500 for cycle in range(3)]
        assert times[f"m-{number:05d}"] == times[f"v-{number:05d}"] == expected


async def test_stop_ends_it_with_everything_acknowledged(broker: LocalBroker) -> None:
    stop = asyncio.Event()

    def stop_after_a_hundred(progress: SimulationProgress) -> None:
        if progress.counts.acknowledged >= 100:
            stop.set()

    async with asyncio.timeout(20):
        result = await run_simulation(
            SimulationOptions(devices=100, interval_seconds=0.5),
            address_of(broker),
            stop=stop,
            on_progress=stop_after_a_hundred,
        )
    assert result.counts.acknowledged == result.counts.published >= 100
    assert result.complete


async def test_more_connections_than_devices_is_fine(broker: LocalBroker) -> None:
    result = await run_simulation(
        SimulationOptions(devices=1, interval_seconds=1, connections=5, duration_seconds=0.1),
        address_of(broker),
        stop=asyncio.Event(),
        on_progress=ignore,
    )
    assert result.counts.acknowledged == 2


async def test_a_fleet_that_is_too_fast_ends_in_time_and_says_how_late_it_is(broker: LocalBroker) -> None:
    result = await run_simulation(
        SimulationOptions(devices=20_000, interval_seconds=0.01, connections=2, duration_seconds=0.5),
        address_of(broker),
        stop=asyncio.Event(),
        on_progress=ignore,
    )
    assert result.counts.published < 2 * 20_000 * 50  # what fell due
    assert result.counts.published == result.counts.acknowledged + result.counts.pending
    assert result.behind_seconds > 0.5
    assert result.elapsed_seconds < 0.5 + runner.LATENESS_SECONDS + runner.DRAIN_SECONDS + 5


async def test_qos_0_is_complete_without_acknowledgements(broker: LocalBroker) -> None:
    result = await run_simulation(
        SimulationOptions(devices=10, interval_seconds=0.1, duration_seconds=0.3, qos=0),
        address_of(broker),
        stop=asyncio.Event(),
        on_progress=ignore,
    )
    assert (result.counts.published, result.counts.acknowledged, result.complete) == (60, 0, True)


async def test_readings_wait_for_a_broker_that_restarts_and_keep_their_times(own_broker: LocalBroker) -> None:
    mailbox = Mailbox(own_broker, "fleet/#")
    await mailbox.open()
    stop, progress = asyncio.Event(), list[SimulationProgress]()
    running = asyncio.create_task(
        run_simulation(
            SimulationOptions(devices=10, interval_seconds=0.1, connections=2),
            address_of(own_broker),
            stop=stop,
            on_progress=progress.append,
        )
    )
    await until(lambda: bool(progress) and progress[-1].counts.acknowledged > 40)
    await asyncio.to_thread(own_broker.stop)
    await until(lambda: progress[-1].behind_seconds > 0.3)
    await asyncio.to_thread(own_broker.start)
    await until(lambda: progress[-1].counts.reconnects == 2 and progress[-1].behind_seconds < 0.2)
    stop.set()
    result = await running
    assert result.complete
    packets = await mailbox.collect(result.counts.published)
    for stamps in times_by_device([(packet.topic, packet.payload) for packet in packets]).values():
        assert {later - earlier for earlier, later in pairwise(stamps)} == {100}


async def test_stopping_while_the_broker_is_away_is_bounded_and_owns_up(
    own_broker: LocalBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "DRAIN_SECONDS", 0.3)
    stop, progress = asyncio.Event(), list[SimulationProgress]()
    async with asyncio.timeout(15):
        running = asyncio.create_task(
            run_simulation(
                SimulationOptions(devices=500, interval_seconds=0.05, connections=1),
                address_of(own_broker),
                stop=stop,
                on_progress=progress.append,
            )
        )
        await until(lambda: bool(progress) and progress[-1].counts.acknowledged > 0)
        own_broker.kill()
        await until(lambda: progress[-1].behind_seconds > 0.3)
        stop.set()
        result = await running
    assert result.complete == (result.counts.pending == 0)
    assert result.counts.published == result.counts.acknowledged + result.counts.pending


async def test_a_backfill_publishes_the_past_at_once_and_ends_at_the_present(
    broker: LocalBroker, tmp_path: Path
) -> None:
    mailbox = Mailbox(broker, "fleet/#")
    await mailbox.open()
    started = time.time()
    result = await run_simulation(
        SimulationOptions(
            devices=10,
            interval_seconds=60,
            backfill_seconds=3600,
            speed=NO_LIMIT,
            truth=tmp_path / "truth.jsonl",
            connections=3,
        ),
        address_of(broker),
        stop=asyncio.Event(),
        on_progress=ignore,
    )
    assert (result.counts.acknowledged, result.complete) == (1200, True)
    assert result.simulated_share == pytest.approx(1, abs=0.03)
    packets = await mailbox.collect(1200)
    times = times_by_device([(packet.topic, packet.payload) for packet in packets])
    for stamps in times.values():
        assert {later - earlier for earlier, later in pairwise(stamps)} == {60_000}
        assert -3600 <= stamps[0] / 1000 - started <= -3530
        assert -70 <= stamps[-1] / 1000 - started <= 20
    truth = read_truth(tmp_path / "truth.jsonl")
    published: dict[str, float] = defaultdict(float)
    for packet in packets:
        if packet.topic.endswith("vehicle"):
            message = msgspec.json.decode(packet.payload, type=VehicleMessage)
            published[message.vehicle_id] += message.kwh_delivered_dc
    assert {
        name: pytest.approx(sum(line.kwh_dc for line in lines.values()), abs=1e-6)
        for name, lines in truth.lines.items()
    } == published


async def test_a_faster_time_ends_a_duration_at_the_present(broker: LocalBroker) -> None:
    mailbox = Mailbox(broker, "fleet/#")
    await mailbox.open()
    started = time.time()
    result = await run_simulation(
        SimulationOptions(devices=5, interval_seconds=60, duration_seconds=2, speed=300),
        address_of(broker),
        stop=asyncio.Event(),
        on_progress=ignore,
    )
    assert 1.7 < result.elapsed_seconds < 4
    times = times_by_device([(packet.topic, packet.payload) for packet in await mailbox.collect(100)])
    for stamps in times.values():
        assert {later - earlier for earlier, later in pairwise(stamps)} == {60_000}
        assert len(stamps) == 10
        assert -600 <= stamps[0] / 1000 - started <= -530
        assert stamps[-1] / 1000 <= time.time()


async def test_a_fleet_can_come_up_in_a_ramp_and_report_in_bursts(broker: LocalBroker) -> None:
    mailbox = Mailbox(broker, "fleet/#")
    await mailbox.open()
    result = await run_simulation(
        SimulationOptions(devices=10, interval_seconds=0.2, duration_seconds=1, ramp_seconds=1, burst=True),
        address_of(broker),
        stop=asyncio.Event(),
        on_progress=ignore,
    )
    packets = await mailbox.collect(result.counts.published)
    times = times_by_device([(packet.topic, packet.payload) for packet in packets])
    assert [len(times.get(f"m-{number:05d}", [])) for number in range(1, 11)] == [5, 4, 4, 3, 3, 2, 2, 1, 1, 0]
    assert len({stamp for stamps in times.values() for stamp in stamps}) == 5


async def test_each_device_can_have_a_connection_of_its_own_and_a_dropped_one_holds_up_no_other(
    own_broker: LocalBroker, tmp_path: Path
) -> None:
    scenario = tmp_path / "flapping.toml"
    scenario.write_text('title = "x"\n[faults.flapping]\nshare = 0.3\nprobability = 0.3\n')
    tap = Tap(own_broker)
    mailbox = Mailbox(own_broker, "fleet/#")
    await mailbox.open()
    async with tap.open() as address:
        result = await run_simulation(
            SimulationOptions(
                devices=10, interval_seconds=0.2, duration_seconds=3, per_device=True, scenario=str(scenario)
            ),
            address,
            stop=asyncio.Event(),
            on_progress=ignore,
        )
    assert result.complete
    assert result.counts.published == 300
    assert result.counts.reconnects > 3
    clients = Counter(
        packet.client_id for wire in tap.wires for packet in wire.sent if isinstance(packet, mqtt5.ConnectPacket)
    )
    assert set(clients) == {f"{kind}-{number:05d}" for kind in "mv" for number in range(1, 11)}
    assert 2 <= sum(times > 1 for times in clients.values()) <= 10
    times = times_by_device([(packet.topic, packet.payload) for packet in await mailbox.collect(300)])
    assert {len(stamps) for stamps in times.values()} == {15}


async def test_each_device_logs_in_by_itself_or_as_its_charge_point(tmp_path: Path) -> None:
    passwords = {"cp-00001": "one", "m-00002": "two:with a colon", "v-00002": "drei #"}
    for number, (user, password) in enumerate(passwords.items()):
        create = [] if number else ["-c"]
        subprocess.run(["mosquitto_passwd", "-b", *create, tmp_path / "passwd", user, password], check=True)
    (tmp_path / "acl").write_text(
        "pattern write fleet/%u/meter\npattern write fleet/%u/vehicle\nuser m-00002\ntopic write fleet/cp-00002/meter\n"
        "user v-00002\ntopic write fleet/cp-00002/vehicle\n"
    )
    logins = tmp_path / "logins"
    logins.write_text("# ours\n\n" + "".join(f"{user}:{password}\n" for user, password in passwords.items()))
    lines = ("allow_anonymous false", f"password_file {tmp_path / 'passwd'}", f"acl_file {tmp_path / 'acl'}")
    options = SimulationOptions(devices=2, interval_seconds=0.5, duration_seconds=1, per_device=True, logins=logins)

    async def run(options: SimulationOptions) -> SimulationProgress:
        return await run_simulation(options, address_of(broker), stop=asyncio.Event(), on_progress=ignore)

    with mosquitto(tmp_path / "broker", *lines) as broker:
        result = await run(options)
        assert result.complete  # the access list lets each write under its own charge point alone
        assert result.counts.acknowledged == 8
        with pytest.raises(SettingsError, match=r"no login for 2 of 6 devices, such as m-00003 \(nor for cp-00003\)"):
            await run(msgspec.structs.replace(options, devices=3))
        logins.write_text(logins.read_text().replace("drei", "vier"))
        with pytest.raises(BrokerUnavailableError, match="refused the login of v-00002") as caught:
            await run(options)
        assert "vier" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:b\nc\n", "line 2: expected `user:password`"),
        (":b\n", "line 1: expected"),
        ("a:\n", "line 1: expected"),
        ("a:b\n\na:c\n", "line 3: a comes twice"),
    ],
)
def test_bad_logins_are_named_with_their_line(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "logins").write_text(text)
    with pytest.raises(SettingsError, match=re.escape(expected)):
        read_logins(tmp_path / "logins")


async def test_after_an_outage_all_connect_anew_and_report_what_they_kept(
    own_broker: LocalBroker, tmp_path: Path
) -> None:
    scenario = tmp_path / "outage.toml"
    scenario.write_text(
        'title = "x"\n[fleet]\nstarts_charging = 1\n[faults.grid_outage]\nafter_hours = 0.00025\nlasts_hours = 0.0002\n'
    )
    mailbox = Mailbox(own_broker, "fleet/+/vehicle")
    await mailbox.open()
    result = await run_simulation(
        SimulationOptions(
            devices=10, interval_seconds=0.2, duration_seconds=2.6, per_device=True, burst=True, scenario=str(scenario)
        ),
        address_of(own_broker),
        stop=asyncio.Event(),
        on_progress=ignore,
    )
    assert result.complete
    assert result.counts.reconnects == 10  # the vehicles; the meters had nothing to keep
    assert len(await mailbox.collect(130)) >= 130


def test_too_few_files_for_the_connections_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_kind: int, _limits: tuple[int, int]) -> None:
        raise ValueError("not allowed")

    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    connections.allow_files(1024)
    with pytest.raises(
        JoulegateError, match=r"needs 20,200 open files, and this process may have 4,096: run `ulimit -n 20200`"
    ):
        connections.allow_files(20_200)


def test_too_few_ports_for_the_connections_is_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "PORT_RANGE", tmp_path / "range")
    connections.require_ports(10**6)  # a kernel that does not tell
    (tmp_path / "range").write_text("32768\t60999\n")
    connections.require_ports(28_232)
    with pytest.raises(
        JoulegateError, match=r"28,233 local ports, and net.ipv4.ip_local_port_range has 28,232: .*14,116 pairs"
    ):
        connections.require_ports(28_233)


async def test_a_broker_that_is_not_there_is_an_error_at_once() -> None:
    address = BrokerAddress("127.0.0.1", free_port())
    with pytest.raises(BrokerUnavailableError, match="cannot be reached"):
        await run_simulation(
            SimulationOptions(devices=1, interval_seconds=1), address, stop=asyncio.Event(), on_progress=ignore
        )


async def test_an_error_while_publishing_comes_out_as_itself(
    broker: LocalBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_kwargs: object) -> bool:
        raise BrokerUnavailableError(name)

    name = a_name()
    monkeypatch.setattr(Publisher, "try_publish", fail)
    with pytest.raises(BrokerUnavailableError, match=name):
        await run_simulation(
            SimulationOptions(devices=4, interval_seconds=1),
            address_of(broker),
            stop=asyncio.Event(),
            on_progress=ignore,
        )
