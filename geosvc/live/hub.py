"""All subscribers of a worker: how each begins, with what it missed and without a gap."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from time import monotonic

from geosvc.database.changefeed.changes import BATCH, Batch, LogEnds, read_changes
from geosvc.database.pool import Database
from geosvc.encode.sse import encode_beginning, encode_heartbeat
from geosvc.errors import DatabaseUnavailable, NotPublished, TooManySubscribers
from geosvc.live.change_reader import ChangeReader
from geosvc.live.evaluation import Selection, evaluate_batch
from geosvc.live.subscriber import Subscriber
from geosvc.live.topic import FeedCounters, Topic, TopicContext, encode_resync, epoch_of
from geosvc.live.topic_registry import TopicRegistry
from geosvc.model.collection import Collection as SpatialCollection
from geosvc.model.snapshot import Position, Snapshot
from geosvc.query.change_log.selected import StatesPlan
from geosvc.requests.event_id import encode_event_id

READY_SECONDS = 5.0
LAG_SECONDS = 0.05
RETRY_MILLISECONDS = 1_000


@dataclass(frozen=True, slots=True)
class FeedLimits:
    """Limits of subscribers.

    Attributes:
        subscribers: of this worker.
        waiting_bytes: of events that one subscriber has not taken yet.
        heartbeat_seconds: between two signs of life when nothing happens.
    """

    subscribers: int
    waiting_bytes: int
    heartbeat_seconds: float


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a client subscribes to.

    Attributes:
        selection: which features of the collection.
        plan: how the logged rows are evaluated for the selection.
        publication: the id of the published table in the change log.
        last: the epoch and the position after which to resume; None: from now on.
        drop: closes the connection of a client that does not keep up.
    """

    selection: Selection
    plan: StatesPlan
    publication: int
    last: tuple[str, Position] | None
    drop: Callable[[], None]

    @property
    def collection(self) -> SpatialCollection:
        """The collection whose changes are subscribed to."""
        return self.plan.collection


