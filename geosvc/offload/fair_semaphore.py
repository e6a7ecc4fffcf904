"""So many at once, the others in the order in which they came."""

import asyncio

from geosvc.errors import Unavailable


class FairSemaphore:
    """Places to work.

    Args:
        at_once: how many work at the same time.
        waiting: how many may wait for a place.
        wait_seconds: how long one may wait; None as long as it takes.
    """

    def __init__(self, at_once: int, waiting: int, wait_seconds: float | None) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._most_waiting = waiting
        self._waiting = 0
        self._wait_seconds = wait_seconds

    async def enter(self) -> None:
        """Waits for a place. Raises: Unavailable."""
        if not self._places.locked():
            await self._places.acquire()  # which does not wait
            return
        if self._waiting >= self._most_waiting:
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
        """Gives the place to the next."""
        self._places.release()


def _busy() -> Unavailable:
    return Unavailable("the service is busy with large requests; send it again")
