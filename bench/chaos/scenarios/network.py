"""Faults of the network, on the way to the broker and on the way to the database."""

import time

from chaos.process import GatewayProcess
from chaos.scenario import scenario
from chaos.stand import Stand


@scenario("TCP resets to broker and database")
async def resets(stand: Stand) -> None:
    """Acknowledgements that are lost on the way bring their messages again, with DUP."""
    gateway = await stand.subscribed(linger_ms=1)
    for _ in range(12):
        await stand.load(0.1, 0.8)
        if stand.random.random() < 0.5:
            stand.broker_proxy.reset()
            stand.faults["RST broker"] += 1
        else:
            stand.database_proxy.reset()
            stand.faults["RST database"] += 1
        await stand.recovered(gateway)
    await _note_redelivered(stand, gateway)


@scenario("acknowledgements lost again and again: redelivery with DUP")
async def redelivered(stand: Stand) -> None:
    """The way to the broker swallows what is sent and is then cut: what was committed comes again."""
    gateway = await stand.subscribed(linger_ms=1)
    for _ in range(8):
        await stand.load(0.3, 0.6)
        stand.broker_proxy.stall()
        await stand.load(0.2, 0.5)
        stand.broker_proxy.cut()
        stand.faults["acknowledgements swallowed"] += 1
        await stand.recovered(gateway)
    await _note_redelivered(stand, gateway)


async def _note_redelivered(stand: Stand, gateway: GatewayProcess) -> None:
    counters = await gateway.counters()
    if counters is not None:
        stand.notes.append(f"{counters.duplicate} duplicates settled")


@scenario("half-open connection to the broker")
async def broker_half_open(stand: Stand) -> None:
    """Nothing comes and nothing ends: the keep-alive notices within 45 s."""
    gateway = await stand.subscribed()
    await stand.load(1)
    stand.broker_proxy.stall()
    stand.faults["half-open"] += 1
    started = time.monotonic()
    while not gateway.events("connection_lost"):
        await stand.load(0.5)
    await stand.recovered(gateway, since=started)


@scenario("half-open connection to the database")
async def database_half_open(stand: Stand) -> None:
    """The transaction's time limit ends the wait (90 s); the server has ended its side before (60 s)."""
    gateway = await stand.subscribed()
    await stand.load(1)
    stand.database_proxy.stall()
    stand.faults["half-open"] += 1
    await stand.recovered(gateway)


@scenario("200 ms latency each way, to broker and database")
async def latency(stand: Stand) -> None:
    """A transaction has about ten round trips."""
    stand.broker_proxy.delay_seconds = stand.database_proxy.delay_seconds = 0.2
    gateway = await stand.subscribed()
    stand.faults["latency"] += 1
    await stand.load(8)
    stand.broker_proxy.delay_seconds = stand.database_proxy.delay_seconds = 0.0
    await stand.recovered(gateway)


@scenario("a trickle of 20 kB/s to broker and database")
async def trickle(stand: Stand) -> None:
    """Packets arrive in pieces of a kilobyte; the broker queues."""
    gateway = await stand.subscribed()
    stand.broker_proxy.bytes_per_second = stand.database_proxy.bytes_per_second = 20_000
    stand.faults["trickle"] += 1
    await stand.load(8)
    stand.broker_proxy.bytes_per_second = stand.database_proxy.bytes_per_second = 0
    await stand.recovered(gateway)
