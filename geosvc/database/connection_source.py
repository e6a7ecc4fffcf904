"""Get connections that are alive, one for each place, and give them back.

The connections of a pool are divided into places (`database.shares`). A request waits for a place
first, since the pool of asyncpg knows no order. Then it gets a connection of asyncpg's pool, which
opens one if none is idle.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from time import monotonic

import asyncpg

from geosvc.database.connection import Connection, GeosvcConnection, connect_arguments
from geosvc.database.connection_setup import ConnectionSetup
from geosvc.database.liveness import Liveness
from geosvc.database.session import CANCEL_GRACE_SECONDS
from geosvc.database.shares import Shares
from geosvc.database.sqlstate import DATABASE_ERRORS, is_full
from geosvc.database.target import CANNOT_CONNECT, NotConnected, why_unreachable
from geosvc.errors import PoolExhausted
from geosvc.settings import Settings
from geosvc.sql.compose import Statement

ASK_SECONDS = 1.0
_ALL_ARE_BUSY = "every database connection is busy; try again"
_CACHED_STATEMENTS = 256


class ConnectionSource:
    """The connections of one pool.

    Args:
        setup: prepares each new connection.
        writes: whether the pool is for writes.

    Attributes:
        shares: the places of the pool.
        held: connections that are in use.
        waiting: requests that wait for a connection.
    """

    def __init__(
        self, settings: Settings, url: str, setup: ConnectionSetup, *, writes: bool
    ) -> None:
        self._settings = settings
        self._url = url
        self._setup = setup
        self._opened: asyncpg.Pool | None = None
        self._acquire_seconds = settings.pool_acquire_seconds
        self._liveness = Liveness(settings.db_silence_seconds)
        # writes wait for locks of rows, seldom of tables, and mostly for the body of the client
        share = 1.0 if writes else settings.collection_pool_share
        self.shares = Shares(settings.pool_max_size, share, self._acquire_seconds)
        self.held = 0
        self.waiting = 0

    @property
    def _pool(self) -> asyncpg.Pool:
        assert self._opened is not None
        return self._opened

    @property
    def size(self) -> int:
        """Connections that are open."""
        if self._opened is None:
            return 0
        return self._opened.get_size()

    @property
    def is_full(self) -> bool:
        """Whether all connections are in use."""
        return self.held >= self._settings.pool_max_size

    async def open(self) -> None:
        """Opens the pool, without a connection. Raises: SettingsError for bad settings of TLS."""
        self._opened = await asyncpg.create_pool(
            **connect_arguments(self._settings, self._url),
            min_size=0,  # otherwise asyncpg connects now, and fails without a server
            max_size=self._settings.pool_max_size,
            connection_class=GeosvcConnection,
            statement_cache_size=0 if self._settings.pgbouncer else _CACHED_STATEMENTS,
            max_cacheable_statement_size=0,
            init=self._setup.prepare,
        )

    async def close(self, seconds: float) -> None:
        """Closes the pool; connections that are still in use after `seconds` are broken off."""
        try:
            async with asyncio.timeout(seconds):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    def terminate(self) -> None:
        """Breaks off every connection; whoever waits on one fails at once."""
        if self._opened is not None:
            self._opened.terminate()

    async def keep_warm(self) -> None:
        """Opens connections until there are GEOSVC_POOL_MIN_SIZE."""
        least = self._settings.pool_min_size
        if self._pool.get_size() >= least:
            return
        try:
            async with AsyncExitStack() as acquired:
                with suppress(*DATABASE_ERRORS):
                    while self._pool.get_size() < least:
                        acquiring = self._pool.acquire(timeout=self._acquire_seconds)
                        await acquired.enter_async_context(acquiring)
        except asyncpg.InternalClientError as error:
            # asyncpg raises it instead of the cancellation if both happen at the same moment
            if isinstance(error.__context__, asyncio.CancelledError):
                raise error.__context__ from None

    async def expire(self) -> None:
        """Replaces every connection when it is used next."""
        await self._pool.expire_connections()

    def suspect_all(self) -> None:
        """Probes every connection before it is used next, since one was found dead."""
        self._liveness.suspect()

    async def acquire(self, collection: str | None, ends: float, *, begun: bool) -> Connection:
        """Waits for a place, then gets a connection. The caller must call `release`.

        Args:
            collection: whose share the place is in; None: in nobody's.
            ends: when the wait ends, by the monotonic clock.
            begun: whether the request has had a connection before.
        Raises: PoolExhausted, NotConnected.
        """
        self.waiting += 1
        try:
            await self.shares.take(collection, begun=begun)
            connection = await self._connect_in_place(collection)
            while connection is None:
                left_seconds = max(ends - monotonic(), 0.0)
                await self.shares.take_next(collection, left_seconds)
                connection = await self._connect_in_place(collection)
        except TimeoutError:
            if self._pool.get_size() < self._settings.pool_max_size:
                reason = f"no answer within {self._acquire_seconds:g} s"
                raise NotConnected(reason) from None
            raise PoolExhausted(_ALL_ARE_BUSY) from None
        except CANNOT_CONNECT as error:
            raise NotConnected(why_unreachable(error)) from error
        finally:
            self.waiting -= 1
        self.held += 1
        return connection

    async def release(self, connection: Connection, collection: str | None) -> None:
        """Gives a connection and its place back."""
        self.held -= 1
        try:
            await self._pool.release(connection, timeout=CANCEL_GRACE_SECONDS)
        finally:
            self.shares.give(collection)

    async def release_quickly(self, connection: Connection, seconds: float) -> None:
        """Gives back a connection whose statement was cancelled; `release` must still be called.

        It waits until the server has cancelled the statement. If that takes longer than `seconds`,
        the connection is closed.
        """
        with suppress(*DATABASE_ERRORS):
            await self._pool.release(connection, timeout=seconds)

    async def ask(self, statement: Statement) -> Sequence[asyncpg.Record]:
        """Runs a statement about other connections, outside all shares.

        Returns: no rows if there is no answer within ASK_SECONDS.
        """
        with suppress(*DATABASE_ERRORS):
            async with asyncio.timeout(ASK_SECONDS), self._pool.acquire() as connection:
                rows: Sequence[asyncpg.Record] = await connection.fetch(
                    statement.text, *statement.args
                )
                return rows
        return ()

    async def _connect_in_place(self, collection: str | None) -> "Connection | None":
        """Gets a connection for a place that is taken. The place is given back if there is none.

        Returns: None if the server accepts no more connections. Then the caller must wait until one
            of the open ones is given back.
        """
        connection: Connection | None = None
        try:
            connection = await self._acquire_alive()
        except asyncpg.PostgresError as error:
            opened = self._pool.get_size()
            if not is_full(error) or not opened:
                raise
            self.shares.shrink(opened)
        finally:
            if connection is None:
                self.shares.give(collection)
        return connection

    async def _acquire_alive(self) -> Connection:
        """Gets a connection of asyncpg's pool. If it is dead, all idle ones are replaced."""
        connection: Connection = await self._pool.acquire(timeout=self._acquire_seconds)
        if not self._liveness.needs_probe(connection):
            return connection
        is_alive = False
        try:
            is_alive = await self._liveness.probe(connection)
        finally:
            if not is_alive:  # or the probe was cancelled
                connection.terminate()
                await self._pool.release(connection)
        if is_alive:
            return connection
        await self.expire()
        fresh: Connection = await self._pool.acquire(timeout=self._acquire_seconds)
        return fresh
