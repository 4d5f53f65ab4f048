"""The inbox: first in, first out, batches by size or linger, and a gate that bounds what is unsettled."""

import asyncio
import time
from collections import deque
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulegate_core.telemetry import Message, Rejection, Stream
from joulegate_gateway.connection import Connection
from joulegate_gateway.inbox import LONGEST_LULL_SECONDS, Delivery, Inbox

LONG = 3600.0
"""A linger that no test waits out."""

NOBODY = cast("Connection", None)


def delivery(number: int, *, age: float = 0.0) -> Delivery:
    """A delivery that can be told from others by its packet id, arrived `age` seconds ago."""
    message = Message(Stream.METER, "fleet/cp-1/meter", b"", Rejection("empty", ""))
    return Delivery(message, NOBODY, number, time.monotonic() - age)


def inbox(*, batch_max: int = 3, linger_seconds: float = LONG, capacity: int = 100, filled: int = 0) -> Inbox:
    """An inbox with `filled` deliveries, numbered from 0."""
    box = Inbox(batch_max=batch_max, linger_seconds=linger_seconds, capacity=capacity)
    for number in range(filled):
        box.put(delivery(number))
    return box


async def batch_of(box: Inbox) -> list[int | None] | None:
    """The next batch's numbers; fails when none comes soon."""
    async with asyncio.timeout(5):
        batch = await box.next_batch()
    return None if batch is None else [d.packet_id for d in batch]


async def test_a_full_batch_does_not_linger() -> None:
    box = inbox(filled=7)
    assert [await batch_of(box), await batch_of(box)] == [[0, 1, 2], [3, 4, 5]]


async def test_a_batch_is_complete_when_its_last_message_arrives() -> None:
    box = inbox(filled=1)
    waiting = asyncio.create_task(batch_of(box))
    await asyncio.sleep(0.01)
    box.put(delivery(1))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    box.put(delivery(2))
    assert await waiting == [0, 1, 2]


async def test_what_is_there_goes_when_the_linger_is_over() -> None:
    box = inbox(linger_seconds=0.05)
    waiting = asyncio.create_task(batch_of(box))
    await asyncio.sleep(0.01)
    for number in range(2):
        box.put(delivery(number))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    assert await waiting == [0, 1]


async def test_the_linger_counts_from_the_oldest_arrival() -> None:
    box = inbox()
    box.put(delivery(0, age=LONG))
    box.put(delivery(1))
    assert await batch_of(box) == [0, 1]


async def test_a_batch_does_not_wait_for_more_than_the_capacity() -> None:
    assert await batch_of(inbox(batch_max=1000, capacity=2, filled=2)) == [0, 1]


async def test_the_gate_shuts_at_the_capacity_and_opens_when_there_is_room() -> None:
    box = inbox(capacity=4, filled=3)
    assert box.gate.is_set()
    box.put(delivery(3))
    assert not box.gate.is_set()
    assert await batch_of(box) == [0, 1, 2]
    assert not box.gate.is_set()  # handed out is not settled
    box.settled(1)
    assert box.gate.is_set()


async def test_what_arrives_after_the_gate_shut_is_kept_and_counts() -> None:
    box = inbox(capacity=2, filled=4)
    assert await batch_of(box) == [0, 1, 2]
    box.settled(2)
    assert not box.gate.is_set()
    box.settled(1)
    assert box.gate.is_set()
    box.close()
    assert await batch_of(box) == [3]


async def test_closing_hands_out_the_rest_at_once_and_then_nothing() -> None:
    box = inbox(filled=5)
    box.close()
    assert not box.gate.is_set()
    assert [await batch_of(box), await batch_of(box), await batch_of(box)] == [[0, 1, 2], [3, 4], None]
    box.settled(5)
    assert not box.gate.is_set()


@pytest.mark.parametrize("filled", [0, 2])
async def test_closing_wakes_who_waits(filled: int) -> None:
    box = inbox(filled=filled)
    waiting = asyncio.create_task(batch_of(box))
    await asyncio.sleep(0.01)
    box.close()
    assert await waiting == (list(range(filled)) or None)


@settings(deadline=None)
@given(
    batch_max=st.integers(1, 5),
    capacity=st.integers(1, 12),
    steps=st.lists(
        st.one_of(st.integers(1, 6).map(lambda n: ("put", n)), st.just(("take", 0)), st.just(("settle", 0)))
    ),
)
def test_any_order_of_events_keeps_the_order_of_arrival(
    batch_max: int, capacity: int, steps: list[tuple[str, int]]
) -> None:
    async def run() -> None:
        box = Inbox(batch_max=batch_max, linger_seconds=0, capacity=capacity)
        taken: list[int | None] = []
        arrived = settled = 0
        batches: deque[int] = deque()
        for step, count in steps:
            if step == "put":
                for _ in range(count):
                    box.put(delivery(arrived))
                    arrived += 1
            elif step == "take" and arrived > len(taken):
                batch = await batch_of(box)
                assert batch is not None
                assert 1 <= len(batch) <= batch_max
                taken += batch
                batches.append(len(batch))
            elif step == "settle" and batches:
                done = batches.popleft()
                settled += done
                box.settled(done)
            assert box.gate.is_set() == (arrived - settled < capacity)
        assert taken == list(range(len(taken)))

    asyncio.run(run())


async def test_a_small_batch_that_lingers_need_not_be_filled_one_by_one() -> None:
    box = inbox(batch_max=1000, linger_seconds=0.1, capacity=2000)
    assert box.lull() == 0
    box.put(delivery(0, age=0.04))
    assert 0.03 < box.lull() < 0.06
    assert await batch_of(box) == [0]
    box.put(delivery(1, age=0.1))
    assert box.lull() == 0


async def test_there_is_no_lull_in_a_backlog_nor_where_few_make_a_batch() -> None:
    backlog = inbox(batch_max=1000, capacity=2000, filled=1000)
    assert backlog.lull() == 0
    assert len(await batch_of(backlog) or ()) == 1000
    backlog.put(delivery(1000))
    assert backlog.lull() == 0  # the batch before it was large: the next one is filled as fast as can be
    assert inbox(batch_max=100, capacity=1000, filled=1).lull() == 0
    assert inbox(batch_max=1000, capacity=100, filled=1).lull() == 0


async def test_a_lull_is_no_longer_than_other_packets_may_wait() -> None:
    assert inbox(batch_max=1000, capacity=2000, filled=1).lull() == LONGEST_LULL_SECONDS
