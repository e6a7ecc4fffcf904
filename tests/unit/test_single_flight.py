"""One computation for several who wait: who gets what, and when it is cancelled."""

import asyncio

import pytest

from geosvc.caching.single_flight import Flight
from geosvc.errors import InternalError, NotFound


async def _wait_for(go: asyncio.Event) -> str:
    await go.wait()
    return "answer"


def _begin() -> tuple[asyncio.Event, "asyncio.Task[str]", Flight[str]]:
    go = asyncio.Event()
    task = asyncio.create_task(_wait_for(go))
    return go, task, Flight(task)


async def test_all_who_wait_get_the_answer() -> None:
    go, task, flight = _begin()
    waiters = [flight.join(), flight.join()]
    go.set()
    await task
    flight.deliver()
    assert [await waiter for waiter in waiters] == ["answer", "answer"]


async def test_the_work_goes_on_while_somebody_waits() -> None:
    _, task, flight = _begin()
    first, second = flight.join(), flight.join()
    assert not flight.leave(first)
    assert not task.cancelling()
    assert flight.leave(second)
    assert task.cancelling()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_was_cancelled_gets_no_answer_and_does_not_disturb_the_others() -> None:
    go, task, flight = _begin()
    cancelled, other = flight.join(), flight.join()
    cancelled.cancel()
    go.set()
    await task
    flight.deliver()
    assert await other == "answer"
    assert not flight.leave(other)


async def test_all_who_wait_get_the_error() -> None:
    async def fail() -> str:
        raise NotFound("gone")

    task = asyncio.create_task(fail())
    flight = Flight(task)
    waiters = [flight.join(), flight.join()]
    await asyncio.wait([task])
    flight.deliver()
    for waiter in waiters:
        with pytest.raises(NotFound):
            await waiter


async def test_nobody_waits_for_ever_for_work_that_was_cancelled() -> None:
    _, task, flight = _begin()
    waiter = flight.join()
    task.cancel()
    await asyncio.wait([task])
    flight.deliver()
    with pytest.raises(InternalError):
        await waiter
