"""Several gateways: they share the stream, come, crash, and leave."""

from chaos.process import GatewayProcess
from chaos.scenario import scenario
from chaos.stand import Stand

GROUP = "chaos"


@scenario("three gateways share: crash, restart, add, leave for good")
async def gateways_come_and_go(stand: Stand) -> None:
    """One that leaves takes nothing with it: `joulegate gateway --leave` drains its session and ends it."""
    first, second = [await stand.subscribed(share_group=GROUP) for _ in range(2)]
    for _ in range(2):
        await stand.load(0.5, 1)
        await second.kill()
        stand.faults["kill -9 one"] += 1
        await stand.load(0.5, 1)
        await second.start()
    third = await stand.gateway(share_group=GROUP).start()
    stand.faults["one added"] += 1
    await stand.load(0.5, 1)
    await first.stop()
    await first.start()
    stand.faults["one restarted"] += 1
    await stand.load(0.5, 1)
    await _leave(stand, second)
    await stand.recovered(third)
    _assert_no_deadlocks(stand)


async def _leave(stand: Stand, gateway: GatewayProcess) -> None:
    """Stops a gateway, lets its share of the stream wait for it, and takes it away for good."""
    await gateway.stop()
    await stand.load(1)
    await gateway.spawn("--leave")
    stand.expect(await gateway.ended() == 0, "gateway --leave failed")
    stand.faults["one left for good"] += 1


@scenario("killed in the middle of leaving, then left again")
async def killed_while_leaving(stand: Stand) -> None:
    """Leaving can be begun again until it is done."""
    stays, leaves = [await stand.subscribed(share_group=GROUP) for _ in range(2)]
    await leaves.stop()
    await stand.load(2)
    for _ in range(2):
        await leaves.spawn("--leave")
        await stand.load(0.5, 1.2)
        await leaves.kill()
        stand.faults["kill -9 while leaving"] += 1
    await leaves.spawn("--leave")
    stand.expect(await leaves.ended() == 0, "gateway --leave failed")
    await stand.recovered(stays)


@scenario("plain to shared, to another group, and back")
async def forms_changed(stand: Stand) -> None:
    """The same client id; what is subscribed in the other form is unsubscribed."""
    gateway = await stand.subscribed()
    for group in (GROUP, "other", ""):
        await stand.load(0.5, 1)
        await gateway.stop()
        gateway.settings = {"share_group": group}
        await stand.load(0.5)
        await gateway.start()
        stand.faults["form changed"] += 1
        await stand.recovered(gateway)
    await gateway.stop()
    await gateway.start()
    await stand.load(2)
    counters = await gateway.counters()
    stand.expect(counters and counters.duplicate < counters.received * 0.1, f"delivered twice: {counters}")


@scenario("two gateways plain: every reading reaches both")
async def both_plain(stand: Stand) -> None:
    """Both write the same rows at the same time: one commits, the other finds duplicates; they never lock each other out."""
    await stand.subscribed(linger_ms=1)
    second = await stand.gateway(linger_ms=1).start()
    for _ in range(3):
        await stand.load(2)
        await second.kill()
        stand.faults["kill -9 one"] += 1
        await second.start()
    await stand.load(1)
    _assert_no_deadlocks(stand)


def _assert_no_deadlocks(stand: Stand) -> None:
    errors = [event["error"] for gateway in stand.gateways for event in gateway.events("batch_held")]
    stand.expect(not any("40P01" in error for error in errors), "the gateways' writers locked each other out (40P01)")
