"""All subscribers of a worker: how each begins, with what it missed and without a gap.

    Last-Event-ID, or now      replay.position      S = subscriber.joined
    ----+---- catch up ---------------+-- replay to S --------+---- the topic sends ---->

1. Catch up: replay the log to `reader.snapshot`, until a replay has fewer than BATCH changes. Each
   ends at a new `replay.position`, where the next one begins.
2. Join: take S, the present `reader.snapshot`, and enter the topic, without an await between.
3. Replay to S, while the events of the topic wait in the queue of the subscriber.
4. The topic reads from its `_position` on, and leaves out the transactions that S sees.

No duplicate: S sees a transaction or does not, so either the replay sends it or the topic does.
No gap: at the join the topic has read no further than the reader, which is at S, so it still reads
all that S does not see. Only `Topic.wake(since)` moves `_position` without a read: to the
snapshot before the read that found changes of its table, and only if the topic has sent everything
before. Between the two, only other tables have changed.
"""

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


@dataclass(slots=True)
class _Replay:
    """How far the log has been replayed to one subscriber.

    Attributes:
        epoch: of the log that is replayed.
        position: everything before it has been sent.
        changes: how many have been read.
    """

    subscription: Subscription
    epoch: str
    position: Position
    changes: int = 0


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
        replay, beginning = await self._begin(subscription)
        yield beginning
        async with aclosing(self._catch_up(replay)) as missed:
            async for piece in missed:
                yield piece
        async with aclosing(self._follow(replay)) as events:
            async for piece in events:
                yield piece

    async def _catch_up(self, replay: _Replay) -> AsyncGenerator[bytes, None]:
        """Replays what the client has missed, until so little is missing that it can join a topic.

        Once it has joined, the events of the topic wait in memory while the rest is replayed.
        """
        while True:
            replayed_before = replay.changes
            async with aclosing(self._replay(replay, self._reader.snapshot)) as pieces:
                async for piece in pieces:
                    yield piece
            if replay.changes - replayed_before < BATCH:
                return

    async def _follow(self, replay: _Replay) -> AsyncGenerator[bytes, None]:
        """Joins the topic, replays the rest that is missing, and streams what the topic sends."""
        subscription = replay.subscription
        with self._joined(subscription) as (subscriber, topic):
            if epoch_of(self._reader, subscription.publication) != replay.epoch:
                return  # the log is another one; the client is told when it comes back
            async with aclosing(self._replay(replay, subscriber.joined)) as pieces:
                async for piece in pieces:
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

    async def _begin(self, subscription: Subscription) -> tuple[_Replay, bytes]:
        """Returns what to replay, and the first piece of the stream."""
        epoch = epoch_of(self._reader, subscription.publication)
        if subscription.last is None:
            now = Position(self._reader.snapshot)
            beginning = encode_beginning(encode_event_id(epoch, now), RETRY_MILLISECONDS)
            return _Replay(subscription, epoch, now), beginning
        last_epoch, last = subscription.last
        beginning = encode_beginning(encode_event_id(last_epoch, last), RETRY_MILLISECONDS)
        if last_epoch == epoch and await self._reaches_soon(last):
            return _Replay(subscription, epoch, last), beginning
        now = Position(self._reader.snapshot)
        resync = encode_resync(encode_event_id(epoch, now), "the log is another one")
        return _Replay(subscription, epoch, now), beginning + resync

    async def _reaches_soon(self, position: Position) -> bool:
        """Whether the log has reached a position, or reaches it soon.

        A standby may be behind the server that gave out the position: it is waited for a while.
        """
        until = 0.0
        if self._reader.is_standby:
            until = monotonic() + READY_SECONDS
        while not self._has_reached(position) and monotonic() < until:
            await asyncio.sleep(LAG_SECONDS)
            await self._reader.catch_up()
        return self._has_reached(position)

    def _has_reached(self, position: Position) -> bool:
        """Whether the log has all that a client has read who sends this position.

        It has not if the server lost transactions, or is a standby that has not received them yet.
        """
        given = position.latest
        here = self._reader.snapshot
        # A standby that has replayed a later transaction has replayed all of these. The snapshots
        # do not show it: only that of a standby lists subtransactions among those in progress.
        if self._reader.is_standby and given.xmax < here.xmax:
            return True
        return not given.is_ahead_of(here)

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

    async def _replay(self, replay: _Replay, upto: Snapshot) -> AsyncGenerator[bytes, None]:
        """Reads what one subscriber has missed up to a snapshot. Yields: the events of a batch."""
        if replay.position == Position(upto):
            return
        publication = replay.subscription.publication
        batches = read_changes(self._database, publication, replay.position, upto)
        try:
            async with aclosing(batches):
                async for batch in batches:
                    if self._is_closed:
                        return
                    replay.changes += len(batch.changes)
                    events = await self._encode(replay, batch)
                    if events:
                        yield events
        except LogEnds:
            event_id = encode_event_id(replay.epoch, Position(upto))
            yield encode_resync(event_id, "the log does not reach back that far")
        replay.position = Position(upto)

    async def _encode(self, replay: _Replay, batch: Batch) -> bytes:
        subscription = replay.subscription
        box = subscription.selection.box
        evaluated = await evaluate_batch(
            self._database,
            subscription.plan,
            batch,
            replay.epoch,
            needs_geometry=box is not None,
        )
        pieces: list[bytes] = []
        for encoded in evaluated:
            piece = encoded.encode_for(box)
            if piece is not None:
                pieces.append(piece)
        self.counters.sent += len(pieces)
        return b"".join(pieces)
