"""Measures how late the event loop runs a timer. It is late when something blocks the loop."""

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
        started = perf_counter()
        cpu_started = process_time()
        await asyncio.sleep(EVERY_SECONDS)
        late_seconds = max(perf_counter() - started - EVERY_SECONDS, 0.0)
        cpu_seconds = process_time() - cpu_started
        lag.observe((), late_seconds)
        held.observe((), min(late_seconds, cpu_seconds))
