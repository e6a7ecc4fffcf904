"""The subscribers of one collection. They share reads of the log and the evaluation of filters.

A topic moves from snapshot to snapshot by itself: a slow database makes events late and loses none.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing
from contextvars import Context
from dataclasses import dataclass
from hashlib import blake2b

import orjson

from geosvc.database.changefeed.changes import Batch, LogEnds, read_changes
from geosvc.database.pool import Database
from geosvc.encode.sse import encode_event
from geosvc.errors import (
    DatabaseUnavailable,
    PoolExhausted,
    QueryCancelled,
    QueryTimeout,
    RequestError,
)
from geosvc.events import ChangesNotTold, SubscriberDropped, emit
from geosvc.live.change_reader import ChangeReader
from geosvc.live.evaluation import RESYNC, EncodedEvent, SelectionGroup, evaluate_batch
from geosvc.live.subscriber import Subscriber
from geosvc.model.collection import Collection as SpatialCollection
from geosvc.model.principal import acting_for
from geosvc.model.snapshot import Position, Snapshot
from geosvc.query.change_log.selected import StatesPlan, plan_states
from geosvc.requests.event_id import encode_event_id

RETRY_SECONDS = 0.5
_TRANSIENT = (DatabaseUnavailable, PoolExhausted, QueryTimeout, QueryCancelled)


def epoch_of(reader: ChangeReader, publication: int) -> str:
    """Names the log of one publication.

    It differs from that of every other publication, and from its own after a restore.
    """
    return blake2b(f"{reader.epoch}/{publication}".encode(), digest_size=6).hexdigest()


def encode_resync(event_id: str, reason: str) -> bytes:
    """Encodes the event that asks the client to read the collection again."""
    return encode_event(event_id, RESYNC, orjson.dumps({"reason": reason}))


@dataclass(slots=True)
class FeedCounters:
    """Counts of all topics, for the metrics.

    Attributes:
        sent: events given to subscribers.
        dropped: subscribers that were cut off, since they did not keep up.
    """

    sent: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class TopicContext:
    """What topics work with.

    Attributes:
        find: returns a collection by its id, as the catalog has it now.
        close: closes a topic, by the id of its collection.
    """

    database: Database
    reader: ChangeReader
    find: Callable[[str], SpatialCollection | None]
    close: Callable[[str], None]
    counters: FeedCounters


class Topic:
    """The subscribers of a collection, and the position up to which they have got events."""

    def __init__(
        self, context: TopicContext, collection: SpatialCollection, publication: int
    ) -> None:
        self._context = context
        self._collection = collection
        self.collection_id = collection.id
        self.publication = publication
        self._epoch = epoch_of(context.reader, publication)
        self._position = Position(context.reader.snapshot)
        self._changed = asyncio.Event()
        self._is_sending = False
        self._subscribers: dict[SelectionGroup, set[Subscriber]] = {}
        self._plans: dict[SelectionGroup, StatesPlan] = {}
        # an empty context: the task works for all subscribers, not for the request that is first
        self._task = asyncio.create_task(self._run(), context=Context())
        self._task.add_done_callback(self._on_task_end)

    @property
    def size(self) -> int:
        """The number of subscribers."""
        return sum(len(subscribers) for subscribers in self._subscribers.values())

    @property
    def _is_caught_up(self) -> bool:
        """Whether subscribers have got everything that the reader has seen."""
        is_busy = self._is_sending or self._changed.is_set()
        return self._context.reader.is_up and not is_busy

    @property
    def event_id(self) -> str | None:
        """The id from which a subscriber who has got everything can resume; None while behind."""
        if not self._is_caught_up:
            return None
        return encode_event_id(self._epoch, Position(self._context.reader.snapshot))

    def check_collection(self) -> None:
        """Closes the topic when its collection is gone, or its changes are not logged any more."""
        if self._find_collection() is None:
            self._context.close(self.collection_id)

    def _find_collection(self) -> SpatialCollection | None:
        """Returns the collection as it is now, if its changes may still be sent."""
        found = self._context.find(self.collection_id)
        if found is None or found.row_security or found.publication is None:
            return None
        if found.publication.id != self.publication:
            return None
        return found

    def wake(self, publications: Collection[int], since: Snapshot | None) -> None:
        """Reports that published tables have changed since a snapshot.

        A topic whose table is not published any more is woken by each change, so that it closes.
        """
        is_published = self._context.reader.last_known(self.publication) is not None
        if is_published and self.publication not in publications:
            return
        if since is not None and self._is_caught_up:
            # the log has only changes of other tables before it: they need not be read
            self._position = Position(since)
        self._changed.set()

    def add(self, subscriber: Subscriber, plan: StatesPlan) -> None:
        """Adds a subscriber, with the plan of its query."""
        group = subscriber.selection.group
        self._subscribers.setdefault(group, set()).add(subscriber)
        self._plans.setdefault(group, plan)

    def remove(self, subscriber: Subscriber) -> None:
        """Removes a subscriber."""
        group = subscriber.selection.group
        subscribers = self._subscribers.get(group, set())
        subscribers.discard(subscriber)
        if not subscribers:
            self._subscribers.pop(group, None)
            self._plans.pop(group, None)

    def close(self) -> None:
        """Ends all subscribers; what waits for them is still sent."""
        self._task.cancel()
        for subscriber in self._all_subscribers():
            subscriber.end()

    def _all_subscribers(self) -> list[Subscriber]:
        found: list[Subscriber] = []
        for subscribers in self._subscribers.values():
            found.extend(subscribers)
        return found

    def _on_task_end(self, task: "asyncio.Task[None]") -> None:
        """Ends the subscribers of a topic that failed, since nothing would come any more."""
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._report_failure(f"{type(error).__name__}: {error}")
            self._context.close(self.collection_id)

    def _report_failure(self, reason: str) -> None:
        emit(ChangesNotTold(collection=self.collection_id, reason=reason))

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._is_sending = True
            await self._send_with_retries()
            self._is_sending = False

    async def _send_with_retries(self) -> None:
        """Sends what has changed, and tries again until the database can be read."""
        while True:
            self._changed.clear()
            try:
                await self._send_up_to_now()
                return
            except LogEnds:
                self._resync_all("the log does not reach back that far")
                return
            except _TRANSIENT as error:
                self._report_failure(error.reason or error.detail)
                await asyncio.sleep(RETRY_SECONDS)

    async def _send_up_to_now(self) -> None:
        """Sends what has changed up to the snapshot of the reader.

        Raises: RequestError, LogEnds.
        """
        reader = self._context.reader
        if not reader.is_up:
            return
        collection = self._find_collection()
        if collection is None or reader.last_known(self.publication) is None:
            self._context.close(self.collection_id)
            return
        reason = self._why_to_resync()
        if reason is not None:
            self._resync_all(reason)
            return
        self._collection = collection
        upto = reader.snapshot
        batches = read_changes(self._context.database, self.publication, self._position, upto)
        async with aclosing(batches):
            async for batch in batches:
                await self._send_batch(batch)
                self._position = batch.position(batch.changes[-1])
        self._position = Position(upto)

    def _why_to_resync(self) -> str | None:
        """Why nobody can go on from the position of the topic; None if everybody can."""
        reader = self._context.reader
        if self._epoch != epoch_of(reader, self.publication):
            return "the database is another one, or was restored"
        if self._position.latest.is_ahead_of(reader.snapshot):
            return "the database has lost changes that it had told of"
        return None

    async def _send_batch(self, batch: Batch) -> None:
        """Evaluates a batch for all queries, then gives the events to all subscribers.

        Nobody gets an event before all are evaluated: a failure is tried again with the whole
        batch, and nobody must get an event twice.
        """
        evaluated: list[tuple[set[Subscriber], Sequence[EncodedEvent]]] = []
        for group, subscribers in list(self._subscribers.items()):
            if not subscribers:
                continue  # they left while the batch was evaluated for others
            principal, _ = group
            with acting_for(principal):
                events = await self._evaluate(group, subscribers, batch)
            evaluated.append((subscribers, events))
        for subscribers, events in evaluated:
            for subscriber in list(subscribers):
                self._send_to(subscriber, events)

    async def _evaluate(
        self, group: SelectionGroup, subscribers: Collection[Subscriber], batch: Batch
    ) -> Sequence[EncodedEvent]:
        """Raises: RequestError of a kind that may be gone at the next try."""
        needs_geometry = any(subscriber.selection.box is not None for subscriber in subscribers)
        try:
            return await evaluate_batch(
                self._context.database,
                self._plan_of(group),
                batch,
                self._epoch,
                needs_geometry=needs_geometry,
            )
        except _TRANSIENT:
            raise
        except RequestError as error:  # the table was altered, and the query may not fit it
            self._report_failure(error.reason or error.detail)
            self._end_with_resync(subscribers, Position(batch.upto))
            return ()

    def _end_with_resync(self, subscribers: Collection[Subscriber], position: Position) -> None:
        event_id = encode_event_id(self._epoch, position)
        resync = encode_resync(event_id, "the collection has changed")
        for subscriber in list(subscribers):
            subscriber.put(resync)
            subscriber.end()

    def _plan_of(self, group: SelectionGroup) -> StatesPlan:
        """The plan of a query; made anew when the table was altered. Raises: InvalidFilter."""
        plan = self._plans.get(group)
        if plan is None or plan.collection is not self._collection:
            _, query = group
            plan = self._plans[group] = plan_states(self._collection, query)
        return plan

    def _send_to(self, subscriber: Subscriber, events: Sequence[EncodedEvent]) -> None:
        counters = self._context.counters
        box, joined = subscriber.selection.box, subscriber.joined
        for encoded in events:
            if joined.sees(encoded.event.change.xid):
                continue
            piece = encoded.encode_for(box)
            if piece is None:
                continue
            counters.sent += 1
            if not subscriber.put(piece):
                counters.dropped += 1
                emit(SubscriberDropped(collection=self.collection_id))

    def _resync_all(self, reason: str) -> None:
        """Asks all subscribers to read the collection again."""
        reader = self._context.reader
        self._epoch = epoch_of(reader, self.publication)
        self._position = Position(reader.snapshot)
        resync = encode_resync(encode_event_id(self._epoch, self._position), reason)
        for subscriber in self._all_subscribers():
            subscriber.joined = reader.snapshot
            subscriber.put(resync)