class Hub:
    """Serves the subscribers of a worker.

    Args:
        topics: the registry that the reader wakes.
        find: returns a collection by its id, as the catalog has it now.
    """

    def __init__(
        self,
        database: Database,
        reader: ChangeReader,
        topics: TopicRegistry,
        find: Callable[[str], SpatialCollection | None],
        limits: FeedLimits,
    ) -> None:
        self.counters = FeedCounters()
        self._database = database
        self._reader = reader
        self._topics = topics
        self._context = TopicContext(database, reader, find, topics.close, self.counters)
        self._limits = limits
        self._streams = 0
        self._is_closed = False

    @property
    def size(self) -> int:
        """The number of subscribers that have caught up."""
        return sum(topic.size for topic in self._topics)

    def position(self, publication: int) -> str:
        """Returns the event id of now: what is read from now on includes everything before it.

        Empty while the log cannot be read.
        """
        if not self._reader.is_up:
            return ""
        return encode_event_id(epoch_of(self._reader, publication), Position(self._reader.snapshot))

    def close(self) -> None:
        """Ends all subscribers; no more are accepted."""
        self._is_closed = True
        self._topics.close_all()

    async def stream(self, subscription: Subscription) -> AsyncGenerator[bytes, None]:
        """Streams the events of a collection, until the client or the service ends.

        Yields: pieces of a text/event-stream, with heartbeats.
        Raises: RequestError, before the first piece as far as it can be known then.
        """
        with self._count_stream():
            async with aclosing(self._stream(subscription)) as pieces:
                async for piece in pieces:
                    yield piece

    @contextmanager
    def _count_stream(self) -> Iterator[None]:
        """Raises: TooManySubscribers."""
        if self._streams >= self._limits.subscribers:
            raise TooManySubscribers(
                "the service has as many subscribers as it takes; try again later"
            )
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    async def _stream(self, subscription: Subscription) -> AsyncGenerator[bytes, None]:
        await self._check(subscription)
        epoch = epoch_of(self._reader, subscription.publication)
        start, beginning = await self._begin(subscription, epoch)
        yield beginning
        async with aclosing(self._catch_up(subscription, start, epoch)) as missed:
            async for reached, piece in missed:
                start = reached
                if piece:
                    yield piece
        async with aclosing(self._follow(subscription, start, epoch)) as events:
            async for piece in events:
                yield piece

    async def _catch_up(
        self, subscription: Subscription, start: Position, epoch: str
    ) -> AsyncGenerator[tuple[Position, bytes], None]:
        """Replays outside the topic, until little is missing.

        Yields: the position up to which a later replay need not look, and a piece.
        """
        while _is_behind(start, self._reader.snapshot):
            upto = self._reader.snapshot
            changes = 0
            async with aclosing(self._replay(subscription, start, upto, epoch)) as pieces:
                async for number, piece in pieces:
                    changes += number
                    yield start, piece
            start = Position(upto)
            yield start, b""
            if changes < BATCH:
                return

    async def _follow(
        self, subscription: Subscription, start: Position, epoch: str
    ) -> AsyncGenerator[bytes, None]:
        """Streams from the topic what comes from now on, after the rest that is missing."""
        with self._joined(subscription) as (subscriber, topic):
            if epoch_of(self._reader, subscription.publication) != epoch:
                return  # the log is another one; the client is told when it comes back
            missed = self._replay(subscription, start, subscriber.joined, epoch)
            async with aclosing(missed) as pieces:
                async for _, piece in pieces:
                    yield piece
            while True:
                events = await subscriber.take(self._limits.heartbeat_seconds)
                if events is None:
                    return
                if events:
                    yield events
                else:
                    topic.check_collection()
                    yield encode_heartbeat(topic.event_id)

    async def _check(self, subscription: Subscription) -> None:
        """Raises: RequestError."""
        if self._is_closed or not await self._reader.ready(READY_SECONDS):
            raise DatabaseUnavailable(
                "the change log cannot be read at the moment; try again later"
            )
        if self._reader.last_known(subscription.publication) is None:
            raise NotPublished(subscription.collection.id)  # the catalog does not know it yet

    async def _begin(self, subscription: Subscription, epoch: str) -> tuple[Position, bytes]:
        """Returns the position where the stream begins, and its first piece."""
        now = Position(self._reader.snapshot)
        if subscription.last is None:
            return now, encode_beginning(encode_event_id(epoch, now), RETRY_MILLISECONDS)
        last_epoch, last = subscription.last
        beginning = encode_beginning(encode_event_id(last_epoch, last), RETRY_MILLISECONDS)
        if last_epoch == epoch:
            now = await self._wait_for_standby(last)
            if not _is_ahead(last, self._reader):
                return last, beginning
        resync = encode_resync(encode_event_id(epoch, now), "the log is another one")
        return now, beginning + resync

    async def _wait_for_standby(self, position: Position) -> Position:
        """Returns the present position of the log.

        A standby may be behind the server that gave out `position`: it is waited for a while.
        """
        until = 0.0
        if self._reader.is_standby:
            until = monotonic() + READY_SECONDS
        while _is_ahead(position, self._reader) and monotonic() < until:
            await asyncio.sleep(LAG_SECONDS)
            await self._reader.catch_up()
        return Position(self._reader.snapshot)

    @contextmanager
    def _joined(self, subscription: Subscription) -> Iterator[tuple[Subscriber, Topic]]:
        """Adds a subscriber to the topic of its collection.

        The topic sends what comes after the present snapshot; what is before it is replayed.
        """
        subscriber = Subscriber(
            subscription.selection,
            self._reader.snapshot,
            self._limits.waiting_bytes,
            subscription.drop,
        )
        topic = self._topic_of(subscription)
        topic.add(subscriber, subscription.plan)
        self._reader.poll_now()
        if self._is_closed:
            subscriber.end()
        try:
            yield subscriber, topic
        finally:
            topic.remove(subscriber)
            if not topic.size and self._topics.find(topic.collection_id) is topic:
                self._topics.close(topic.collection_id)

    def _topic_of(self, subscription: Subscription) -> Topic:
        collection = subscription.collection
        topic = self._topics.find(collection.id)
        if topic is not None and topic.publication == subscription.publication:
            return topic
        self._topics.close(collection.id)  # that of an earlier publication
        topic = Topic(self._context, collection, subscription.publication)
        self._topics.add(topic)
        return topic

    async def _replay(
        self, subscription: Subscription, start: Position, upto: Snapshot, epoch: str
    ) -> AsyncGenerator[tuple[int, bytes], None]:
        """Reads what one subscriber has missed.

        Yields: the number of changes of a batch, and their events.
        """
        if not _is_behind(start, upto):
            return
        batches = read_changes(self._database, subscription.publication, start, upto)
        try:
            async with aclosing(batches):
                async for batch in batches:
                    if self._is_closed:
                        return
                    yield len(batch.changes), await self._encode(subscription, batch, epoch)
        except LogEnds:
            event_id = encode_event_id(epoch, Position(upto))
            yield 0, encode_resync(event_id, "the log does not reach back that far")

    async def _encode(self, subscription: Subscription, batch: Batch, epoch: str) -> bytes:
        box = subscription.selection.box
        evaluated = await evaluate_batch(
            self._database,
            subscription.plan,
            batch,
            epoch,
            needs_shapes=box is not None,
        )
        pieces: list[bytes] = []
        for encoded in evaluated:
            piece = encoded.encode_for(box)
            if piece is not None:
                pieces.append(piece)
        self.counters.sent += len(pieces)
        return b"".join(pieces)


def _is_behind(position: Position, snapshot: Snapshot) -> bool:
    return position.partly_seen is not None or position.seen != snapshot


def _is_ahead(position: Position, reader: ChangeReader) -> bool:
    """Whether a log that knew more than this one gave out the position.

    A standby that has replayed the end of a later transaction has replayed this one as well. Only
    a standby lists subtransactions as in progress, which a position of the primary takes for ended.
    """
    given = position.partly_seen or position.seen
    here = reader.snapshot
    if reader.is_standby and given.xmax < here.xmax:
        return False
    return given.is_ahead_of(here)
