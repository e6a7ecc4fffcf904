"""Coalesced look-ups: all ids asked for while a query is in flight go into the next one (docs/decisions/0004).

Sixteen clients that each want one feature cost two statements of eight ids, not sixteen round trips and plans.
"""

import asyncio
from dataclasses import dataclass, field
from time import perf_counter

from geosvc.database.features import fetch_item
from geosvc.database.pool import Database
from geosvc.errors import InternalError, InvalidValue, RequestError, UnreadableGeometry
from geosvc.model.collection import Collection
from geosvc.model.feature import StoredFeature
from geosvc.query.features import Lookup, plan_lookup, select_item
from geosvc.requests.items import ItemsRequest
from geosvc.trace import Run, Trace, current_run, current_trace

MAX_BATCH = 256
IN_FLIGHT = 2
MAX_PLANS = 512
UNANSWERED = InternalError("the look-up ended without an answer")

Found = tuple[StoredFeature | None, Run | None]


Waiter = tuple["asyncio.Future[Found]", Trace | None]
Waiting = dict[str, list[Waiter]]


@dataclass(slots=True)
class _Queue:
    """The ids that wait for look-ups of one collection in one style; it keeps its plan while it is in use."""

    collection: Collection
    request: ItemsRequest
    lookup: Lookup
    waiting: Waiting = field(default_factory=dict)
    running: int = 0


class Lookups:
    """Look-ups of single features, gathered by collection and style. Plans are kept: making one costs more than using it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queues: dict[tuple[int, ItemsRequest], _Queue] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, collection: Collection, request: ItemsRequest, feature_id: str) -> StoredFeature | None:
        """The feature with this id; None when there is none.

        Args:
            collection: with a key of one column.
            request: what of the feature.
        Raises: RequestError.
        """
        queue = self._queue(collection, request)
        trace, asked_at = current_trace.get(), perf_counter()
        future: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        queue.waiting.setdefault(feature_id, []).append((future, trace))
        if queue.running < IN_FLIGHT:
            self._start(queue)
        feature, run = await future
        if trace is not None and run is not None:
            trace.take_shared(run, asked_at)
        return feature

    def _queue(self, collection: Collection, request: ItemsRequest) -> _Queue:
        # the queue holds the collection, so no other can get its id() while the queue is here
        kind = (id(collection), request)
        queue = self._queues.get(kind)
        if queue is None:
            if len(self._queues) >= MAX_PLANS:
                self._queues = {key: each for key, each in self._queues.items() if each.running}
            queue = self._queues[kind] = _Queue(collection, request, plan_lookup(collection, request))
        return queue

    async def close(self) -> None:
        """Ends all look-ups."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, queue: _Queue) -> None:
        queue.running += 1
        task = asyncio.get_running_loop().create_task(self._run(queue))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, queue: _Queue) -> None:
        try:
            while queue.waiting:
                batch = {each: queue.waiting.pop(each) for each in list(queue.waiting)[:MAX_BATCH]}
                try:
                    await self._look_up(batch, queue)
                finally:
                    for waiting in batch.values():
                        _fail(waiting, UNANSWERED)  # whatever happened, nobody waits for ever
        finally:
            queue.running -= 1

    async def _look_up(self, batch: Waiting, queue: _Queue) -> None:
        traces = [trace for waiting in batch.values() for _, trace in waiting if trace is not None]
        current_trace.set(traces[0] if traces else None)
        try:
            rows = await self._database.fetch(queue.lookup.of(list(batch)), shared=traces[1:])
        except (UnreadableGeometry, InvalidValue):
            await self._look_up_singly(batch, queue)
        except RequestError as error:
            for waiting in batch.values():
                _fail(waiting, error)
        else:
            found, run = {row[0]: row for row in rows}, current_run.get()
            for feature_id, waiting in batch.items():
                row = found.get(feature_id)
                _answer(waiting, None if row is None else StoredFeature(row[1], row[2], row[3]), run)

    async def _look_up_singly(self, batch: Waiting, queue: _Queue) -> None:
        """One bad geometry or id must not fail the others that happened to be asked for with it."""
        for feature_id, waiting in batch.items():
            current_trace.set(waiting[0][1])
            try:
                feature = await fetch_item(self._database, select_item(queue.collection, queue.request, (feature_id,)))
            except RequestError as error:
                _fail(waiting, error)
            else:
                _answer(waiting, feature, current_run.get())


def _answer(waiting: list[Waiter], feature: StoredFeature | None, run: Run | None) -> None:
    for future, _ in waiting:
        if not future.done():  # whose client has left
            future.set_result((feature, run))


def _fail(waiting: list[Waiter], error: RequestError) -> None:
    for future, _ in waiting:
        if not future.done():
            future.set_exception(error)
