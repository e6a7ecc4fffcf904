"""The subscribers of one collection: they share a read of the log, and a judgement for each thing that some of them ask for.

A channel goes from snapshot to snapshot by itself, so that a slow database makes events late and loses none.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing
from contextvars import Context
from dataclasses import dataclass
from hashlib import blake2b

import orjson

from geosvc.database.changes import Batch, LogEnds, read_changes
from geosvc.database.pool import Database
from geosvc.encode.sse import encode_event
from geosvc.errors import DatabaseUnavailable, PoolExhausted, QueryCancelled, QueryTimeout, RequestError
from geosvc.events import ChangesNotTold, SubscriberDropped, emit
from geosvc.live.reader import ChangeReader
from geosvc.live.selection import RESYNC, Telling, judge_batch
from geosvc.live.subscriber import Subscriber
from geosvc.model.collection import Collection as SpatialCollection
from geosvc.model.snapshot import Position, Snapshot
from geosvc.requests.event_id import encode_event_id
from geosvc.requests.items import ItemsRequest

RETRY_SECONDS = 0.5
_TRANSIENT = (DatabaseUnavailable, PoolExhausted, QueryTimeout, QueryCancelled)


def epoch_of(reader: ChangeReader, publication: int) -> str:
    """What tells the changes of a publication from those of every other, and of the same after a restore."""
    return blake2b(f"{reader.epoch}/{publication}".encode(), digest_size=6).hexdigest()


def write_resync(event_id: str, reason: str) -> bytes:
    """The event that says: what you know may be wrong, read it anew."""
    return encode_event(event_id, RESYNC, orjson.dumps({"reason": reason}))


@dataclass(slots=True)
class Counted:
    """What is counted of all channels."""

    told: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What channels work with.

    Attributes:
        find: a collection by its id, as the catalog has it now.
        close: a channel, by the id of its collection.
    """

    database: Database
    reader: ChangeReader
    find: Callable[[str], SpatialCollection | None]
    close: Callable[[str], None]
    counted: Counted


