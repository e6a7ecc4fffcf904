"""Work in the background: a failure is an event, and the work begins again."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from geosvc import background
from geosvc.background import in_background
from geosvc.events import BackgroundWorkFailed, subscribe


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The failures that are reported, while the pause after each is short."""
    monkeypatch.setattr(background, "RESTART_SECONDS", 0.0)
    found: list[Any] = []
    unsubscribe = subscribe(found.append, BackgroundWorkFailed)
    yield found
    unsubscribe()


class Work:
    """Work that fails in some ways, one after the other, and then goes on."""

    def __init__(self, *ways: BaseException) -> None:
        self.ways = list(ways)
        self.goes_on = asyncio.Event()

    async def follow(self) -> None:
        """Works."""
        if self.ways:
            raise self.ways.pop(0)
        self.goes_on.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    "way",
    [
        AttributeError("'NoneType' object has no attribute 'rstrip'"),
        RuntimeError("the handler is closed"),
        asyncio.CancelledError(),
    ],
    ids=lambda way: type(way).__name__,
)
async def test_work_that_fails_is_reported_and_begins_again(
    failures: list[Any], way: BaseException
) -> None:
    work = Work(way, way)
    async with in_background(work.follow):
        async with asyncio.timeout(5):
            await work.goes_on.wait()
    assert [each.work for each in failures] == ["Work.follow"]
    for each in failures:
        assert type(way).__name__ in each.reason
        assert "raise self.ways.pop(0)" in each.traceback


async def test_work_ends_with_its_context_and_that_is_no_failure(
    failures: list[Any],
) -> None:
    work = Work()
    async with in_background(work.follow):
        await work.goes_on.wait()
    assert failures == []


async def test_work_that_returns_is_done(failures: list[Any]) -> None:
    begun = 0

    async def once() -> None:
        nonlocal begun
        begun += 1

    async with in_background(once):
        await asyncio.sleep(0.01)
    assert begun == 1
    assert failures == []


async def test_work_whose_end_fails_ends_all_the_same(failures: list[Any]) -> None:
    goes_on = asyncio.Event()

    async def follow() -> None:
        goes_on.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("it hides that it was cancelled")

    async with asyncio.timeout(5), in_background(follow):
        await goes_on.wait()
    assert ["it hides" in each.reason for each in failures] == [True]
