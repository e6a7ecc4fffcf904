"""Coalesced look-ups of single features (docs/decisions/0004).

All ids that are requested while a statement runs go into the next statement. Sixteen clients that
each request one feature cost two statements of eight ids instead of sixteen round trips and plans.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

from geosvc.database.pool import Database
from geosvc.database.reads.features import fetch_item
from geosvc.database.reads.unwritable_values import is_refusal
from geosvc.errors import InternalError, RequestError
from geosvc.model.collection import Collection
from geosvc.model.feature import StoredFeature
from geosvc.model.principal import Principal
from geosvc.model.row import Row
from geosvc.query.feature_format import FeatureFormat
from geosvc.query.features import select_item
from geosvc.query.features_by_id import Lookup, plan_lookup
from geosvc.requests.items import ItemsQuery
from geosvc.trace import Run, Trace, current_run, current_trace

MAX_BATCH = 256
IN_FLIGHT = 2
MAX_PLANS = 512
UNANSWERED = InternalError("the look-up ended without an answer")

Found = tuple[StoredFeature | None, Run | None]
Waiter = tuple["asyncio.Future[Found]", Trace | None]
Waiting = dict[str, list[Waiter]]

_QueueKey = tuple[Principal, int, int, ItemsQuery]
"""(principal, id() of the collection, id() of the format, query).

A queue holds its collection and its format, so no other object gets their id() meanwhile.
"""


@dataclass(slots=True)
class _Queue:
    """The ids that wait for look-ups of one principal, collection, query and format.

    It has the plan of their statement.

    Attributes:
        waiting: the requests that wait, by feature id.
        running: how many statements are running, at most IN_FLIGHT.
    """

    collection: Collection
    query: ItemsQuery
    format: FeatureFormat
    lookup: Lookup
    waiting: Waiting = field(default_factory=dict)
    running: int = 0


class Lookups:
    """Look-ups of single features, gathered by principal, collection, query and format.

    A statement serves one principal only. Plans are cached, since making one costs more than using
    it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queues: dict[_QueueKey, _Queue] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(
        self,
        principal: Principal,
        collection: Collection,
        query: ItemsQuery,
        feature_format: FeatureFormat,
        feature_id: str,
    ) -> StoredFeature | None:
        """Return the feature with this id; None if there is none.

        Args:
            principal: who requests the feature.
            collection: with a key of one column.
            query: which parts of the feature are selected.
        Raises: RequestError.
        """
        key = (principal, id(collection), id(feature_format), query)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._add_queue(key, collection, query, feature_format)
        trace = current_trace.get()
        requested_at = perf_counter()
        future: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        queue.waiting.setdefault(feature_id, []).append((future, trace))
        if queue.running < IN_FLIGHT:
            self._start(queue)
        feature, run = await future
        if trace is not None and run is not None:
            trace.take_shared(run, requested_at)
        return feature

    def _add_queue(
        self,
        key: _QueueKey,
        collection: Collection,
        query: ItemsQuery,
        feature_format: FeatureFormat,
    ) -> _Queue:
        if len(self._queues) >= MAX_PLANS:
            self._drop_idle_queues()
        lookup = plan_lookup(collection, query, feature_format.projection)
        queue = _Queue(collection, query, feature_format, lookup)
        self._queues[key] = queue
        return queue

    def _drop_idle_queues(self) -> None:
        for key, queue in list(self._queues.items()):
            if not queue.running:
                del self._queues[key]

    async def close(self) -> None:
        """Cancel all look-ups."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, queue: _Queue) -> None:
        queue.running += 1
        # its statements run for the principal of this request, who is that of the whole queue
        task = asyncio.get_running_loop().create_task(self._run(queue))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, queue: _Queue) -> None:
        try:
            while queue.waiting:
                batch = _take_batch(queue)
                try:
                    await self._look_up(batch, queue)
                finally:
                    # whatever happened, no request waits for ever
                    for waiters in batch.values():
                        _fail(waiters, UNANSWERED)
        finally:
            queue.running -= 1

    async def _look_up(self, batch: Waiting, queue: _Queue) -> None:
        try:
            rows = await self._fetch(batch, queue)
        except RequestError as error:
            if is_refusal(error):
                await self._look_up_singly(batch, queue)
                return
            for waiters in batch.values():
                _fail(waiters, error)
            return
        run = current_run.get()
        row_of_id = {row[0]: row for row in rows}
        repeats_ids = len(row_of_id) < len(rows)
        # the id of a row may differ from the one in the URL: 1.0 and 1.00, a and A
        has_other_ids = not row_of_id.keys() <= batch.keys()
        if repeats_ids or has_other_ids:
            await self._look_up_singly(batch, queue)
            return
        for feature_id, waiters in batch.items():
            row = row_of_id.get(feature_id)
            feature = None
            if row is not None:
                feature = StoredFeature(row[1], row[2], row[3])
            _answer(waiters, feature, run)

    async def _fetch(self, batch: Waiting, queue: _Queue) -> Sequence[Row]:
        """Fetch the rows of a batch for the traces of all requests. Raises: RequestError."""
        traces: list[Trace] = []
        for waiters in batch.values():
            for _, trace in waiters:
                if trace is not None:
                    traces.append(trace)
        current_trace.set(traces[0] if traces else None)
        return await self._database.fetch(queue.lookup.of(list(batch)), shared=traces[1:])

    async def _look_up_singly(self, batch: Waiting, queue: _Queue) -> None:
        """Look up each id by itself: a bad geometry or id must not fail the others."""
        for feature_id, waiters in batch.items():
            _, trace = waiters[0]
            current_trace.set(trace)
            key = (feature_id,)
            page = select_item(queue.collection, queue.query, queue.format, key)
            try:
                feature = await fetch_item(self._database, page)
            except RequestError as error:
                _fail(waiters, error)
            else:
                _answer(waiters, feature, current_run.get())


def _take_batch(queue: _Queue) -> Waiting:
    """Remove the ids of the next statement from the queue."""
    if len(queue.waiting) <= MAX_BATCH:
        batch = queue.waiting
        queue.waiting = {}
        return batch
    batch = {}
    for feature_id in list(queue.waiting)[:MAX_BATCH]:
        batch[feature_id] = queue.waiting.pop(feature_id)
    return batch


def _answer(waiters: list[Waiter], feature: StoredFeature | None, run: Run | None) -> None:
    for future, _ in waiters:
        if not future.done():  # done if the client has left
            future.set_result((feature, run))


def _fail(waiters: list[Waiter], error: RequestError) -> None:
    for future, _ in waiters:
        if not future.done():
            future.set_exception(error)
