"""A subscriber's queue: bounded, in order, and cut off loudly."""

import asyncio

from geosvc.live.evaluation import Selection
from geosvc.live.subscriber import Subscriber
from geosvc.model.snapshot import Snapshot
from geosvc.requests.items import ItemsQuery

SOON = 0.01


def subscriber(max_bytes: int = 100) -> tuple[Subscriber, list[str]]:
    """A subscriber, and what happens when it is cut off."""
    dropped: list[str] = []
    made = Subscriber(
        Selection(ItemsQuery(None)), Snapshot(1, 1), max_bytes, lambda: dropped.append("dropped")
    )
    return made, dropped


async def test_events_come_in_order_and_in_one_piece() -> None:
    one, _ = subscriber()
    assert one.put(b"a")
    assert one.put(b"b")
    assert await one.take(SOON) == b"ab"
    waiting = asyncio.create_task(one.take(5))
    await asyncio.sleep(0)
    one.put(b"c")
    assert await waiting == b"c"


async def test_nothing_is_told_as_nothing_and_the_end_as_the_end() -> None:
    one, _ = subscriber()
    assert await one.take(SOON) == b""
    one.put(b"last")
    one.end()
    assert await one.take(SOON) == b"last"
    assert await one.take(SOON) is None
    assert one.put(b"too late")
    assert await one.take(SOON) is None


async def test_who_does_not_keep_up_is_cut_off_once() -> None:
    one, dropped = subscriber(10)
    assert one.put(b"12345678")
    assert not one.put(b"12345678")
    assert one.put(b"more")
    assert dropped == ["dropped"]
    assert await one.take(SOON) is None


async def test_one_event_larger_than_the_queue_passes_when_nothing_waits() -> None:
    one, dropped = subscriber(10)
    assert one.put(b"a large event, but the only one")
    assert await one.take(SOON) == b"a large event, but the only one"
    assert one.put(b"next")
    assert not dropped


async def test_what_comes_at_the_moment_of_a_heartbeat_is_taken_before_it() -> None:
    one, _ = subscriber()
    waiting = asyncio.create_task(one.take(0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # its time is over, and it does not know yet
    one.put(b"a")
    assert await waiting == b"a"  # a heartbeat would say that everything was sent
