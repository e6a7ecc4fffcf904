"""How late the event loop comes back to a timer: what a handler that keeps it busy costs everybody else."""

import asyncio
from time import perf_counter

from geosvc.observe.metrics import Histogram

EVERY_SECONDS = 0.5


async def watch_loop(lag: Histogram) -> None:
    """Measures until it is cancelled."""
    while True:
        started = perf_counter()
        await asyncio.sleep(EVERY_SECONDS)
        lag.observe((), max(perf_counter() - started - EVERY_SECONDS, 0.0))
