"""Everybody who is told of changes, and how a subscriber begins: with what it missed, without a gap to what comes."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from time import monotonic

from geosvc.database.changes import BATCH, LogEnds, read_changes
from geosvc.database.pool import Database
from geosvc.encode.sse import encode_beginning, encode_heartbeat
from geosvc.errors import DatabaseUnavailable, NotPublished, TooManySubscribers
from geosvc.live.channel import Channel, Counted, Surroundings, epoch_of, write_resync
from geosvc.live.reader import ChangeReader
from geosvc.live.selection import Selection, judge_batch
from geosvc.live.subscriber import Subscriber
from geosvc.model.collection import Collection as SpatialCollection
from geosvc.model.snapshot import Position, Snapshot
from geosvc.query.changes import select_states
from geosvc.requests.event_id import encode_event_id
from geosvc.requests.items import ItemsRequest

READY_SECONDS = 5.0
LAG_SECONDS = 0.05
RETRY_MILLISECONDS = 1_000


@dataclass(frozen=True, slots=True)
class FeedLimits:
    """What subscribers may take.

    Attributes:
        subscribers: of this worker at the most.
        waiting_bytes: of one that does not keep up, at the most.
        heartbeat_seconds: when nothing happens.
    """

    subscribers: int
    waiting_bytes: int
    heartbeat_seconds: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a subscriber asks for.

    Attributes:
        publication: of the collection.
        last: the epoch and the position after which to go on; None: from now on.
        drop: cuts it off when it does not keep up.
    """

    collection: SpatialCollection
    publication: int
    request: ItemsRequest
    last: tuple[str, Position] | None
    drop: Callable[[], None]


