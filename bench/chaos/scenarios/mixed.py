"""Everything at once."""

import asyncio
import os
import signal

import psutil

from chaos.process import GatewayProcess
from chaos.scenario import scenario
from chaos.stand import Stand
from joulegate_db.failures import DATABASE_ERRORS

SECONDS = 45
TERMINATE = (
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'joulegate-gateway' limit 1"
)


@scenario("everything at random: two gateways, database, broker connections")
async def mixed(stand: Stand) -> None:
    """A fault every half a second or so, some while the last one is still being got over."""
    gateways = [await stand.subscribed(share_group="chaos", linger_ms=5) for _ in range(2)]
    deadline = asyncio.get_running_loop().time() + SECONDS
    while asyncio.get_running_loop().time() < deadline:
        await stand.load(0.1, 1.0)
        strike = stand.random.choice([_kill_gateway, _terminate, _crash_database, _reset, _stall, _freeze_broker])
        await strike(stand, stand.random.choice(gateways))
    for gateway in gateways:
        await gateway.ready()
        await stand.recovered(gateway)


async def _kill_gateway(stand: Stand, gateway: GatewayProcess) -> None:
    await gateway.kill()
    await gateway.spawn()
    stand.faults["kill -9 gateway"] += 1


async def _terminate(stand: Stand, _gateway: GatewayProcess) -> None:
    try:
        async with stand.database() as db:
            await db.execute(TERMINATE)
    except DATABASE_ERRORS:
        return  # it is down from the strike before
    stand.faults["pg_terminate_backend"] += 1


async def _crash_database(stand: Stand, _gateway: GatewayProcess) -> None:
    if stand.postgres.pid is not None:
        os.kill(stand.postgres.pid, signal.SIGQUIT)
        stand.faults["PostgreSQL ended at once"] += 1
        await stand.load(0.2, 1.5)
    await asyncio.to_thread(_start_when_down, stand)


def _start_when_down(stand: Stand) -> None:
    pid = stand.postgres.pid
    if pid is not None:
        psutil.Process(pid).wait(20)
    stand.postgres.start()


async def _reset(stand: Stand, _gateway: GatewayProcess) -> None:
    proxy = stand.random.choice([stand.broker_proxy, stand.database_proxy])
    proxy.reset()
    stand.faults["RST"] += 1


async def _stall(stand: Stand, _gateway: GatewayProcess) -> None:
    stand.broker_proxy.stall()
    await stand.load(0.1, 0.5)
    stand.broker_proxy.cut()
    stand.faults["acknowledgements swallowed"] += 1


async def _freeze_broker(stand: Stand, _gateway: GatewayProcess) -> None:
    broker = psutil.Process(stand.broker.pid)
    broker.send_signal(signal.SIGSTOP)
    await stand.load(0.1, 1.0)
    broker.send_signal(signal.SIGCONT)
    stand.faults["broker frozen"] += 1
