"""The connections of a simulation: a few for all devices, or one for each, under the device's own client id."""

import asyncio
import contextlib
import resource
import secrets
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from joulegate_core.broker import BrokerAddress
from joulegate_core.errors import JoulegateError
from joulegate_simulator.counts import PublisherCounts
from joulegate_simulator.device import Device, Message
from joulegate_simulator.publisher import Publisher

OPENING_AT_ONCE = 64
"""Connections that are being opened at a time: below the backlog of a listening socket (mosquitto's is 100), so that none is refused."""

SPARE_FILES = 200
"""Open files beside the connections: logs, libraries, the event loop."""

PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""Each connection to a broker has a local port of its own out of these."""

MOST_WAITING = 1000
"""Messages that wait for one device's connection; then the feed waits with them."""

YIELD_EVERY = 256
"""Devices served in one turn of the event loop."""

DEVICE_WINDOW = 100
"""Unacknowledged publications of one device's connection: a burst after an outage goes in such steps."""


class Connections(ABC):
    """Open publishers, and which device uses which."""

    def __init__(self, publishers: Sequence[Publisher]) -> None:
        self._publishers = publishers

    @property
    def counts(self) -> PublisherCounts:
        """What became of all publications so far."""
        return PublisherCounts.total(publisher.counts for publisher in self._publishers)

    @abstractmethod
    async def send(self, device: Device, messages: Sequence[Message], lane: int, qos: Literal[0, 1]) -> None:
        """Publishes what the device sends, from the feed of this number; waits while there is no room.

        Raises:
            SessionTakenOverError: another client uses the client id.
        """

    async def drain(self) -> None:
        """Waits until everything is acknowledged or refused; bound it with `asyncio.timeout`."""
        for publisher in self._publishers:
            await publisher.drain()

    @abstractmethod
    async def close(self) -> None:
        """Gives up what waits for a connection."""


class SharedConnections(Connections):
    """Each feed has a connection. None is a device's, so none flaps."""

    async def send(self, device: Device, messages: Sequence[Message], lane: int, qos: Literal[0, 1]) -> None:  # noqa: ARG002
        publisher = self._publishers[lane]
        for topic, payload in messages:
            if not publisher.try_publish(topic, payload, qos=qos):
                await publisher.publish(topic, payload, qos=qos)

    async def close(self) -> None:
        """Nothing waits here: the feeds themselves do."""


class OwnConnections(Connections):
    """Each device has a connection, which may be down without holding up others: its messages wait, and a task sends them."""

    def __init__(self, names: Sequence[str], publishers: Sequence[Publisher]) -> None:
        super().__init__(publishers)
        self._own = dict(zip(names, publishers, strict=True))
        self._waiting: dict[str, deque[Message]] = {}
        self._senders: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._sent = 0

    async def send(self, device: Device, messages: Sequence[Message], lane: int, qos: Literal[0, 1]) -> None:  # noqa: ARG002
        if self._failure is not None:
            raise self._failure
        self._sent += 1
        if (
            self._sent % YIELD_EVERY == 0
        ):  # no connection is ever full, so that nothing else would let the event loop run
            await asyncio.sleep(0)
        publisher = self._own[device.name]
        if device.drops or device.came_back:  # who was cut off connects anew
            publisher.drop()
        waiting = self._waiting.get(device.name)
        if waiting is not None:
            waiting.extend(messages)
            while len(waiting) > MOST_WAITING and self._failure is None:
                await asyncio.wait(self._senders, return_when=asyncio.FIRST_COMPLETED)
        elif messages and not (len(messages) == 1 and publisher.try_publish(*messages[0], qos=qos)):
            self._waiting[device.name] = waiting = deque(messages)
            sender = asyncio.create_task(self._send_waiting(device.name, waiting, qos), name=f"send {device.name}")
            self._senders.add(sender)
            sender.add_done_callback(self._take_sender)

    async def drain(self) -> None:
        if self._senders:
            await asyncio.wait(self._senders)
        await super().drain()

    async def _send_waiting(self, name: str, waiting: deque[Message], qos: Literal[0, 1]) -> None:
        while waiting:
            await self._own[name].publish(*waiting[0], qos=qos)
            waiting.popleft()
        del self._waiting[name]

    def _take_sender(self, sender: asyncio.Task[None]) -> None:
        self._senders.discard(sender)
        if not sender.cancelled() and sender.exception() is not None:
            self._failure = sender.exception()

    async def close(self) -> None:
        """Gives up what waits."""
        for sender in self._senders:
            sender.cancel()
        if self._senders:
            await asyncio.wait(self._senders)


@contextlib.asynccontextmanager
async def open_connections(
    address: BrokerAddress, *, count: int, own: Mapping[str, BrokerAddress] | None, stop: asyncio.Event
) -> AsyncIterator[Connections]:
    """Connects `count` times with client ids of this run, or once for each name in `own`, under it and with its login.

    Raises:
        BrokerUnavailableError: the broker cannot be reached, or refuses.
        JoulegateError: this process may not open so many connections, or this machine not to one broker; with the way out.
    """
    if own is None:
        run_id = secrets.token_hex(4)
        publishers = [Publisher(address, client_id=f"joulegate-simulator-{run_id}-{n}") for n in range(count)]
    else:
        require_ports(len(own))
        allow_files(len(own) + SPARE_FILES)
        tls = address.ssl_context()
        publishers = [
            Publisher(login, client_id=name, window=DEVICE_WINDOW, keep_alive_seconds=120, quiet=True, tls=tls)
            for name, login in own.items()
        ]
    opened: list[Publisher] = []
    connections = SharedConnections(publishers) if own is None else OwnConnections(list(own), publishers)
    try:
        await _open(publishers, opened, stop)
        yield connections
    finally:
        await connections.close()
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


def require_ports(needed: int) -> None:
    """Checks that there are local ports for so many connections to one address, where the kernel tells.

    Raises:
        JoulegateError: there are not; with the numbers and the way out.
    """
    try:
        least, most = map(int, PORT_RANGE.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return
    if (ports := most - least + 1) < needed:
        raise JoulegateError(
            f"a connection for each device needs {needed:,} local ports, and net.ipv4.ip_local_port_range has {ports:,}: "
            f"widen it (`sysctl -w net.ipv4.ip_local_port_range='1024 65535'` has 64,512), simulate at most {ports // 2:,} pairs, "
            "or leave --per-device out"
        )


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
