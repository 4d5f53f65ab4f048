"""A day of a scenario through decoder, writer, roller, alerts and HTTP API, with clocks that are set by hand: a day in seconds."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from joulegate_cli.local.ports import free_port
from joulegate_cli.simulate_answers import HttpAnswers
from joulegate_core.asgi import serve
from joulegate_core.settings import Settings, load_settings
from joulegate_db.connect import MIGRATION_SETTINGS, ROLLER_SETTINGS, connect
from joulegate_db.partitions import ensure_partitions
from joulegate_db.reader import open_reader
from joulegate_db.rollups import Rollups
from joulegate_db.writer import Writer
from joulegate_gateway.decoder import Decoder
from joulegate_gateway.roller import energy_defaults, roll_once
from joulegate_gateway.watch import Watch
from joulegate_http.app import create_app
from joulegate_http.metrics import Metrics
from joulegate_simulator.device import Message
from joulegate_simulator.fault_plan import FaultPlan
from joulegate_simulator.fleet import build_fleet
from joulegate_simulator.scenario import Scenario, load_scenario
from joulegate_simulator.score import Score, read_truth, score_answers
from joulegate_simulator.simulated_site import SimulatedSite
from joulegate_simulator.truth import TruthWriter
from joulegate_simulator.truth_files import Heading

START = datetime(2026, 11, 24, tzinfo=UTC)
"""A Tuesday: the same day for every run, so that its figures can be had again."""

HOURS = 24
MINUTE_MS = 60_000
BATCH_MINUTES = 5
"""So much is committed together: nothing is judged by a shorter time, and a day is 288 transactions."""


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """What is simulated: a reading a minute and device.

    `round_minutes`: between the roller's rounds, in simulated time, a multiple of five; a gateway's are shorter.
    """

    scenario: str
    devices: int
    seed: int = 1
    hours: int = HOURS
    round_minutes: int = 5


class _Clock:
    """The time of gateway and HTTP API."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


async def score_day(day: Day, database_url: str, directory: Path) -> Score:
    """Drives the day through an empty database and asks about it.

    Args:
        database_url: has the schema and nothing else.
        directory: for the truth file.
    """
    scenario = load_scenario(day.scenario)
    settings = load_settings(
        {
            "JOULEGATE_DATABASE_URL": database_url,
            "JOULEGATE_METER_ENERGY": scenario.fleet.meter_energy,
            "JOULEGATE_VEHICLE_ENERGY": scenario.fleet.vehicle_energy,
        }
    )
    truth, clock = directory / "truth.jsonl", _Clock(START)
    heading = Heading(day.scenario, day.seed, day.devices, backfilled=False)
    with TruthWriter(truth, heading) as writer:
        await _live_through(_Fleet(day, scenario, writer), settings, clock)
    async with open_reader(database_url) as reader:
        await reader.check()
        port = free_port()
        async with serve(create_app(reader, clock, Metrics()), "127.0.0.1", port, "JOULEGATE_HTTP_PORT"):
            with contextlib.closing(HttpAnswers(f"http://127.0.0.1:{port}")) as answers:
                return await asyncio.to_thread(score_answers, read_truth(truth), answers)


class _Fleet:
    """The sites, spread over the minute as `joulegate simulate` spreads them."""

    def __init__(self, day: Day, scenario: Scenario, truth: TruthWriter) -> None:
        self.minutes = day.hours * 60
        self.round_minutes = day.round_minutes
        self._start_ms = int(START.timestamp() * 1000)
        plan = FaultPlan(day.seed, scenario.faults)
        fleet = build_fleet(day.devices, day.seed, scenario=scenario, at_ms=self._start_ms)
        self._sites = [SimulatedSite(site, scenario, plan, self._start_ms, truth) for site in fleet]

    def sent(self, first: int, end: int) -> Iterator[Message]:
        """What is sent in these minutes, in this order."""
        for number in range(first, end):
            for position, site in enumerate(self._sites):
                at_ms = self._start_ms + number * MINUTE_MS + position * MINUTE_MS // len(self._sites)
                for _, messages in site.step(at_ms, 60.0):
                    yield from messages


async def _live_through(fleet: _Fleet, settings: Settings, clock: _Clock) -> None:
    migrator = await connect(settings.database_url, MIGRATION_SETTINGS)
    await ensure_partitions(migrator, START, max_age_days=settings.max_age_days)
    await migrator.close()
    connection = await connect(settings.database_url, ROLLER_SETTINGS)
    gateway = await Writer.open(settings.database_url)
    decoder = Decoder(max_age_days=settings.max_age_days, max_ahead_seconds=settings.max_ahead_seconds)
    rollups = Rollups(connection, energy_defaults(settings))
    try:
        await rollups.lock()
        await rollups.declare_defaults()
        watch = Watch(connection, settings, clock)
        for first in range(0, fleet.minutes, BATCH_MINUTES):
            end = first + BATCH_MINUTES
            clock.now = START + timedelta(minutes=end)
            await _take(list(fleet.sent(first, end)), gateway, decoder, clock.now)
            if end % fleet.round_minutes == 0:
                await roll_once(rollups, watch, clock.now)
    finally:
        gateway.terminate()
        connection.terminate()


async def _take(messages: Sequence[Message], gateway: Writer, decoder: Decoder, now: datetime) -> None:
    """One batch, as the gateway takes it."""
    if messages:
        await gateway.write([decoder.decode(topic, payload, now) for topic, payload in messages], now)
