"""The connections of a simulation: a few for all devices, or one for each, under the device's own client id."""

import asyncio
import contextlib
import resource
import secrets
from collections.abc import AsyncIterator, Sequence

from joulegate_core.broker import BrokerAddress
from joulegate_core.errors import JoulegateError
from joulegate_simulator.counts import PublisherCounts
from joulegate_simulator.publisher import Publisher

OPENING_AT_ONCE = 64
"""Connections that are being opened at a time: below the backlog of a listening socket (mosquitto's is 100), so that none is refused."""

SPARE_FILES = 200
"""Open files beside the connections: logs, libraries, the event loop."""

DEVICE_WINDOW = 100
"""Unacknowledged publications of one device's connection: a burst after an outage goes in such steps."""


class Connections:
    """Open publishers; `of` says which one a device uses."""

    def __init__(self, shared: Sequence[Publisher], own: dict[str, Publisher]) -> None:
        self._shared = shared
        self._own = own
        self._all = [*shared, *own.values()]

    def of(self, name: str, lane: int) -> Publisher:
        """The device's own publisher, or the lane's."""
        return self._own[name] if self._own else self._shared[lane]

    @property
    def counts(self) -> PublisherCounts:
        """What became of all publications so far."""
        return PublisherCounts.total(publisher.counts for publisher in self._all)

    async def drain(self) -> None:
        """Waits until everything is acknowledged or refused; bound it with `asyncio.timeout`."""
        for publisher in self._all:
            await publisher.drain()


@contextlib.asynccontextmanager
async def open_connections(
    address: BrokerAddress, *, count: int, names: Sequence[str] | None, stop: asyncio.Event
) -> AsyncIterator[Connections]:
    """Connects `count` times with client ids of this run, or, with `names`, once for each of them under that name.

    Raises:
        BrokerUnavailableError: the broker cannot be reached, or refuses.
        JoulegateError: this process may not open so many connections; it says how many and what to do.
    """
    if names is None:
        run_id = secrets.token_hex(4)
        publishers = [Publisher(address, client_id=f"joulegate-simulator-{run_id}-{n}") for n in range(count)]
    else:
        allow_files(len(names) + SPARE_FILES)
        publishers = [
            Publisher(address, client_id=name, window=DEVICE_WINDOW, keep_alive_seconds=120) for name in names
        ]
    opened: list[Publisher] = []
    try:
        await _open(publishers, opened, stop)
        own = {} if names is None else dict(zip(names, publishers, strict=True))
        yield Connections(publishers if names is None else [], own)
    finally:
        for start in range(0, len(opened), OPENING_AT_ONCE):
            await asyncio.gather(*(one.__aexit__(None, None, None) for one in opened[start : start + OPENING_AT_ONCE]))


async def _open(publishers: Sequence[Publisher], opened: list[Publisher], stop: asyncio.Event) -> None:
    for start in range(0, len(publishers), OPENING_AT_ONCE):
        if stop.is_set():
            return
        batch = publishers[start : start + OPENING_AT_ONCE]
        results = await asyncio.gather(*(one.__aenter__() for one in batch), return_exceptions=True)
        opened += [one for one, result in zip(batch, results, strict=True) if not isinstance(result, BaseException)]
        for result in results:
            if isinstance(result, BaseException):
                raise result


def allow_files(needed: int) -> None:
    """Raises the soft limit of open files to `needed`, where the hard limit allows.

    Raises:
        JoulegateError: it does not; with the numbers and the way out.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(hard, needed)))  # root may raise the hard limit too
    except (OSError, ValueError):
        devices = max(0, hard - SPARE_FILES)
        raise JoulegateError(
            f"a connection for each device needs {needed:,} open files, and this process may have {hard:,}: "
            f"run `ulimit -n {needed}` before it, simulate at most {devices // 2:,} pairs, or leave --per-device out. "
            "The broker needs as many"
        ) from None
