"""Decides where work runs: small work on the loop, larger work in a thread, large work in a child
process.

While a thread is within a call of C that holds the interpreter's lock, the loop stands still, and
nothing can end the call. Large bodies cause calls of seconds, so a child process reads them.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar, TypeVarTuple

from geosvc.offload.children import WAIT_SECONDS, WAITING, ChildLimits, Children, forget
from geosvc.offload.fair_semaphore import FairSemaphore

LOOP_BYTES = 4 << 10
THREAD_BYTES = 64 << 10
THREADS = 2
_UNLIMITED = 1 << 30

_Args = TypeVarTuple("_Args")
_T = TypeVar("_T")


class Offload:
    """The threads and child processes of one worker.

    Args:
        number: the most child processes at the same time.
    """

    def __init__(self, number: int, limits: ChildLimits) -> None:
        self._children = Children(number, limits)
        self._requests = FairSemaphore(THREADS, WAITING, WAIT_SECONDS)
        self._pieces = FairSemaphore(THREADS, _UNLIMITED, None)
        self._threads = ThreadPoolExecutor(2 * THREADS, "offload")

    async def run(self, weight: int, function: Callable[[*_Args], _T], *args: *_Args) -> _T:
        """Runs a pure function where its work belongs, and returns its result.

        Args:
            weight: the number of bytes that the function reads; for other work, the number of
                bytes whose reading takes as long.
        Raises: what the function raises; TooCostly, Unavailable.
        """
        if weight <= LOOP_BYTES:
            return function(*args)
        if weight <= THREAD_BYTES:
            return await self.run_in_thread(function, *args)
        return await self.run_in_child(function, *args)

    async def run_in_child(self, function: Callable[[*_Args], _T], *args: *_Args) -> _T:
        """Runs a function that may take long, or need much memory.

        Raises: what the function raises; TooCostly, Unavailable.
        """
        result: _T = await self._children.run(function, *args)
        return result

    async def run_in_thread(self, function: Callable[[*_Args], _T], *args: *_Args) -> _T:
        """Runs a function whose calls of C take some milliseconds at most.

        Raises: what the function raises; Unavailable.
        """
        call = partial(function, *args)
        return await self._in_thread(self._requests, call)

    async def run_piece(self, function: Callable[[*_Args], _T], *args: *_Args) -> _T:
        """Runs a function on a piece of a bulk load. It waits for a thread without a limit, since
        the load has begun.

        Raises: what the function raises.
        """
        call = partial(function, *args)
        return await self._in_thread(self._pieces, call)

    async def _in_thread(self, semaphore: FairSemaphore, call: Callable[[], _T]) -> _T:
        await semaphore.enter()
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._threads, call)
        work.add_done_callback(lambda _: semaphore.leave())
        work.add_done_callback(forget)
        return await asyncio.shield(work)

    def close(self) -> None:
        """Ends the child processes and the threads."""
        self._children.close()
        self._threads.shutdown(wait=False)
