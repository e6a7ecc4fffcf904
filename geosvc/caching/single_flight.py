"""One computation whose result several requests wait for."""

import asyncio
from typing import Generic, TypeVar

from geosvc.errors import InternalError

_T = TypeVar("_T")


class Flight(Generic[_T]):
    """A running computation, and the requests that wait for its result.

    Each request waits for a future of its own. So a request that is cancelled ends only its own
    future; the computation goes on for the others. It is cancelled when nobody waits any more.
    """

    __slots__ = ("_task", "_waiters")

    def __init__(self, task: "asyncio.Task[_T]") -> None:
        self._task = task
        self._waiters: set[asyncio.Future[_T]] = set()

    def join(self) -> "asyncio.Future[_T]":
        """Returns a future that gets the result of the computation, or its exception."""
        waiter: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        return waiter

    def leave(self, waiter: "asyncio.Future[_T]") -> bool:
        """Waits no longer.

        Returns:
            whether the computation was cancelled, because nobody waits any more.
        """
        self._waiters.discard(waiter)
        if self._waiters or self._task.done():
            return False
        self._task.cancel()
        return True

    def deliver(self) -> None:
        """Gives the result or the exception to all who wait, when the computation has ended."""
        task = self._task
        error: BaseException | None
        if task.cancelled():
            error = InternalError("the work ended without an answer")
        else:
            error = task.exception()
        for waiter in self._waiters:
            if waiter.done():
                continue  # its request was cancelled, and has not left yet
            if error is None:
                waiter.set_result(task.result())
            else:
                waiter.set_exception(error)
