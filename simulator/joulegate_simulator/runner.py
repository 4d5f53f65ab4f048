"""Runs a simulated fleet against a broker: paces the readings, publishes them, counts."""

import asyncio
import contextlib
import gc
import itertools
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from joulegate_core.broker import BrokerAddress
from joulegate_simulator.connections import Connections, open_connections
from joulegate_simulator.control import watch_control
from joulegate_simulator.counts import PublisherCounts
from joulegate_simulator.fault_plan import FaultPlan
from joulegate_simulator.fleet import build_fleet
from joulegate_simulator.logins import device_addresses
from joulegate_simulator.scenario import DEFAULT, Scenario, load_scenario
from joulegate_simulator.simulated_site import SimulatedSite
from joulegate_simulator.simulated_time import NO_LIMIT, SimulatedTime
from joulegate_simulator.truth import TruthWriter
from joulegate_simulator.truth_files import Heading
from joulegate_simulator.vehicle import Mode

DRAIN_SECONDS = 5.0
"""How long a stopping simulation waits for the last acknowledgements."""

PROGRESS_SECONDS = 0.25

LATENESS_SECONDS = 1.0
"""A simulation with a duration may run over by this much to publish what was due; then it stops."""

LANES = 4
"""Tasks that step the fleet, each its part of the sites: while one waits for its connection, the others go on."""


class SimulationOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to simulate. `devices` are charge points: with one meter and one vehicle each, two readings every `interval_seconds`.

    With `duration_seconds` (of real time) every site yields the readings that fall due in that time; without, it runs until stopped.
    With `backfill_seconds` it starts so long ago and ends when it has come to the time at which it was started; its `speed` is then
    best `NO_LIMIT`. A `speed` over 1 without a backfill ends the duration at the present, or starts a day ago and goes on in real time.

    `per_device`: a connection for each device, under its id, with the login that `logins` has for it; else `connections` for all.
    `burst`: all report at the same instant instead of spread over the interval. `ramp_seconds`: over so long the sites begin to report
    one after the other.
    """

    devices: int
    interval_seconds: float
    connections: int = 4
    duration_seconds: float | None = None
    seed: int = 1
    qos: Literal[0, 1] = 1
    scenario: str = DEFAULT
    speed: float = 1.0
    backfill_seconds: float | None = None
    per_device: bool = False
    burst: bool = False
    ramp_seconds: float = 0.0
    truth: Path | None = None
    faults: Path | None = None
    logins: Path | None = None

    @property
    def simulated_seconds(self) -> float | None:
        """How much time is simulated; None for no end."""
        if self.backfill_seconds is not None:
            return self.backfill_seconds
        return None if self.duration_seconds is None else self.duration_seconds * self.speed

    @property
    def starts_ago_seconds(self) -> float:
        """How far in the past it starts."""
        if self.backfill_seconds is not None:
            return self.backfill_seconds
        if self.speed == 1.0:
            return 0.0
        return 86_400.0 if self.duration_seconds is None else self.duration_seconds * (self.speed - 1.0)


class SimulationProgress(msgspec.Struct, frozen=True):
    """How far a simulation is; its last value is its result.

    `behind_seconds`: for how long the oldest reading is due. `simulated_ms`: the time of the oldest site. `charging` vehicles of
    `vehicles`; `faults`: by name, the devices that have one now.
    """

    elapsed_seconds: float
    counts: PublisherCounts
    behind_seconds: float
    simulated_ms: int = 0
    simulated_share: float | None = None
    meters: int = 0
    vehicles: int = 0
    charging: int = 0
    faults: dict[str, int] = {}

    @property
    def complete(self) -> bool:
        """Whether the broker took everything that was published at QoS 1."""
        return self.counts.refused == 0 and self.counts.pending == 0


async def run_simulation(
    options: SimulationOptions,
    address: BrokerAddress,
    *,
    stop: asyncio.Event,
    on_progress: Callable[[SimulationProgress], None],
) -> SimulationProgress:
    """Simulates until `stop` is set or the end is reached, then waits for the last acknowledgements and disconnects.

    While the broker is away the readings wait; they follow with the times at which they were measured.

    Args:
        options: what to simulate.
        address: the broker.
        stop: ends the simulation when set.
        on_progress: called four times a second, and once with the result.

    Raises:
        BrokerUnavailableError: the broker cannot be reached at the start, or refuses the login.
        SessionTakenOverError: another client took one of our client ids over.
        SettingsError: the scenario is not valid, or a device has no login.
        JoulegateError: the truth file cannot be written, or this process may not open so many connections.
    """
    scenario = load_scenario(options.scenario)
    async with contextlib.AsyncExitStack() as stack:
        truth = None
        if options.truth is not None:
            heading = Heading(options.scenario, options.seed, options.devices, options.backfill_seconds is not None)
            truth = stack.enter_context(TruthWriter(options.truth, heading))
        simulation = _Simulation(options, scenario, truth)
        devices = [device for site in simulation.sites for device in site.devices]
        own = device_addresses(address, options.logins, devices) if options.per_device else None
        connections = await stack.enter_async_context(
            open_connections(address, count=options.connections, own=own, stop=stop)
        )
        try:
            await simulation.run(connections, stop, on_progress)
        except ExceptionGroup as failures:  # all feeds fail for one reason; the caller sorts errors by their type
            raise failures.exceptions[0] from failures
        return await simulation.finish(connections, on_progress)


class _Simulation:
    """One run: the sites in the order of their phases, dealt out to the lanes."""

    def __init__(self, options: SimulationOptions, scenario: Scenario, truth: TruthWriter | None) -> None:
        self._options = options
        self._interval_ms = max(1, round(options.interval_seconds * 1000))
        ago_ms = round(options.starts_ago_seconds * 1000)
        self._plan = FaultPlan(options.seed, scenario.faults)
        start_ms = SimulatedTime(ago_ms=ago_ms).start_ms
        fleet = build_fleet(options.devices, options.seed, scenario=scenario, at_ms=start_ms)
        self._time = SimulatedTime(speed=options.speed, ago_ms=ago_ms)
        self.sites = [SimulatedSite(site, scenario, self._plan, self._time.start_ms, truth) for site in fleet]
        gc.freeze()  # the fleet lives as long as the run: not to be looked through again and again
        self._lanes = min(LANES if options.per_device else options.connections, len(self.sites))
        self._due_ms = [self._time.start_ms] * self._lanes
        self._started = time.monotonic()
        self._seen = (0, Counter[str]())
        self._look_at = 0.0

    async def run(
        self, connections: Connections, stop: asyncio.Event, on_progress: Callable[[SimulationProgress], None]
    ) -> None:
        """Publishes until every site yielded its last reading, or `stop` is set, or the duration is long over."""
        self._begin()
        async with asyncio.TaskGroup() as tasks:
            feeds = [
                tasks.create_task(self._feed(lane, connections), name=f"simulator feed {lane}")
                for lane in range(self._lanes)
            ]
            helpers = [
                tasks.create_task(self._cancel_when_over(stop, feeds), name="simulator stop"),
                tasks.create_task(self._report(connections, on_progress), name="simulator progress"),
            ]
            if self._options.faults is not None:
                watch = watch_control(self._options.faults, self._plan, per_device=self._options.per_device)
                helpers.append(tasks.create_task(watch, name="simulator faults"))
            await asyncio.wait(feeds)
            for helper in helpers:
                helper.cancel()

    def _begin(self) -> None:
        """Sets the clocks to now: to build a large fleet and to connect it has taken seconds."""
        self._time.begin()
        self._started = time.monotonic()
        for site in self.sites:
            site.start_ms = self._time.start_ms

    async def finish(
        self, connections: Connections, on_progress: Callable[[SimulationProgress], None]
    ) -> SimulationProgress:
        """Waits, not for ever, for the last acknowledgements; returns the result."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await connections.drain()
        result = self._progress(connections)
        on_progress(result)
        return result

    async def _feed(self, lane: int, connections: Connections) -> None:
        """Publishes the readings of every n-th site, in the order in which they fall due."""
        sites = [
            (site, self._phase_ms(position), self._begins_ms(position))
            for position, site in list(enumerate(self.sites))[lane :: self._lanes]
        ]
        simulated = self._options.simulated_seconds
        end_ms = math.inf if simulated is None else simulated * 1000
        now_ms = 0  # the clock is only read when what is due is later than it was
        for cycle_ms in itertools.count(0, self._interval_ms):
            for site, phase_ms, begins_ms in sites:
                after_ms = cycle_ms + phase_ms
                if after_ms >= end_ms:
                    return
                self._due_ms[lane] = due_ms = self._time.start_ms + after_ms
                if now_ms < due_ms and (now_ms := self._time.now_ms()) < due_ms:
                    await self._time.wait_until(due_ms)
                if after_ms >= begins_ms:
                    await self._publish(site, due_ms, lane, connections)

    def _phase_ms(self, position: int) -> int:
        return 0 if self._options.burst else position * self._interval_ms // len(self.sites)

    def _begins_ms(self, position: int) -> float:
        if not self._options.ramp_seconds:
            return 0.0
        return self._options.ramp_seconds * self._options.speed * 1000 * position / len(self.sites)

    async def _publish(self, site: SimulatedSite, at_ms: int, lane: int, connections: Connections) -> None:
        for device, messages in site.step(at_ms, self._interval_ms / 1000):
            await connections.send(device, messages, lane, self._options.qos)

    async def _cancel_when_over(self, stop: asyncio.Event, feeds: Sequence[asyncio.Task[None]]) -> None:
        duration = self._options.duration_seconds
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if duration is None else duration + LATENESS_SECONDS):
                await stop.wait()
        for feed in feeds:
            feed.cancel()

    async def _report(self, connections: Connections, on_progress: Callable[[SimulationProgress], None]) -> None:
        while True:
            on_progress(self._progress(connections))
            await asyncio.sleep(PROGRESS_SECONDS)

    def _progress(self, connections: Connections) -> SimulationProgress:
        oldest = min(self._due_ms)
        simulated = self._options.simulated_seconds
        charging, faults = self._look()
        return SimulationProgress(
            elapsed_seconds=time.monotonic() - self._started,
            counts=connections.counts,
            behind_seconds=0.0 if self._options.speed == NO_LIMIT else max(0, self._time.now_ms() - oldest) / 1000,
            simulated_ms=oldest,
            simulated_share=simulated and min(1.0, (oldest - self._time.start_ms) / 1000 / simulated),
            meters=sum(len(site.meters) for site in self.sites),
            vehicles=sum(len(site.vehicles) for site in self.sites),
            charging=charging,
            faults=dict(faults),
        )

    def _look(self) -> tuple[int, Counter[str]]:
        """How many vehicles charge, and how many devices have each fault; looked at once a second, as it goes over the whole fleet."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + 1.0
            charging = sum(vehicle.mode is Mode.CHARGING for site in self.sites for vehicle in site.site.vehicles)
            self._seen = (charging, Counter(name for site in self.sites for name in site.faults_on()))
        return self._seen
