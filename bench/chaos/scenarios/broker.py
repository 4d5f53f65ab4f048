"""Faults of the broker, and of the session that it keeps for the gateway."""

import asyncio
import signal

import mqtt5
import psutil

from chaos.scenario import scenario
from chaos.stand import Stand

FROM_MEMORY = "mosquitto acknowledges from memory and saves at intervals"


@scenario("broker stopped and started (SIGTERM)")
async def broker_restarted(stand: Stand) -> None:
    """mosquitto saves its sessions and queues when it stops in order."""
    gateway = await stand.subscribed()
    for _ in range(4):
        await stand.load(0.5, 1.5)
        await asyncio.to_thread(stand.broker.stop)
        stand.faults["SIGTERM broker"] += 1
        await stand.load(0, 1)
        await asyncio.to_thread(stand.broker.start)
        await stand.recovered(gateway)


@scenario("broker killed (-9), gateway there", may_lose=FROM_MEMORY)
async def broker_killed(stand: Stand) -> None:
    """What was acknowledged and not yet committed stands only in the broker's memory."""
    gateway = await stand.subscribed()
    await _save(stand)
    for _ in range(4):
        await stand.load(0.5, 1.5)
        await _kill_broker(stand)
        await stand.recovered(gateway)


@scenario("broker killed (-9), gateway away, saved every 2 s", may_lose=FROM_MEMORY, broker_conf="autosave_interval 2")
async def broker_killed_with_a_queue(stand: Stand) -> None:
    """The queue since the last save is lost; the interval here is short so that the arithmetic shows."""
    await _kill_with_a_queue(stand)


@scenario(
    "broker killed (-9), gateway away, saved after every 100 changes",
    may_lose=FROM_MEMORY,
    broker_conf="autosave_on_changes true\nautosave_interval 100",
)
async def broker_killed_saving_often(stand: Stand) -> None:
    """The least that mosquitto can be set to lose; it writes everything each time."""
    await _kill_with_a_queue(stand)


async def _kill_with_a_queue(stand: Stand) -> None:
    gateway = await stand.subscribed()
    await _save(stand)
    await stand.load(1)
    for _ in range(3):
        await gateway.stop()
        await stand.load(3, 5)
        await _kill_broker(stand)
        await gateway.start()
        await stand.recovered(gateway)


async def _save(stand: Stand) -> None:
    """Has mosquitto write its sessions down, as it has long done on a machine that runs for hours (mosquitto(8), SIGUSR1)."""
    psutil.Process(stand.broker.pid).send_signal(signal.SIGUSR1)
    await stand.load(0.5)


async def _kill_broker(stand: Stand) -> None:
    await asyncio.to_thread(stand.broker.kill)
    stand.faults["kill -9 broker"] += 1
    await asyncio.to_thread(stand.broker.start)


@scenario("broker frozen (SIGSTOP) and thawed")
async def broker_frozen(stand: Stand) -> None:
    """It holds its connections and says nothing."""
    gateway = await stand.subscribed()
    for seconds in (2, 6):
        await stand.load(0.5, 1)
        broker = psutil.Process(stand.broker.pid)
        broker.send_signal(signal.SIGSTOP)
        stand.faults[f"frozen for {seconds} s"] += 1
        await asyncio.sleep(seconds)
        broker.send_signal(signal.SIGCONT)
        await stand.recovered(gateway)


@scenario(
    "session expired while the gateway was away", may_lose="no subscriber: PUBACK says 0x10 and nobody keeps them"
)
async def session_expired(stand: Stand) -> None:
    """Away for longer than JOULEGATE_SESSION_EXPIRY_SECONDS. It must say so when it comes back."""
    gateway = await stand.subscribed(session_expiry_seconds=1)
    await stand.load(1)
    await gateway.stop()
    stand.faults["session expired"] += 1
    await stand.load(4)
    await gateway.start()
    await stand.recovered(gateway)
    stand.expect(gateway.events("session_lost"), "the gateway did not say that its session was lost")


@scenario("a twin takes the session over, broker says so (0x8E)")
async def taken_over(stand: Stand) -> None:
    """The first one ends and does not fight; the twin goes on with the session."""
    stand.broker_proxy.last_words = mqtt5.DisconnectPacket(
        reason_code=mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER
    ).write()
    first = await stand.subscribed()
    for _ in range(3):
        await stand.load(0.5, 1)
        twin = stand.gateway(**first.settings)
        twin.client_id = first.client_id
        await twin.spawn()
        stand.faults["taken over"] += 1
        stand.expect(await first.ended() == 1, "the gateway that was taken over did not fail with exit code 1")
        await twin.ready()
        await stand.recovered(twin)
        first = twin


@scenario("twins under one client id, broker silent about it")
async def twins(stand: Stand) -> None:
    """mosquitto 2.0.11 just closes: the two take turns until one is stopped."""
    first = await stand.subscribed()
    twin = stand.gateway()
    twin.client_id = first.client_id
    await stand.load(1)
    await twin.spawn()
    stand.faults["twin"] += 1
    await stand.load(6)
    await twin.stop()
    await stand.recovered(first)


@scenario(
    "broker's queue overflows while the gateway is away",
    may_lose="max_queued_messages: mosquitto acknowledges and drops",
    broker_conf="max_queued_messages 1000\nsys_interval 1",
)
async def queue_overflow(stand: Stand) -> None:
    """Nothing can keep what the broker drops; it must be seen."""
    gateway = await stand.subscribed()
    await stand.load(1)
    await gateway.stop()
    await stand.load(4)
    stand.faults["queue of 1,000 for 4 s of readings"] += 1
    await gateway.start()
    await stand.recovered(gateway)
    await stand.load(3)
    dropped = await gateway.metric("joulegate_broker_dropped_messages")
    stand.notes.append(f"joulegate_broker_dropped_messages {dropped:.0f}")
    stand.expect(dropped and gateway.events("broker_dropped_messages"), "what the broker dropped is not seen")
