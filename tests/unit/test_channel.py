"""A channel carries everything in its order, holds little, and either side can give up."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.database.writes.bounded_channel import Abandoned, Channel

PATIENCE_SECONDS = 5.0


async def settle() -> None:
    """Lets everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def taken(channel: Channel[int], into: list[int], pauses: int = 0) -> list[int]:
    """Empties a channel."""
    async for item in channel.items():
        into.append(item)
        for _ in range(pauses):
            await asyncio.sleep(0)
    return into


async def soon(work: Coroutine[Any, Any, Any] | asyncio.Future[Any]) -> Any:
    """What comes of it; fails when that takes too long."""
    return await asyncio.wait_for(work, PATIENCE_SECONDS)


@given(
    st.integers(1, 5), st.lists(st.integers(), max_size=40), st.integers(0, 3), st.integers(0, 3)
)
def test_everything_comes_out_once_and_in_order_whoever_is_faster(
    size: int, items: list[int], pauses: int, other_pauses: int
) -> None:
    async def run() -> list[int]:
        channel: Channel[int] = Channel(size)
        taking = asyncio.ensure_future(taken(channel, [], pauses))
        for item in items:
            assert await channel.put(item)
            for _ in range(other_pauses):
                await asyncio.sleep(0)
        await channel.end()
        found: list[int] = await soon(taking)
        return found

    assert asyncio.run(run()) == items


@pytest.mark.parametrize("size", [1, 2, 5])
async def test_no_more_than_its_size_is_in_it(size: int) -> None:
    channel: Channel[int] = Channel(size)
    put: list[int] = []

    async def fill() -> None:
        for number in range(20):
            await channel.put(number)
            put.append(number)
        await channel.end()

    filling = asyncio.ensure_future(fill())
    await settle()
    assert len(put) == size
    items = aiter(channel.items())
    assert await soon(anext(items)) == 0  # type: ignore[arg-type]
    await settle()
    assert len(put) == size + 1
    assert [item async for item in items] == list(range(1, 20))
    await soon(filling)


async def test_what_is_in_it_at_the_end_is_still_taken() -> None:
    channel: Channel[int] = Channel(2)
    assert await channel.put(1)
    assert await channel.put(2)
    await channel.end()
    assert await soon(taken(channel, [])) == [1, 2]


async def test_an_empty_one_that_ends_wakes_who_waits() -> None:
    channel: Channel[int] = Channel(2)
    taking = asyncio.ensure_future(taken(channel, []))
    await settle()
    await channel.end()
    assert await soon(taking) == []


@pytest.mark.parametrize("waiting", [False, True])
async def test_of_one_that_is_abandoned_nothing_counts(waiting: bool) -> None:
    channel: Channel[int] = Channel(2)
    found: list[int] = []
    taking: asyncio.Future[list[int]] | None = (
        asyncio.ensure_future(taken(channel, found)) if waiting else None
    )
    await settle()
    if not waiting:
        await channel.put(1)
        await channel.end()
    channel.abandon()
    with pytest.raises(Abandoned):
        await soon(taking or taken(channel, found))
    assert found == []


@pytest.mark.parametrize("full", [False, True])
async def test_nothing_is_put_into_one_that_is_closed(full: bool) -> None:
    channel: Channel[int] = Channel(1)
    if full:
        assert await channel.put(1)
        putting = asyncio.ensure_future(channel.put(2))
        await settle()
        assert not putting.done()
        channel.close()
        assert await soon(putting) is False
    else:
        channel.close()
    assert await soon(channel.put(3)) is False
    await soon(channel.end())


@pytest.mark.parametrize("give_up", [Channel.abandon, Channel.close])
async def test_giving_up_again_and_after_the_end_does_no_harm(
    give_up: Callable[[Channel[int]], None],
) -> None:
    channel: Channel[int] = Channel(1)
    await channel.end()
    assert await soon(taken(channel, [])) == []
    give_up(channel)
    give_up(channel)
    await settle()


async def test_one_who_is_cancelled_while_waiting_leaves_it_usable() -> None:
    channel: Channel[int] = Channel(1)
    assert await channel.put(1)
    putting = asyncio.ensure_future(channel.put(2))
    await settle()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    await channel.end()
    assert await soon(taken(channel, [])) == [1]
