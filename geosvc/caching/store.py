"""The cache of answers: bounded by bytes; the answers that were not used for longest go first.

How an answer stays fresh (docs/decisions/0021):

1. A request comes. It reads the version of the table from the change log, and asks for the answer
   of this version. An answer of another version is never returned, and no notification has to
   arrive in time.
2. If there is no answer of this version, one is computed, once for all requests that wait for it
   (geosvc/caching/single_flight.py). They get it as soon as it is there.
3. The answer is unconfirmed now: the table may have changed since the version was read, and the
   answer may show the change. So the version is read again. If it is the same, nothing has changed
   in between, and the answer is kept. Otherwise it is dropped.

Until step 3 ends, other requests that have read the same version get the unconfirmed answer. It is
at least as new as the version that they have read.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from time import monotonic
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from geosvc.caching.cache_key import CacheKey, Kind
from geosvc.caching.single_flight import Flight

ENTRY_BYTES = 768
"""The memory that an entry takes beside its value."""

_T = TypeVar("_T")

Work = Callable[[], Coroutine[Any, Any, _T]]
"""Makes an answer."""

SizeOf = Callable[[_T], int | None]
"""The bytes of an answer; None if it must not be kept."""


class VersionSource(Protocol):
    """The versions of published tables, from the change log."""

    async def current(self, publication: int) -> int | None:
        """Returns the version of a table by a read of the log that began after this call.

        None while the log cannot be read, and for a table that is not published.
        """
        ...

    def last_known(self, publication: int) -> int | None:
        """Returns the version of a table at the last read; None if it is not known."""
        ...


class _VersionedKey(NamedTuple):
    """Names an answer of one version of its table."""

    key: CacheKey
    version: int


@dataclass(slots=True, eq=False)
class _Entry:
    """A kept answer.

    Attributes:
        stored_at: the time by the clock of the cache, seconds.
        used: the number of its last use; uses of all entries are counted together.
    """

    value: object
    bytes: int
    stored_at: float
    used: int


@dataclass(slots=True, eq=False)
class _TableEntries:
    """The kept answers about one version of one table.

    Attributes:
        entries: the entry that was not used for longest comes first.
        bytes: of all entries.
    """

    version: int
    entries: OrderedDict[CacheKey, _Entry] = field(default_factory=OrderedDict)
    bytes: int = 0

    @property
    def oldest_use(self) -> int:
        """The number of the last use of the first entry."""
        first = next(iter(self.entries.values()))
        return first.used


@dataclass(slots=True, eq=False)
class _Unconfirmed:
    """An answer that is kept if the version of its table is still the same.

    Attributes:
        name: its key, and the version that was read before it was computed.
        bytes: what its entry will take.
    """

    name: _VersionedKey
    value: object
    bytes: int


class Cache:
    """The answers of one worker.

    Attributes:
        lookups: how many requests found an answer (`hit`), began to compute one (`miss`), or
            shared what another computed (`shared`), by kind.
        refused: how many answers were not kept, by reason: the version had `moved`, the log was
            `unreadable`, the answer was too `large`.
        evicted: how many entries were removed to make room.
        moved: how many entries were removed because their table has another version.
        bytes: of all entries; at most `max_bytes`.
        hit_age_seconds: the sum of the ages of entries when they were used.
    """

    def __init__(
        self, versions: VersionSource, max_bytes: int, clock: Callable[[], float] = monotonic
    ) -> None:
        """If `max_bytes` is 0, nothing is kept or shared."""
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
        self._tables: dict[int, _TableEntries] = {}
        self._flights: dict[_VersionedKey, Flight[Any]] = {}
        self._unconfirmed: dict[_VersionedKey, _Unconfirmed] = {}
        self._to_confirm: dict[int, list[_Unconfirmed]] = {}  # while a task confirms their table
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return sum(len(table.entries) for table in self._tables.values())

    def holds(self, key: CacheKey) -> bool:
        """Whether an answer is kept, of whatever version."""
        table = self._tables.get(key.publication)
        return table is not None and key in table.entries

    def find(self, key: CacheKey, version: int) -> Any:
        """Returns the kept answer of a version; None if there is none.

        Args:
            version: by `VersionSource.current`, called after the request came.
        """
        table = self._tables.get(key.publication)
        if table is None:
            return None
        if table.version != version:
            # If the requested version is the newest, nobody asks for the kept answers any more.
            # It can also be older than they are: a slow request has read it before the last change.
            if self.versions.last_known(key.publication) == version:
                self._drop_table(key.publication)
            return None
        entry = table.entries.get(key)
        if entry is None:
            return None
        table.entries.move_to_end(key)
        entry.used = next(self._uses)
        self.hit_age_seconds += self._clock() - entry.stored_at
        self.lookups[key.kind, "hit"] += 1
        return entry.value

    async def share(self, key: CacheKey, version: int, work: Work[_T], size_of: SizeOf[_T]) -> _T:
        """Returns the answer of a version, from the first of these that has it.

        1. the kept answers,
        2. the unconfirmed answers,
        3. a computation that another request has begun,
        4. `work`.

        A request that is cancelled does not disturb the others. When the last one is cancelled,
        so is the work. If the work raises an exception, all requests get it.
        """
        if not self.max_bytes:
            return await work()
        found = self.find(key, version)
        if found is not None:
            return cast("_T", found)
        name = _VersionedKey(key, version)
        unconfirmed = self._unconfirmed.get(name)
        if unconfirmed is not None:
            self.lookups[key.kind, "shared"] += 1
            return cast("_T", unconfirmed.value)
        flight = self._flights.get(name)
        if flight is not None:
            self.lookups[key.kind, "shared"] += 1
        else:
            self.lookups[key.kind, "miss"] += 1
            flight = self._begin_flight(name, work, size_of)
        answer: asyncio.Future[_T] = flight.join()
        try:
            return await answer
        finally:
            was_cancelled = flight.leave(answer)
            if was_cancelled:
                del self._flights[name]

    def put_unconfirmed(
        self, key: CacheKey, version: int | None, value: object, size_bytes: int
    ) -> None:
        """Adds an answer that was computed without `share`. It is kept if it can be confirmed.

        Args:
            version: as it was known before the answer was computed; None if it was not known.
        """
        if not self.max_bytes:
            return
        self.lookups[key.kind, "miss"] += 1
        if version is None:
            self.refused["unreadable"] += 1
            return
        name = _VersionedKey(key, version)
        if name not in self._flights and name not in self._unconfirmed:
            self._add_unconfirmed(name, value, size_bytes)

    def resize(self, key: CacheKey, value: object, by_bytes: int) -> None:
        """Counts that an answer of `find` or `share` takes more bytes than before."""
        table = self._tables.get(key.publication)
        if table is not None:
            entry = table.entries.get(key)
            if entry is not None and entry.value is value:
                entry.bytes += by_bytes
                self._count_bytes(table, by_bytes)
                self._make_room()
                return
        for unconfirmed in self._unconfirmed.values():
            if unconfirmed.value is value:
                unconfirmed.bytes += by_bytes

    async def close(self) -> None:
        """Cancels all work and forgets all answers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for publication in list(self._tables):
            self._drop_table(publication)

    # Computing an answer

    def _begin_flight(self, name: _VersionedKey, work: Work[_T], size_of: SizeOf[_T]) -> Flight[_T]:
        task = self._start_task(work())
        flight = Flight(task)
        self._flights[name] = flight
        end = partial(self._end_flight, name, flight, size_of)
        task.add_done_callback(end)
        return flight

    def _end_flight(
        self,
        name: _VersionedKey,
        flight: Flight[_T],
        size_of: SizeOf[_T],
        task: "asyncio.Task[_T]",
    ) -> None:
        """Gives the answer to all who wait for it, and has it confirmed."""
        flight.deliver()
        if self._flights.get(name) is not flight:
            return  # nobody waited any more; another one may have begun
        del self._flights[name]
        if task.cancelled() or task.exception() is not None:
            return
        value = task.result()
        size_bytes = size_of(value)
        if size_bytes is not None:
            self._add_unconfirmed(name, value, size_bytes)

    def _start_task(self, work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # Confirming an answer

    def _add_unconfirmed(self, name: _VersionedKey, value: object, size_bytes: int) -> None:
        """Has the version of the table read again, to keep the answer if it is the same."""
        entry_bytes = size_bytes + ENTRY_BYTES
        if entry_bytes > self.max_bytes:
            self.refused["large"] += 1
            return
        unconfirmed = _Unconfirmed(name, value, entry_bytes)
        self._unconfirmed[name] = unconfirmed
        publication = name.key.publication
        if publication in self._to_confirm:
            self._to_confirm[publication].append(unconfirmed)
        else:
            self._to_confirm[publication] = [unconfirmed]
            self._start_task(self._confirm_table(publication))

    async def _confirm_table(self, publication: int) -> None:
        """Confirms the answers about a table until there are no more.

        Answers that come while the version is read need a read that begins later. They are
        confirmed together by the next read.
        """
        try:
            while self._to_confirm[publication]:
                batch = self._to_confirm[publication]
                self._to_confirm[publication] = []
                await self._confirm(publication, batch)
        finally:
            # not empty if the task was cancelled
            self._forget_unconfirmed(self._to_confirm.pop(publication))

    async def _confirm(self, publication: int, batch: list[_Unconfirmed]) -> None:
        """Reads the version once, and keeps the answers that are of this version."""
        try:
            version = await self.versions.current(publication)
        finally:
            self._forget_unconfirmed(batch)
        for unconfirmed in batch:
            if unconfirmed.name.version == version:
                self._keep(unconfirmed)
            elif version is None:
                self.refused["unreadable"] += 1
            else:
                self.refused["moved"] += 1

    def _forget_unconfirmed(self, batch: list[_Unconfirmed]) -> None:
        for unconfirmed in batch:
            del self._unconfirmed[unconfirmed.name]

    # Keeping an answer

    def _keep(self, confirmed: _Unconfirmed) -> None:
        if confirmed.bytes > self.max_bytes:
            self.refused["large"] += 1  # it has grown since it was added
            return
        key, version = confirmed.name
        table = self._tables.get(key.publication)
        if table is None or table.version != version:
            self._drop_table(key.publication)
            table = _TableEntries(version)
            self._tables[key.publication] = table
        replaced = table.entries.pop(key, None)
        if replaced is not None:
            self._count_bytes(table, -replaced.bytes)
        entry = _Entry(
            value=confirmed.value,
            bytes=confirmed.bytes,
            stored_at=self._clock(),
            used=next(self._uses),
        )
        table.entries[key] = entry
        self._count_bytes(table, entry.bytes)
        self._make_room()

    def _make_room(self) -> None:
        """Removes the entries that were not used for longest until the others fit."""
        while self.bytes > self.max_bytes:
            # this looks at every table; they are few, and it happens at most once for a miss
            publication = min(self._tables, key=self._oldest_use)
            table = self._tables[publication]
            _, entry = table.entries.popitem(last=False)
            self._count_bytes(table, -entry.bytes)
            self.evicted += 1
            if not table.entries:
                del self._tables[publication]

    def _oldest_use(self, publication: int) -> int:
        table = self._tables[publication]
        return table.oldest_use

    def _drop_table(self, publication: int) -> None:
        """Forgets all kept answers about a table."""
        table = self._tables.pop(publication, None)
        if table is not None:
            self.bytes -= table.bytes
            self.moved += len(table.entries)

    def _count_bytes(self, table: _TableEntries, more_bytes: int) -> None:
        table.bytes += more_bytes
        self.bytes += more_bytes