class Hub:
    """All channels of a worker.

    Args:
        find: a collection by its id, as the catalog has it now.
    """

    def __init__(
        self,
        database: Database,
        reader: ChangeReader,
        find: Callable[[str], SpatialCollection | None],
        limits: FeedLimits,
    ) -> None:
        self.counted = Counted()
        self._around = Surroundings(database, reader, find, self._close_channel, self.counted)
        self._reader = reader
        self._limits = limits
        self._channels: dict[str, Channel] = {}
        self._places = 0
        self._closed = False
        reader.listeners.append(self._wake)
        reader.is_urgent = lambda: bool(self._channels)

    @property
    def size(self) -> int:
        """How many subscribers there are."""
        return sum(channel.size for channel in self._channels.values())

    def position(self, publication: int) -> str:
        """The id of an event of now: whatever is read from now on has at least what was told before it. Empty while nobody
        follows the log.
        """
        if not self._reader.is_up:
            return ""
        return encode_event_id(epoch_of(self._reader, publication), Position(self._reader.snapshot))

    def _wake(self, publications: Collection[int], since: Snapshot | None) -> None:
        for channel in list(self._channels.values()):
            channel.wake(publications, since)

    def _close_channel(self, collection_id: str) -> None:
        channel = self._channels.pop(collection_id, None)
        if channel is not None:
            channel.close()

    def close(self) -> None:
        """Ends all subscribers; no more are taken."""
        self._closed = True
        for collection_id in list(self._channels):
            self._close_channel(collection_id)

    async def stream(self, wanted: Wanted) -> AsyncGenerator[bytes, None]:
        """The events of a published collection, and heartbeats between them, until the subscriber or the service ends.

        Yields: pieces of a text/event-stream.
        Raises: RequestError, before the first piece only, as far as it can be known then.
        """
        with self._place():
            async with aclosing(self._stream(wanted)) as pieces:
                async for piece in pieces:
                    yield piece

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One of the places that there are, taken before anything is waited for. Raises: TooManySubscribers."""
        if self._places >= self._limits.subscribers:
            raise TooManySubscribers("the service has as many subscribers as it takes; try again later")
        self._places += 1
        try:
            yield
        finally:
            self._places -= 1

    async def _stream(self, wanted: Wanted) -> AsyncGenerator[bytes, None]:
        await self._check(wanted)
        epoch = epoch_of(self._reader, wanted.publication)
        start, beginning = await self._begin(wanted, epoch)
        yield beginning
        while _is_behind(start, self._reader.snapshot):  # far behind: it takes no place in a channel before it has caught up
            upto = self._reader.snapshot
            changes = 0
            async with aclosing(self._replay(wanted, start, upto, epoch)) as pieces:
                async for number, piece in pieces:
                    changes += number
                    yield piece
            start = Position(upto)
            if changes < BATCH:
                break
        with self._joined(wanted) as (subscriber, channel):
            if epoch_of(self._reader, wanted.publication) != epoch:
                return  # the log has become another one, as who comes back is told
            async with aclosing(self._replay(wanted, start, subscriber.joined, epoch)) as pieces:
                async for _, piece in pieces:
                    yield piece
            while (events := await subscriber.take(self._limits.heartbeat_seconds)) is not None:
                if not events:
                    channel.look()
                yield events or encode_heartbeat(channel.event_id)

    async def _check(self, wanted: Wanted) -> None:
        """Raises: RequestError."""
        # what is wrong with a filter shows when it is planned
        select_states(wanted.collection, wanted.request, (), shapes=False)
        if self._closed or not await self._reader.ready(READY_SECONDS):
            raise DatabaseUnavailable("the change log cannot be read at the moment; try again later")
        if self._reader.last_known(wanted.publication) is None:  # the catalog does not know yet
            raise NotPublished(wanted.collection.id)

    async def _begin(self, wanted: Wanted, epoch: str) -> tuple[Position, bytes]:
        """Where the stream begins, and what it begins with."""
        here = Position(self._reader.snapshot)
        if wanted.last is None:
            return here, encode_beginning(encode_event_id(epoch, here), RETRY_MILLISECONDS)
        beginning = encode_beginning(encode_event_id(*wanted.last), RETRY_MILLISECONDS)
        if wanted.last[0] == epoch:
            here = await self._reach(wanted.last[1])
            if not _is_ahead(wanted.last[1], self._reader):
                return wanted.last[1], beginning
        return here, beginning + write_resync(encode_event_id(epoch, here), "the log is another one")

    async def _reach(self, position: Position) -> Position:
        """Where the log is; of a standby when it has come to what another server has told, if it soon does."""
        until = monotonic() + READY_SECONDS if self._reader.is_standby else 0.0
        while _is_ahead(position, self._reader) and monotonic() < until:
            await asyncio.sleep(LAG_SECONDS)
            await self._reader.catch_up()
        return Position(self._reader.snapshot)

    @contextmanager
    def _joined(self, wanted: Wanted) -> Iterator[tuple[Subscriber, Channel]]:
        """A place in the channel of the collection. What is visible now is left to the one who joins."""
        subscriber = Subscriber(Selection.of(wanted.request), self._reader.snapshot, self._limits.waiting_bytes, wanted.drop)
        collection_id = wanted.collection.id
        channel = self._channels.get(collection_id)
        if channel is not None and channel.publication != wanted.publication:
            self._close_channel(collection_id)
            channel = None
        if channel is None:
            channel = self._channels[collection_id] = Channel(self._around, wanted.collection, wanted.publication)
        channel.add(subscriber)
        self._reader.look_sharp()
        if self._closed:
            subscriber.end()
        try:
            yield subscriber, channel
        finally:
            channel.remove(subscriber)
            if not channel.size and self._channels.get(collection_id) is channel:
                self._close_channel(collection_id)

    async def _replay(
        self, wanted: Wanted, start: Position, upto: Snapshot, epoch: str
    ) -> AsyncGenerator[tuple[int, bytes], None]:
        """What one subscriber has missed. Yields: how many changes, and their events."""
        if not _is_behind(start, upto):
            return
        selection = Selection.of(wanted.request)
        database, collection, shapes = self._around.database, wanted.collection, selection.box is not None
        try:
            async with aclosing(read_changes(database, wanted.publication, start, upto)) as batches:
                async for batch in batches:
                    if self._closed:
                        return
                    tellings = await judge_batch(database, collection, selection.request, batch, epoch, shapes=shapes)
                    events = [event for telling in tellings if (event := telling.event(selection.box)) is not None]
                    self.counted.told += len(events)
                    yield len(batch.changes), b"".join(events)
        except LogEnds:
            yield 0, write_resync(encode_event_id(epoch, Position(upto)), "the log does not reach back that far")


def _is_behind(position: Position, snapshot: Snapshot) -> bool:
    return position.upto is not None or position.seen != snapshot


def _is_ahead(position: Position, reader: ChangeReader) -> bool:
    """Whether it was given out by a log that knew more than this one.

    A standby that has replayed the end of a transaction beyond it has replayed it as well; and only a standby lists
    subtransactions as in progress, which a position of the primary takes for ended.
    """
    given, here = position.upto or position.seen, reader.snapshot
    return given.xmax >= here.xmax and given.is_ahead_of(here) if reader.is_standby else given.is_ahead_of(here)
