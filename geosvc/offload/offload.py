"""Where work is done: at once when it is small, in a thread when it is not, in a child process when
it is large.

A thread lets the loop go on only between two calls of C, and nobody can end it: what is large is in
C for seconds.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from geosvc.offload.children import WAIT_SECONDS, WAITING, ChildLimits, Children, forget
from geosvc.offload.fair_semaphore import FairSemaphore

AT_ONCE_BYTES = 4 << 10
THREAD_BYTES = 64 << 10
THREADS = 2

_Args = TypeVarTuple("_Args")
_T = TypeVar("_T")


class Offload:
    """What one worker has to do its work with.

    Args:
        number: how many child processes there are at the most.
    """

    def __init__(self, number: int, limits: ChildLimits) -> None:
        self._children = Children(number, limits)
        self._short = FairSemaphore(THREADS, WAITING, WAIT_SECONDS)
        self._long = FairSemaphore(THREADS, 1 << 30, None)
        self._threads = ThreadPoolExecutor(2 * THREADS, "offload")

    async def run(self, weight: int, function: Callable[[*_Args], _T], *args: *_Args) -> _T:
        """The result of a pure function.

        Args:
            weight: the bytes of what it reads, or as many as cost what it does.
        Raises: what the function raises; TooCostly, Unavailable.
        """
        if weight <= AT_ONCE_BYTES:
            return function(*args)
        if weight <= THREAD_BYTES:
            return await self.run_in_thread(function, *args)
        return await self.run_in_child(function, *args)

    async def run_in_child(self, function: Callable[[*_Args], _T], *args: *_Args) -> _T:
        """The result of a function that may take long, or much memory.

        Raises: TooCostly, Unavailable.
        """
        found: _T = await self._children.run(function, *args)
        return found

    async def run_in_thread(self, function: Callable[[*_Args], _T], *args: *_Args) -> _T:
        """The result of a function that may be in C for some milliseconds at a time.

        Raises: Unavailable.
        """
        return await self._in_thread(self._short, function, *args)

    async def run_piece(self, function: Callable[[*_Args], _T], *args: *_Args) -> _T:
        """The same for a piece of something that has begun, and waits for its turn as long as it
        takes.
        """
        return await self._in_thread(self._long, function, *args)

    async def _in_thread(
        self, turns: FairSemaphore, function: Callable[[*_Args], _T], *args: *_Args
    ) -> _T:
        await turns.enter()
        work = asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*args))
        work.add_done_callback(lambda _: turns.leave())
        work.add_done_callback(forget)
        return await asyncio.shield(work)

    def close(self) -> None:
        """Ends all of it."""
        self._children.close()
        self._threads.shutdown(wait=False)