class Channel:
    """The subscribers of a collection, and how far they have been told."""

    def __init__(self, around: Surroundings, collection: SpatialCollection, publication: int) -> None:
        self._around = around
        self._collection = collection
        self.publication = publication
        self._epoch = epoch_of(around.reader, publication)
        self._position = Position(around.reader.snapshot)
        self._moved = asyncio.Event()
        self._advancing = False
        self._subscribers: dict[ItemsRequest, set[Subscriber]] = {}
        # it works for all, and not for the request that happens to be the first
        self._task = asyncio.create_task(self._run(), context=Context())
        self._task.add_done_callback(self._stopped)

    @property
    def size(self) -> int:
        """How many subscribers there are."""
        return sum(map(len, self._subscribers.values()))

    @property
    def _rests(self) -> bool:
        """Whether everything has been told that the reader has seen."""
        return not self._advancing and not self._moved.is_set() and self._around.reader.is_up

    @property
    def event_id(self) -> str | None:
        """Where a subscriber can go on from to whom everything was sent; None while there is something to tell."""
        return encode_event_id(self._epoch, Position(self._around.reader.snapshot)) if self._rests else None

    def look(self) -> None:
        """Ends all subscribers when their collection is not there any more, or its changes are not logged."""
        if self._find() is None:
            self._around.close(self._collection.id)

    def _find(self) -> SpatialCollection | None:
        """The collection as it is now, if the role may still be told its changes, and they are logged as they were."""
        found = self._around.find(self._collection.id)
        if found is None or found.row_security or found.publication is None:
            return None
        return found if found.publication.id == self.publication else None

    def wake(self, publications: Collection[int], since: Snapshot | None) -> None:
        """Something has changed in these since a snapshot."""
        if self.publication in publications or self._around.reader.last_known(self.publication) is None:
            if since is not None and self._rests:
                # nothing has happened here until then: the changes of others are not looked at again
                self._position = Position(since)
            self._moved.set()

    def add(self, subscriber: Subscriber) -> None:
        """One more."""
        self._subscribers.setdefault(subscriber.selection.request, set()).add(subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        """One less."""
        alike = self._subscribers.get(subscriber.selection.request, set())
        alike.discard(subscriber)
        if not alike:
            self._subscribers.pop(subscriber.selection.request, None)

    def close(self) -> None:
        """Ends all subscribers; what waits for them is still sent."""
        self._task.cancel()
        for subscriber in self._everybody():
            subscriber.end()

    def _everybody(self) -> list[Subscriber]:
        return [each for alike in self._subscribers.values() for each in alike]

    def _stopped(self, task: "asyncio.Task[None]") -> None:
        """A channel that fails must not leave subscribers who wait for nothing."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._report(f"{type(error).__name__}: {error}")
            self._around.close(self._collection.id)

    def _report(self, reason: str) -> None:
        emit(ChangesNotTold(collection=self._collection.id, reason=reason))

    async def _run(self) -> None:
        while True:
            await self._moved.wait()
            self._moved.clear()
            self._advancing = True
            try:
                await self._advance()
                self._advancing = False
            except _TRANSIENT as error:
                self._report(error.reason or error.detail)
                await asyncio.sleep(RETRY_SECONDS)
                self._moved.set()
            except LogEnds:
                self._start_anew("the log does not reach back that far")
                self._advancing = False

    async def _advance(self) -> None:
        """Tells what has changed. Raises: RequestError, LogEnds."""
        around, reader = self._around, self._around.reader
        if not reader.is_up:
            return
        found = self._find()
        if reader.last_known(self.publication) is None or found is None:
            around.close(self._collection.id)
            return
        if self._epoch != epoch_of(reader, self.publication):
            self._start_anew("the database is another one, or was restored")
            return
        self._collection = found
        upto = reader.snapshot
        if (self._position.upto or self._position.seen).is_ahead_of(upto):
            self._start_anew("the database has lost changes that it had told of")
            return
        async with aclosing(read_changes(around.database, self.publication, self._position, upto)) as batches:
            async for batch in batches:
                # all are judged before anybody is told: what fails is tried again, and nobody must be told twice
                judged = [(alike, await self._judge(request, alike, batch)) for request, alike in [*self._subscribers.items()]]
                for alike, tellings in judged:
                    self._tell(alike, tellings)
                self._position = batch.position(batch.changes[-1])
        self._position = Position(upto)

    async def _judge(self, request: ItemsRequest, alike: Collection[Subscriber], batch: Batch) -> Sequence[Telling]:
        """Raises: RequestError, such as may be gone when it is tried again."""
        shapes = any(each.selection.box is not None for each in alike)
        try:
            return await judge_batch(self._around.database, self._collection, request, batch, self._epoch, shapes=shapes)
        except _TRANSIENT:
            raise
        except RequestError as error:  # the table was altered: what they ask for may not be there any more
            self._report(error.reason or error.detail)
            resync = write_resync(encode_event_id(self._epoch, Position(batch.upto)), "the collection has changed")
            for subscriber in list(alike):
                subscriber.put(resync)
                subscriber.end()
            return ()

    def _tell(self, alike: Collection[Subscriber], tellings: Sequence[Telling]) -> None:
        counted = self._around.counted
        for subscriber in list(alike):
            box, joined = subscriber.selection.box, subscriber.joined
            for telling in tellings:
                event = None if joined.sees(telling.told.change.xid) else telling.event(box)
                if event is None:
                    continue
                counted.told += 1
                if not subscriber.put(event):
                    counted.dropped += 1
                    emit(SubscriberDropped(collection=self._collection.id))

    def _start_anew(self, reason: str) -> None:
        """Tells everybody that what they know may be wrong."""
        reader = self._around.reader
        self._epoch, self._position = epoch_of(reader, self.publication), Position(reader.snapshot)
        resync = write_resync(encode_event_id(self._epoch, self._position), reason)
        for subscriber in self._everybody():
            subscriber.joined = reader.snapshot
            subscriber.put(resync)
