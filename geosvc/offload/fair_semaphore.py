"""A semaphore with a bounded queue: those who wait get a place in the order of their arrival."""

import asyncio

from geosvc.errors import Unavailable


class FairSemaphore:
    """Limits how many tasks work at the same time, and how many wait for that.

    Args:
        places: how many work at the same time.
        max_waiting: how many may wait for a place.
        wait_seconds: how long one may wait; None for no limit.
    """

    def __init__(self, places: int, max_waiting: int, wait_seconds: float | None) -> None:
        self._places = asyncio.Semaphore(places)
        self._max_waiting = max_waiting
        self._waiting = 0
        self._wait_seconds = wait_seconds

    async def enter(self) -> None:
        """Waits for a place.

        Raises: Unavailable when too many wait already, or when the wait takes too long.
        """
        if not self._places.locked():
            await self._places.acquire()  # there is a free place, so this does not wait
            return
        if self._waiting >= self._max_waiting:
            raise _busy()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._places.acquire()
        except TimeoutError:
            raise _busy() from None
        finally:
            self._waiting -= 1

    def leave(self) -> None:
        """Frees the place; the one that has waited longest gets it."""
        self._places.release()


def _busy() -> Unavailable:
    return Unavailable("the service is busy with large requests; send it again")
