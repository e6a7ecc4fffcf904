"""Work that goes on in the background for as long as the service runs.

A task of asyncio that fails is reported to nobody until it is collected. Here a failure is an
event, and the work begins again: a worker that followed its catalog or its change log no more would
answer with what is old, and look healthy.
"""

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from geosvc.events import BackgroundWorkFailed, emit

RESTART_SECONDS = 1.0

BackgroundWork = Callable[[], Coroutine[Any, Any, None]]


@asynccontextmanager
async def in_background(work: BackgroundWork) -> AsyncIterator[None]:
    """Does some work until the context ends.

    Args:
        work: begins the work; it is called again after each failure.
    """
    task = start_background(work)
    yield
    await stop_background(task)


def start_background(work: BackgroundWork) -> "asyncio.Task[None]":
    """Starts some work in a task of its own, which never fails."""
    return asyncio.create_task(_repeat_after_failures(work))


async def stop_background(task: "asyncio.Task[None]") -> None:
    """Cancels some work, and waits for its end."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _repeat_after_failures(work: BackgroundWork) -> None:
    task = asyncio.current_task()
    assert task is not None
    reported = ""
    while True:
        try:
            await work()
        except (Exception, asyncio.CancelledError) as error:
            # a cancellation that nobody asked for is that of a library, which told nobody why
            if task.cancelling() and isinstance(error, asyncio.CancelledError):
                raise
            reason = f"{type(error).__name__}: {error}"
            if reason != reported:  # the same again each second would bury the rest of the log
                _report_failure(work, reason, error)
            reported = reason
            if task.cancelling():
                return
        else:
            return
        await asyncio.sleep(RESTART_SECONDS)


def _report_failure(work: BackgroundWork, reason: str, error: BaseException) -> None:
    function = work.func if isinstance(work, partial) else work
    name = getattr(function, "__qualname__", repr(function))
    emit(BackgroundWorkFailed(name, reason, "".join(traceback.format_exception(error))))
