"""A bounded queue between the reader of a request body and the transaction that stores it.

It holds a few items, and either side can stop the transfer.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Abandoned(Exception):
    """The producer stopped before the end: the items must not be used."""


class Channel(Generic[_T]):
    """A queue of at most `size` items with one producer and one consumer.

    The producer calls `put`, then `end` or `abandon`. The consumer iterates over `items`, and calls
    `close` when it takes no more.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[_T] = deque()
        self._changed = asyncio.Condition()
        self._ended = False
        self._abandoned = False
        self._closed = False

    async def put(self, item: _T) -> bool:
        """Wait until there is room, and add an item. Returns: False if the channel is closed."""
        async with self._changed:
            await self._changed.wait_for(self._can_put)
            if self._closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
        return not self._closed

    def _can_put(self) -> bool:
        return self._closed or len(self._items) < self._size

    async def end(self) -> None:
        """Mark the channel as complete: no more items follow."""
        async with self._changed:
            self._ended = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Make the consumer fail with `Abandoned`. Does not wait, so any code can call it."""
        self._abandoned = True
        self._wake()

    def close(self) -> None:
        """Make `put` return False. Does not wait, so any code can call it."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        # the loop only holds a weak reference to a task
        self._waking = asyncio.ensure_future(self._notify())

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def items(self) -> AsyncIterator[_T]:
        """Yield the items, in order, until the producer ends. Raises: Abandoned."""
        while True:
            async with self._changed:
                await self._changed.wait_for(self._can_take)
                if self._abandoned:
                    raise Abandoned
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item

    def _can_take(self) -> bool:
        return bool(self._items) or self._ended or self._abandoned
