"""Measures how late the event loop runs a timer, because a handler blocks it."""

import asyncio
from time import perf_counter, process_time

from geosvc.observe.metrics import Histogram

EVERY_SECONDS = 0.05


async def watch_loop(lag: Histogram, held: Histogram) -> None:
    """Measures until it is cancelled.

    Args:
        lag: the delay of the timer.
        held: the part of the delay in which this process used a CPU.
    """
    while True:
        started, worked = perf_counter(), process_time()
        await asyncio.sleep(EVERY_SECONDS)
        late = max(perf_counter() - started - EVERY_SECONDS, 0.0)
        lag.observe((), late)
        held.observe((), min(late, process_time() - worked))
