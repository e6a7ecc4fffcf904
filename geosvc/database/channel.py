"""A narrow channel between who reads a body and who stores it: a few pieces are in it, and either side can give up."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Abandoned(Exception):
    """Whoever filled the channel gave up."""


class Channel(Generic[_T]):
    """A queue of at most `size` items that one side fills and the other empties."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[_T] = deque()
        self._changed = asyncio.Condition()
        self._ended = False
        self._abandoned = False
        self._closed = False

    async def put(self, item: _T) -> bool:
        """Waits for a place. False when nobody takes anything any more."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._items) < self._size or self._closed)
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()
        return not self._closed

    async def end(self) -> None:
        """Says that everything is in it."""
        async with self._changed:
            self._ended = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Says that nothing of it counts; from where nothing can be waited for."""
        self._abandoned = True
        self._wake()

    def close(self) -> None:
        """Says that nobody takes anything any more."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        async def notify() -> None:
            async with self._changed:
                self._changed.notify_all()

        task = asyncio.ensure_future(notify())
        self._waking = task  # the loop holds tasks weakly

    async def items(self) -> AsyncIterator[_T]:
        """The items until the end. Raises: Abandoned."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._items) or self._ended or self._abandoned)
                if self._abandoned:
                    raise Abandoned
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
