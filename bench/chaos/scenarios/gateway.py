"""Faults of the gateway itself."""

from chaos.scenario import scenario
from chaos.stand import Stand

KILLS = 30


@scenario("gateway killed (-9) at random moments")
async def gateway_killed(stand: Stand) -> None:
    """Small batches and a small window, so that many kills strike between commit and acknowledgement."""
    gateway = await stand.subscribed(batch_max=200, linger_ms=5)
    for _ in range(KILLS):
        await stand.load(0.05, 0.8)
        await gateway.kill()
        stand.faults["kill -9 gateway"] += 1
        await gateway.spawn()
        if stand.random.random() < 0.8:
            await stand.recovered(gateway)


@scenario("gateway stopped and started (SIGTERM)")
async def gateway_restarted(stand: Stand) -> None:
    """A stop drains: what was taken is committed and acknowledged, and nothing comes twice."""
    gateway = await stand.subscribed()
    for _ in range(6):
        await stand.load(0.2, 1.0)
        code = await gateway.stop()
        stand.faults["SIGTERM gateway"] += 1
        pending = [event["pending"] for event in gateway.events("gateway_stopped")]
        stand.expect(code == 0 and not any(pending), f"a stop ended with exit code {code} and pending {pending}")
        await gateway.start()
        await stand.recovered(gateway)


@scenario("Receive Maximum 1: one message at a time, gateway killed", rate=200)
async def receive_maximum_1(stand: Stand) -> None:
    """The narrowest window that MQTT 5 knows."""
    gateway = await stand.subscribed(receive_maximum=1, linger_ms=0)
    for _ in range(3):
        await stand.load(0.5, 1.5)
        await gateway.kill()
        stand.faults["kill -9 gateway"] += 1
        await gateway.start()
        await stand.recovered(gateway)
