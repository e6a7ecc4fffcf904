"""The cache of answers about an area: an answer is valid until something touches its area.

A request has the change log read first; then it asks whether anything has touched the area since
the answer was made (docs/decisions/0047). So an answer needs no confirmation when it is kept: the
read before it was made tells its position, and every change after it counts.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from geosvc.caching.cache_key import CacheKey
from geosvc.caching.response import CachedResponse
from geosvc.caching.single_flight import Flight

ENTRY_BYTES = 512
"""The memory that an entry takes beside its answer."""

IsValid = Callable[[int], bool]
"""Whether an answer of a position is still right."""

Build = Callable[[], Coroutine[Any, Any, CachedResponse]]


@dataclass(slots=True, eq=False)
class _AreaEntry:
    """A kept answer, and the position of the log at which it was made."""

    answer: CachedResponse
    position: int
    bytes: int


@dataclass(slots=True, eq=False)
class _AreaFlight:
    """An answer that is being made."""

    flight: Flight[CachedResponse]
    position: int


class AreaCache:
    """The answers of one worker; those that were not used for longest make room for others.

    Attributes:
        lookups: how many requests found an answer (`hit`), made one (`miss`), or shared what
            another made (`shared`).
        bytes: of all answers; at most `max_bytes`.
        touched: how many answers were dropped, since their area was touched.
    """

    def __init__(self, max_bytes: int) -> None:
        """If `max_bytes` is 0, nothing is kept."""
        self.max_bytes = max_bytes
        self.bytes = 0
        self.lookups: Counter[str] = Counter()
        self.touched = 0
        self._entries: OrderedDict[CacheKey, _AreaEntry] = OrderedDict()
        self._flights: dict[CacheKey, _AreaFlight] = {}
        self._tasks: set[asyncio.Task[CachedResponse]] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: CacheKey, is_valid: IsValid) -> CachedResponse | None:
        """Returns a kept answer that is still right; None without one."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if not is_valid(entry.position):
            self._drop(key)
            self.touched += 1
            return None
        self._entries.move_to_end(key)
        self.lookups["hit"] += 1
        return entry.answer

    async def share(
        self, key: CacheKey, position: int, is_valid: IsValid, build: Build
    ) -> CachedResponse:
        """Returns an answer that is made once for all who wait for it.

        A request that is cancelled does not disturb the others.

        Args:
            position: of the read of the log that this request has waited for.
        Raises: what `build` raises.
        """
        running = self._flights.get(key)
        if running is not None and is_valid(running.position):
            self.lookups["shared"] += 1
        else:
            self.lookups["miss"] += 1
            running = self._begin(key, position, build)
        answer = running.flight.join()
        try:
            return await answer
        finally:
            was_cancelled = running.flight.leave(answer)
            if was_cancelled and self._flights.get(key) is running:
                del self._flights[key]

    def _begin(self, key: CacheKey, position: int, build: Build) -> _AreaFlight:
        task = asyncio.get_running_loop().create_task(build())
        self._tasks.add(task)
        running = _AreaFlight(Flight(task), position)
        self._flights[key] = running
        task.add_done_callback(partial(self._end, key, running))
        return running

    def _end(
        self, key: CacheKey, running: _AreaFlight, task: "asyncio.Task[CachedResponse]"
    ) -> None:
        self._tasks.discard(task)
        running.flight.deliver()
        if self._flights.get(key) is running:
            del self._flights[key]
        if not task.cancelled() and task.exception() is None:
            self._keep(key, task.result(), running.position)

    def _keep(self, key: CacheKey, answer: CachedResponse, position: int) -> None:
        newer = self._entries.get(key)
        if newer is not None and newer.position > position:
            return
        self._drop(key)
        size = answer.size_bytes + ENTRY_BYTES
        if size > self.max_bytes:
            return
        self._entries[key] = _AreaEntry(answer, position, size)
        self.bytes += size
        self._make_room()

    def resize(self, key: CacheKey, answer: CachedResponse, more_bytes: int) -> None:
        """Counts that an answer takes more bytes than before."""
        entry = self._entries.get(key)
        if entry is not None and entry.answer is answer:
            entry.bytes += more_bytes
            self.bytes += more_bytes
            self._make_room()

    def _make_room(self) -> None:
        while self.bytes > self.max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: CacheKey) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.bytes -= entry.bytes

    async def close(self) -> None:
        """Cancels all work and forgets all answers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._entries.clear()
        self.bytes = 0
