"""Answers kept in memory for as long as they hold: bounded by bytes, the least recently used go first.

An answer belongs to a question and to a version of the published table that it is about. Whoever asks says which version the
table has now, having read the change log since it began to ask, and so never meets an answer of another one. That is all that
freshness rests on: no notification has to arrive in time (docs/decisions/0021).
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine
from functools import partial
from hashlib import blake2b
from itertools import count
from time import monotonic
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, cast

from geosvc.errors import InternalError
from geosvc.model.principal import Principal

ENTRY_BYTES = 768
"""What an entry takes beside its value."""

_DIGEST_BYTES = 12
_T = TypeVar("_T")

Kind = Literal["page", "item", "count", "extent"]
Work = Callable[[], Coroutine[Any, Any, _T]]
SizeOf = Callable[[_T], int | None]
"""The bytes of an answer; None when it is not to be kept."""


class VersionSource(Protocol):
    """The versions of published tables."""

    async def current(self, publication: int) -> int | None:
        """The version of a published table as of a read of the change log that began after this call; None while the log
        cannot be read, or when the table is not published.
        """
        ...

    def last_known(self, publication: int) -> int | None:
        """The version as it was last read."""
        ...


class CacheKey(NamedTuple):
    """What is asked, of which published table.

    Attributes:
        digest: of all that makes one answer differ from another, but for the version.
    """

    kind: Kind
    publication: int
    digest: str


def cache_key(kind: Kind, publication: int, principal: Principal, *parts: object) -> CacheKey:
    """The question of these parts, whose `repr` tells them apart.

    Args:
        principal: whose privileges the answer is made with.
    """
    text = repr((kind, publication, principal, *parts))
    return CacheKey(
        kind,
        publication,
        blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest(),
    )


class _Entry:
    __slots__ = ("bytes", "stored_at", "used", "value")

    def __init__(self, value: object, size_bytes: int, stored_at: float) -> None:
        self.value = value
        self.bytes = size_bytes
        self.stored_at = stored_at
        self.used = 0


class _TableEntries:
    """The answers about one version of one table, the least recently used first."""

    __slots__ = ("bytes", "entries", "version")

    def __init__(self, version: int) -> None:
        self.version = version
        self.entries: OrderedDict[CacheKey, _Entry] = OrderedDict()
        self.bytes = 0


class _Flight:
    """Work on a question, and those who wait for it."""

    __slots__ = ("key", "size", "task", "value", "version", "waiting")

    def __init__(self, key: CacheKey, version: int) -> None:
        self.key = key
        self.version = version
        self.waiting: set[asyncio.Future[Any]] = set()
        self.task: asyncio.Task[Any] | None = None
        self.value: Any = None
        self.size: int | None = None


class Cache:
    """The answers of one process.

    Work for an answer begins when the version is known. The answer is handed out as soon as it is there and kept when the log,
    read once more after that, still tells the same version: then nothing can have changed in between. Until it has been read
    again, those who ask at the same version share the answer as they shared the work; that they read this version themselves
    tells as much.

    Attributes:
        lookups: how often there was an answer (`hit`), or none (`miss`), or somebody at work on it (`shared`), by kind.
        refused: answers that were not kept, by reason: the version had `moved`, the log was `unreadable`, or `large`.
        evicted, moved: entries that made room, and those whose version is gone.
        bytes: of all entries, at most `max_bytes`.
        hit_age_seconds: the sum of the ages of entries when they were used.
    """

    def __init__(
        self, versions: VersionSource, max_bytes: int, clock: Callable[[], float] = monotonic
    ) -> None:
        """With `max_bytes` 0 nothing is kept or shared."""
        self.versions = versions
        self.max_bytes = max_bytes
        self.bytes = 0
        self.lookups: Counter[tuple[Kind, str]] = Counter()
        self.refused: Counter[str] = Counter()
        self.evicted = 0
        self.moved = 0
        self.hit_age_seconds = 0.0
        self._clock = clock
        self._uses = count()
        self._shelves: dict[int, _TableEntries] = {}
        self._flights: dict[tuple[CacheKey, int], _Flight] = {}
        self._ended: dict[int, list[_Flight]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return sum(len(shelf.entries) for shelf in self._shelves.values())

    def holds(self, key: CacheKey) -> bool:
        """Whether there is an answer, which may be of a version that is gone."""
        shelf = self._shelves.get(key.publication)
        return shelf is not None and key in shelf.entries

    def find(self, key: CacheKey, version: int) -> Any:
        """The answer at this version; None when there is none.

        Args:
            version: by `VersionSource.current`, called after the request came.
        """
        shelf = self._shelves.get(key.publication)
        if shelf is None:
            return None
        if shelf.version != version:
            if self.versions.last_known(key.publication) == version:
                self._drop(key.publication)  # nobody can ask for what is there any more
            return None
        entry = shelf.entries.get(key)
        if entry is None:
            return None
        shelf.entries.move_to_end(key)
        entry.used = next(self._uses)
        self.hit_age_seconds += self._clock() - entry.stored_at
        self.lookups[key.kind, "hit"] += 1
        return entry.value

    async def share(self, key: CacheKey, version: int, work: Work[_T], size_of: SizeOf[_T]) -> _T:
        """The answer at this version: the one that is kept, the one that others wait for, or that of `work`.

        One who is cancelled does not disturb the others; when the last has left, the work is cancelled. What it raises, all of
        them get.
        """
        if not self.max_bytes:
            return await work()
        found = self.find(key, version)
        if found is not None:
            return cast("_T", found)
        flight = self._flights.get((key, version))
        self.lookups[key.kind, "miss" if flight is None else "shared"] += 1
        if flight is None:
            flight = self._begin(key, version, work, size_of)
        elif flight.size is not None:
            return cast("_T", flight.value)
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        flight.waiting.add(future)
        try:
            return await future
        finally:
            flight.waiting.discard(future)
            if not flight.waiting and flight.task is not None and not flight.task.done():
                del self._flights[key, version]
                flight.task.cancel()

    def put_unconfirmed(
        self, key: CacheKey, version: int | None, value: object, size_bytes: int
    ) -> None:
        """Takes an answer that was made without `share`, to be kept as one of those.

        Args:
            version: the version as it was known before the work began; None when it was not.
        """
        if not self.max_bytes:
            return
        self.lookups[key.kind, "miss"] += 1
        if version is None:
            self.refused["unreadable"] += 1
        elif (key, version) not in self._flights:
            flight = self._flights[key, version] = _Flight(key, version)
            flight.value = value
            self._complete(flight, size_bytes)

    def resize(self, key: CacheKey, value: object, by_bytes: int) -> None:
        """Takes note that an answer that `find` or `share` gave takes more bytes than it did."""
        shelf = self._shelves.get(key.publication)
        entry = shelf.entries.get(key) if shelf is not None else None
        if shelf is None or entry is None or entry.value is not value:
            for flight in self._flights.values():  # it is not kept yet, or will not be
                if flight.value is value and flight.size is not None:
                    flight.size += by_bytes
            return
        entry.bytes += by_bytes
        shelf.bytes += by_bytes
        self.bytes += by_bytes
        self._make_room()

    async def close(self) -> None:
        """Ends all work and forgets everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for publication in list(self._shelves):
            self._drop(publication)

    def _begin(self, key: CacheKey, version: int, work: Work[Any], size_of: SizeOf[Any]) -> _Flight:
        flight = self._flights[key, version] = _Flight(key, version)
        flight.task = self._start(work())
        flight.task.add_done_callback(partial(self._resolve, flight, size_of))
        return flight

    def _start(self, work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _resolve(self, flight: _Flight, size_of: SizeOf[Any], task: "asyncio.Task[Any]") -> None:
        waiting = [future for future in flight.waiting if not future.done()]
        error = (
            InternalError("the work ended without an answer")
            if task.cancelled()
            else task.exception()
        )
        if error is not None:
            if self._flights.get((flight.key, flight.version)) is flight:
                del self._flights[flight.key, flight.version]
            for future in waiting:
                future.set_exception(error)
            return
        flight.value = task.result()
        for future in waiting:
            future.set_result(flight.value)
        if self._flights.get((flight.key, flight.version)) is flight:
            self._complete(flight, size_of(flight.value))

    def _complete(self, flight: _Flight, size_bytes: int | None) -> None:
        """Keeps an answer when the version turns out not to have moved."""
        if size_bytes is None or size_bytes + ENTRY_BYTES > self.max_bytes:
            del self._flights[flight.key, flight.version]
            self.refused["large"] += size_bytes is not None
            return
        flight.size = size_bytes + ENTRY_BYTES
        publication = flight.key.publication
        if publication in self._ended:
            self._ended[publication].append(flight)
        else:
            self._ended[publication] = [flight]
            self._start(self._confirm(publication))

    async def _confirm(self, publication: int) -> None:
        """Reads the version once more for all answers that came since it was last read."""
        try:
            while ended := self._ended[publication]:
                self._ended[publication] = []
                try:
                    version = await self.versions.current(publication)
                finally:
                    for flight in ended:
                        del self._flights[flight.key, flight.version]
                for flight in ended:
                    if version == flight.version:
                        self._keep(flight)
                    else:
                        self.refused["unreadable" if version is None else "moved"] += 1
        finally:
            for flight in self._ended.pop(publication):
                del self._flights[flight.key, flight.version]

    def _keep(self, flight: _Flight) -> None:
        if flight.size is None or flight.size > self.max_bytes:
            self.refused["large"] += 1
            return
        publication = flight.key.publication
        shelf = self._shelves.get(publication)
        if shelf is None or shelf.version != flight.version:
            self._drop(publication)
            shelf = self._shelves[publication] = _TableEntries(flight.version)
        entry = _Entry(flight.value, flight.size, self._clock())
        entry.used = next(self._uses)
        replaced = shelf.entries.pop(flight.key, None)
        shelf.entries[flight.key] = entry
        more = entry.bytes - (replaced.bytes if replaced is not None else 0)
        shelf.bytes += more
        self.bytes += more
        self._make_room()

    def _make_room(self) -> None:
        while self.bytes > self.max_bytes:
            # tables are few, and this happens once a miss at the most
            publication, shelf = min(
                self._shelves.items(), key=lambda each: next(iter(each[1].entries.values())).used
            )
            entry = shelf.entries.popitem(last=False)[1]
            shelf.bytes -= entry.bytes
            self.bytes -= entry.bytes
            self.evicted += 1
            if not shelf.entries:
                del self._shelves[publication]

    def _drop(self, publication: int) -> None:
        """Forgets all answers about a table, at once."""
        shelf = self._shelves.pop(publication, None)
        if shelf is not None:
            self.bytes -= shelf.bytes
            self.moved += len(shelf.entries)
