"""Runs a simulated fleet against a broker: paces the readings, publishes them over several connections, counts."""

import asyncio
import contextlib
import itertools
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from joulegate_core.broker import BrokerAddress
from joulegate_simulator.counts import PublisherCounts
from joulegate_simulator.fleet import build_fleet, meter_message, vehicle_message
from joulegate_simulator.pair import Pair
from joulegate_simulator.publisher import Publisher

DRAIN_SECONDS = 5.0
"""How long a stopping simulation waits for the last acknowledgements."""

PROGRESS_SECONDS = 0.25

TICK_SECONDS = 0.01
"""Shortest sleep: what falls due within one tick leaves together, so that a large fleet costs few wake-ups."""

LATENESS_SECONDS = 1.0
"""A simulation with a duration may run over by this much to publish what was due; then it stops."""


class SimulationOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to simulate. `devices` are meter-vehicle pairs: each yields two readings every `interval_seconds`.

    With `duration_seconds` every pair yields the readings that fall due in that time; without, it runs until stopped.
    """

    devices: int
    interval_seconds: float
    connections: int = 4
    duration_seconds: float | None = None
    seed: int = 1
    qos: Literal[0, 1] = 1


class SimulationProgress(msgspec.Struct, frozen=True):
    """How far a simulation is; its last value is its result. `behind_seconds`: for how long the oldest reading is due."""

    elapsed_seconds: float
    counts: PublisherCounts
    behind_seconds: float

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
    """Simulates until `stop` is set or the duration is over, then waits for the last acknowledgements and disconnects.

    While the broker is away the readings wait; they follow with the times at which they were measured.

    Args:
        options: what to simulate.
        address: the broker.
        stop: ends the simulation when set.
        on_progress: called four times a second, and once with the result.

    Raises:
        BrokerUnavailableError: the broker cannot be reached at the start, or refuses the login.
        SessionTakenOverError: another client took one of our client ids over.
    """
    run_id = secrets.token_hex(4)
    async with contextlib.AsyncExitStack() as stack:
        publishers = [
            await stack.enter_async_context(Publisher(address, client_id=f"joulegate-simulator-{run_id}-{number}"))
            for number in range(min(options.connections, options.devices))
        ]
        simulation = _Simulation(options, publishers)
        try:
            await simulation.run(stop, on_progress)
        except ExceptionGroup as failures:  # all feeds fail for one reason; the caller sorts errors by their type
            raise failures.exceptions[0] from failures
        return await simulation.finish(on_progress)


class _Simulation:
    """One run: the pairs in the order of their phases, dealt out to the publishers."""

    def __init__(self, options: SimulationOptions, publishers: Sequence[Publisher]) -> None:
        self._options = options
        self._publishers = publishers
        self._pairs = build_fleet(options.devices, options.seed)
        self._interval_ms = max(1, round(options.interval_seconds * 1000))
        self._start_ms = _now_ms()
        self._due_ms = [self._start_ms] * len(publishers)
        self._started = time.monotonic()

    async def run(self, stop: asyncio.Event, on_progress: Callable[[SimulationProgress], None]) -> None:
        """Publishes until every pair yielded its last reading, or `stop` is set, or the duration is long over."""
        async with asyncio.TaskGroup() as tasks:
            feeds = [
                tasks.create_task(self._feed(lane), name=f"simulator feed {lane}")
                for lane in range(len(self._publishers))
            ]
            helpers = [
                tasks.create_task(self._cancel_when_over(stop, feeds), name="simulator stop"),
                tasks.create_task(self._report(on_progress), name="simulator progress"),
            ]
            await asyncio.wait(feeds)
            for helper in helpers:
                helper.cancel()

    async def finish(self, on_progress: Callable[[SimulationProgress], None]) -> SimulationProgress:
        """Waits, not for ever, for the last acknowledgements; returns the result."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                for publisher in self._publishers:
                    await publisher.drain()
        result = self._progress()
        on_progress(result)
        return result

    async def _feed(self, lane: int) -> None:
        """Publishes the readings of every n-th pair, in the order in which they fall due."""
        pairs = list(enumerate(self._pairs))[lane :: len(self._publishers)]
        duration = self._options.duration_seconds
        for cycle in itertools.count():
            for position, pair in pairs:
                after_ms = cycle * self._interval_ms + position * self._interval_ms // len(self._pairs)
                if duration is not None and after_ms >= duration * 1000:
                    return
                self._due_ms[lane] = self._start_ms + after_ms
                await _wait_until(self._due_ms[lane])
                await self._publish(pair, self._due_ms[lane], self._publishers[lane])

    async def _publish(self, pair: Pair, at_ms: int, publisher: Publisher) -> None:
        reading = pair.step(at_ms, self._interval_ms / 1000)
        for topic, payload in (meter_message(pair, reading), vehicle_message(pair, reading)):
            await publisher.publish(topic, payload, qos=self._options.qos)

    async def _cancel_when_over(self, stop: asyncio.Event, feeds: Sequence[asyncio.Task[None]]) -> None:
        duration = self._options.duration_seconds
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if duration is None else duration + LATENESS_SECONDS):
                await stop.wait()
        for feed in feeds:
            feed.cancel()

    async def _report(self, on_progress: Callable[[SimulationProgress], None]) -> None:
        while True:
            on_progress(self._progress())
            await asyncio.sleep(PROGRESS_SECONDS)

    def _progress(self) -> SimulationProgress:
        return SimulationProgress(
            elapsed_seconds=time.monotonic() - self._started,
            counts=sum((publisher.counts for publisher in self._publishers), start=PublisherCounts()),
            behind_seconds=max(0, _now_ms() - min(self._due_ms)) / 1000,
        )


async def _wait_until(due_ms: int) -> None:
    """Waits by the wall clock: readings carry its time, and a long run must not drift away from it."""
    early_ms = due_ms - _now_ms()
    if early_ms > 0:
        await asyncio.sleep(max(TICK_SECONDS, early_ms / 1000))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
