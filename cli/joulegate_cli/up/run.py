"""`up` at work: starts everything in order, tells how it is doing, and stops everything in order."""

import asyncio
import contextlib
import signal
import sys
import time
from typing import NoReturn

import psutil

from joulegate_cli.up.answers import Ingestion, first_answer, ingestion
from joulegate_cli.up.console import note, say
from joulegate_cli.up.guardian import guarded
from joulegate_cli.up.guide import guide
from joulegate_cli.up.journal import Journal, Started
from joulegate_cli.up.logfiles import ImportantLines
from joulegate_cli.up.schema import prepare_database
from joulegate_cli.up.stack import DATABASE, SIMULATED_INTERVAL_SECONDS, Stack
from joulegate_cli.up.supervisor import HELD, Service, Supervisor
from joulegate_simulator.fleet import vehicles_to_show

FIRST_ANSWER_SECONDS = 60.0
LOOK_SECONDS = 1.0
STATUS_SECONDS_ON_TERMINAL = 10.0
STATUS_SECONDS = 60.0


async def run_up(stack: Stack, journal: Journal, *, max_age_days: int) -> None:
    """Runs everything until SIGINT or SIGTERM, then stops it in order; a second signal hurries.

    Raises:
        JoulegateError: something did not start, or did not stay up; everything else was stopped then.
    """
    stop, hurry = _stop_on_signals()
    async with guarded(journal, stack.logs / "guardian.log"):
        supervisor = Supervisor(stack.logs, note=note, started=lambda *started: _record(journal, *started))
        work: list[asyncio.Task[NoReturn]] = [
            asyncio.create_task(_work(stack, supervisor, max_age_days=max_age_days), name="work"),
            asyncio.create_task(supervisor.watch(), name="watch"),
        ]
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait({*work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in work:
                if task.done():
                    task.result()
        finally:
            note("stopping everything in order; once more Ctrl-C hurries")
            for waiting in (*work, stopping):
                waiting.cancel()
            await asyncio.gather(*work, stopping, return_exceptions=True)
            await supervisor.stop(hurry)
            stack.postgres.stop()
    note(f"stopped; the data stays in {stack.directory}")


async def _work(stack: Stack, supervisor: Supervisor, *, max_age_days: int) -> NoReturn:
    began = time.monotonic()
    await _start(stack, supervisor, max_age_days=max_age_days)
    vehicle = await _show_first_answers(stack) if stack.devices else None
    for line in await guide(stack.http, stack.gateway, stack.broker, vehicle, stack.postgres.url(DATABASE)):
        say(line)
    note(f"ready after {time.monotonic() - began:.0f} s; Ctrl-C stops everything")
    await _report(stack)


async def _start(stack: Stack, supervisor: Supervisor, *, max_age_days: int) -> None:
    await supervisor.start(await asyncio.to_thread(stack.postgres_service))
    note("database: ready (PostgreSQL)")
    await supervisor.start(stack.broker_service())
    note(f"broker: ready at {stack.broker.url} ({stack.broker.kind})")
    done = await prepare_database(stack.postgres, DATABASE, max_age_days=max_age_days)
    note(f"schema: {done}")
    async with asyncio.TaskGroup() as both:
        both.create_task(supervisor.start(stack.http_service()), name="start http")
        both.create_task(supervisor.start(stack.gateway_service()), name="start gateway")
    note(f"gateway and HTTP: ready, {stack.http.url}")
    if stack.devices:
        await supervisor.start(stack.simulator_service())
        note(
            f"simulator: {stack.devices:,} meters and {stack.devices:,} vehicles, "
            f"a reading each every {SIMULATED_INTERVAL_SECONDS} s"
        )


async def _show_first_answers(stack: Stack) -> str:
    """Waits for the first efficiency and prints it, and that of a charge point that wastes energy; returns the vehicle."""
    first, wasteful = vehicles_to_show(stack.devices)
    note("waiting for the first efficiency")
    for vehicle in (first, wasteful):
        if vehicle is not None:
            note(str(await first_answer(stack.http, vehicle, seconds=FIRST_ANSWER_SECONDS)))
    return first


async def _report(stack: Stack) -> NoReturn:
    """Tells warnings of the services as they appear, and a line on the ingestion now and then."""
    logs = {name: ImportantLines(stack.logs / f"{name}.log") for name in ("gateway", "http", "simulator")}
    every = STATUS_SECONDS_ON_TERMINAL if sys.stdout.isatty() else STATUS_SECONDS
    last: Ingestion | None = await ingestion(stack.gateway)
    due = time.monotonic() + every
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        for name, log in logs.items():
            for line in log.read():
                note(f"{name}: {line}")
        if time.monotonic() >= due:
            due += every
            current = await ingestion(stack.gateway)
            note(_status(current, last, stack.devices))
            last = current or last


def _status(current: Ingestion | None, last: Ingestion | None, devices: int) -> str:
    if current is None or last is None:
        return "the gateway does not answer"
    simulated = f", {2 * devices:,} simulated devices" if devices else ""
    return current.since(last) + simulated


def _record(journal: Journal, service: Service, pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):  # it has ended already; its keeper will say so
        journal.add(
            Started(
                name=service.name,
                pid=pid,
                created=psutil.Process(pid).create_time(),
                command=(*HELD, *service.command),
                stop_signal=service.stop_signal,
                end_signal=service.end_signal,
                stop_seconds=service.stop_seconds,
            )
        )


def _stop_on_signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Events of the first and of the second SIGINT or SIGTERM."""
    stop, hurry = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return stop, hurry
