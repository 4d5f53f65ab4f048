"""Watches from when on a reading can be seen in the live tables, by asking for those that are due every few milliseconds."""

import asyncio
import time
from collections.abc import Callable

import msgspec
from asyncpg.prepared_stmt import PreparedStatement

from joulegate_cli.bench.schedule import Schedule
from joulegate_cli.bench.statements import statement
from joulegate_core.errors import JoulegateError
from joulegate_db.connect import READER_SETTINGS, connect

POLL_SECONDS = 0.003
SAMPLES_A_SECOND = 100
GIVE_UP_SECONDS = 30.0


class Waiting(msgspec.Struct, frozen=True):
    """A reading that is due and was not seen yet."""

    device: str
    due: int


async def watch(url: str, schedule: Schedule, progress: Callable[[int], None]) -> list[float]:
    """The delays of a sample of the readings, from when each was due to when it was seen, in milliseconds.

    Raises:
        JoulegateError: a reading cannot be seen after 30 s.
    """
    connection = await connect(url, READER_SETTINGS)
    try:
        live = await connection.prepare(statement("live_times"))
        return await _watch(live, schedule, progress)
    finally:
        await connection.close()


async def _watch(live: PreparedStatement, schedule: Schedule, progress: Callable[[int], None]) -> list[float]:
    step = max(1, int(schedule.rate / SAMPLES_A_SECOND)) | 1  # odd: meters and vehicles in turn
    sampled, delays, waiting = 0, [], dict[int, Waiting]()
    while waiting or sampled < schedule.count:
        due = schedule.due_before(time.time())
        for index in range(sampled, due, step):
            waiting[index] = Waiting(_device(schedule.slot(index)), schedule.due(index))
            sampled = index + step
        if waiting:
            newest = await _newest(live, waiting)
            now = time.time() * 1000
            seen = [index for index, one in waiting.items() if newest.get(one.device, 0) >= one.due]
            delays += [now - waiting.pop(index).due for index in seen]
            if any(now - one.due > GIVE_UP_SECONDS * 1000 for one in waiting.values()):
                raise JoulegateError(f"a reading cannot be seen {GIVE_UP_SECONDS:.0f} s after it was due")
        progress(due)
        await asyncio.sleep(POLL_SECONDS)
    return delays


async def _newest(live: PreparedStatement, waiting: dict[int, Waiting]) -> dict[str, int]:
    devices = {one.device for one in waiting.values()}
    meters = [device for device in devices if device.startswith("m")]
    return dict(await live.fetch(meters, list(devices.difference(meters))))


def _device(slot: int) -> str:
    return f"{'mv'[slot % 2]}-{slot // 2:06d}"
