"""The parts of a stream of rows: its place, its cursor, and the end of a fetch."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from time import perf_counter
from typing import Any, NamedTuple

from geosvc.database.running import Running
from geosvc.database.shares import Shares, client_is_busy
from geosvc.model.row import Row
from geosvc.requests.client import Clients
from geosvc.settings import Settings
from geosvc.trace import current_trace

KEPT_FROM_STREAMS = 3
"""Connections of a pool that streams may not hold."""

SETTLE_SECONDS = 0.05


class StreamPlaces:
    """The connections that streams may hold.

    Clients that read slowly must leave some connections to all others. The streams of one
    collection must leave some to its small answers, and one client some to the other clients.

    Args:
        of_collection: how many the streams of one collection may hold; None: all.
    """

    def __init__(self, settings: Settings, of_collection: int | None) -> None:
        self._shares = Shares(
            max(settings.pool_max_size - KEPT_FROM_STREAMS, 1),
            settings.client_stream_share,
            settings.pool_acquire_seconds,
            client_is_busy,
            of_collection,
        )
        self._clients = Clients("full", settings.trusted_proxies)

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Holds a place for the request that is being handled.

        Raises: PoolExhausted, TooManyStreams.
        """
        client = collection = None
        trace = current_trace.get()
        if trace is not None:
            client = self._clients.holder(trace.peer, trace.forwarded_for)
            collection = trace.collection
        await self._shares.take(client, group=collection)
        try:
            yield
        finally:
            self._shares.give(client, collection)


class TimedCursor:
    """A cursor that adds the times of its fetches to a run; query loggers do not observe them."""

    def __init__(self, running: Running, cursor: Any) -> None:
        self._running = running
        self._cursor = cursor

    async def fetch(self, rows: int, started: float | None = None) -> Sequence[Row]:
        """Fetches the next rows.

        Args:
            rows: how many, at most.
            started: since when the time counts, by `perf_counter`; None: from now on.
        """
        if started is None:
            started = perf_counter()
        fetched: Sequence[Row] = ()
        try:
            fetched = await self._cursor.fetch(rows)
            return fetched
        finally:
            self._running.took(started, len(fetched))


class OpenStream(NamedTuple):
    """A stream whose first batch was fetched.

    Attributes:
        resources: closes the transaction, and gives back the connection and the place.
        rows: the first batch.
    """

    resources: AsyncExitStack
    cursor: TimedCursor
    rows: Sequence[Row]


async def settle(fetch: "asyncio.Future[Sequence[Row]]") -> None:
    """Ends a fetch that nobody waits for, and waits until the server has stopped working on it."""
    fetch.add_done_callback(_retrieve_exception)
    try:
        # most fetches are nearly done; a cancel that arrives late would cancel the ROLLBACK
        await asyncio.wait((fetch,), timeout=SETTLE_SECONDS)
    finally:
        fetch.cancel()
    await asyncio.wait((fetch,))


def _retrieve_exception(fetch: "asyncio.Future[Sequence[Row]]") -> None:
    """Retrieves the exception, since asyncio reports one that nobody retrieves."""
    if not fetch.cancelled():
        fetch.exception()
