"""A pool of connections, and how a read runs on one (`database.writes.writer` tells of writes).

Every connection is in UTC with a fixed search path, those for reads read only and with custom plans. Settings are made once
a connection; behind PgBouncer, where a session belongs to nobody, at the head of every transaction.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from time import monotonic, perf_counter
from typing import Any, TypeVar

import asyncpg

from geosvc.database.codecs import register_codecs
from geosvc.database.connection import MISSING, Connection, GeosvcConnection, connect_arguments
from geosvc.database.liveness import Liveness
from geosvc.database.running import Running, ServerMessages, log_query
from geosvc.database.session import (
    CANCEL_GRACE_SECONDS,
    choose_settings,
    first_settings,
    set_command,
)
from geosvc.database.shares import Shares, client_is_busy
from geosvc.database.sqlstate import (
    DATABASE_ERRORS,
    LOST,
    RETRIED,
    RETRYABLE,
    Locker,
    is_full,
    is_lost,
    translate,
)
from geosvc.database.target import CANNOT_CONNECT, NotConnected, why_unreachable
from geosvc.errors import PoolExhausted
from geosvc.events import ReadRetried, emit
from geosvc.model.row import Row
from geosvc.requests.client import Clients
from geosvc.settings import Settings
from geosvc.sql.compose import Statement
from geosvc.sql.files import load_statement
from geosvc.trace import Trace, current_trace

CLOSE_SECONDS = 5.0
CANCEL_SECONDS = 0.2  # PostgreSQL forgets a cancel that arrives before its statement: then the connection is given up
KEPT_FROM_STREAMS = 3
SETTLE_SECONDS = 0.05
LOCKERS_SECONDS = 1.0
_ALL_BUSY = "every database connection is busy; try again"
_POOLER_BUSY = "every connection of the pooler is busy; try again"
_QUERY_WAIT = "query_wait_timeout"  # PgBouncer's own limit, in its own words
_LEAST_SECONDS = 0.1
_WATCH_CLIENTS = "SET {} client_connection_check_interval = '300ms'"
_T = TypeVar("_T")


class Database:
    """A database to read from, or to write to.

    It can be opened while there is no server: connections are made when they are needed, and again when they were lost.
    """

    def __init__(self, settings: Settings, url: str, *, writes: bool = False) -> None:
        self._settings = settings
        self._url = url
        self._writes = writes
        self._opened: asyncpg.Pool | None = None
        # writes wait for rows, not for relations: what is slow among them is the client's own body
        share = 1.0 if writes else settings.collection_pool_share
        self._shares = Shares(settings.pool_max_size, share, settings.pool_acquire_seconds)
        self._liveness = Liveness(settings.db_silence_seconds)
        self._begin = "BEGIN" if writes else "BEGIN READ ONLY"
        self._head = ""
        streams = max(settings.pool_max_size - KEPT_FROM_STREAMS, 1)
        seconds, of_collection = settings.pool_acquire_seconds, self._shares.for_streams
        self._streams = Shares(
            streams, settings.client_stream_share, seconds, client_is_busy, of_collection
        )
        self._clients = Clients("full", settings.trusted_proxies)
        self._server_watches_clients = True
        self._messages = ServerMessages() if settings.server_messages != "off" else None
        self.waiting = 0
        self._held = 0

    @property
    def pool(self) -> asyncpg.Pool:
        """The pool; open."""
        assert self._opened is not None
        return self._opened

    @property
    def size(self) -> int:
        """Connections that are open."""
        return self.pool.get_size() if self._opened is not None else 0

    @property
    def largest(self) -> int:
        """Connections that may be open."""
        return self._settings.pool_max_size

    @property
    def in_use(self) -> int:
        """Connections that somebody has."""
        return self._held

    async def open(self) -> None:
        """Opens the pool. Raises: SettingsError when the settings of TLS do not hold."""
        self._opened = await asyncpg.create_pool(
            **connect_arguments(self._settings, self._url),
            min_size=0,  # asyncpg would insist on connecting at once; keep_warm() does it when there is a server
            max_size=self._settings.pool_max_size,
            connection_class=GeosvcConnection,
            statement_cache_size=0 if self._settings.pgbouncer else 256,
            max_cacheable_statement_size=0,
            init=self._init,
        )

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Closes the pool; what has not ended within so many seconds is cut off."""
        try:
            async with asyncio.timeout(seconds):
                await self.pool.close()
        except TimeoutError:
            self.pool.terminate()

    def terminate(self) -> None:
        """Breaks off every connection; whoever waits on one fails at once."""
        if self._opened is not None:
            self._opened.terminate()

    async def keep_warm(self) -> None:
        """Opens connections up to POOL_MIN_SIZE where there are fewer."""
        if self.pool.get_size() >= self._settings.pool_min_size:
            return
        try:
            async with AsyncExitStack() as stack:
                with suppress(*DATABASE_ERRORS):
                    timeout = self._settings.pool_acquire_seconds
                    while self.pool.get_size() < self._settings.pool_min_size:
                        await stack.enter_async_context(self.pool.acquire(timeout=timeout))
        except asyncpg.InternalClientError as error:
            # asyncpg's own end of an acquire that is cancelled as it succeeds hides the cancellation
            if isinstance(error.__context__, asyncio.CancelledError):
                raise error.__context__ from None

    async def expire(self) -> None:
        """Replaces every connection when it is next used: PostGIS was installed anew, or the server restarted."""
        await self.pool.expire_connections()

    async def _init(self, connection: Any) -> None:
        """Behind a pooler the first statement may wait for a connection of its own. Raises: PoolExhausted."""
        try:
            async with asyncio.timeout(
                0.9 * self._settings.pool_acquire_seconds if self._settings.pgbouncer else None
            ):
                await self._set_up(connection)
        except TimeoutError:
            connection.terminate()
            raise PoolExhausted(_POOLER_BUSY) from None

    async def _set_up(self, connection: Any) -> None:
        connection.watch_socket(self._settings.db_silence_seconds)
        if self._settings.telemetry:
            connection.add_query_logger(log_query)
        if self._messages is not None:
            connection.hear(self._messages)
        pooled = self._settings.pgbouncer
        first = set_command(first_settings(self._settings), local=pooled)
        if not pooled:
            await connection.execute(first)
        async with connection.transaction():
            if pooled:
                await connection.execute(first)
            schema: str | None = await connection.fetchval(load_statement("postgis_schema").text)
            await register_codecs(connection, schema)
            wanted = await choose_settings(connection, self._settings, self._writes, schema)
        await self._try_watching(connection)
        look_after = f"{_WATCH_CLIENTS.format('LOCAL')}; " if self._server_watches_clients else ""
        if self._settings.pgbouncer:
            self._head = f"; {look_after}{set_command(wanted, local=True)}"
        else:
            protect = {} if self._writes else {"default_transaction_read_only": "on"}
            await connection.settle(set_command({**wanted, **protect}, local=False))
        connection.used_at = monotonic()

    async def _try_watching(self, connection: asyncpg.Connection) -> None:
        """Lets the server notice by itself that geosvc is gone, where its platform can."""
        scope = "LOCAL" if self._settings.pgbouncer else "SESSION"
        try:
            async with connection.transaction():
                await connection.execute(_WATCH_CLIENTS.format(scope))
        except asyncpg.PostgresError:
            self._server_watches_clients = False

    async def _acquire(self, collection: str | None, ends: float, *, begun: bool) -> Connection:
        """Raises: PoolExhausted, NotConnected."""
        self.waiting += 1
        try:
            await self._shares.take(collection, begun=begun)
            while (connection := await self._acquire_opened(collection)) is None:
                await self._shares.take_next(collection, max(ends - monotonic(), 0.0))
            return connection
        except TimeoutError:
            if self.pool.get_size() < self._settings.pool_max_size:
                raise NotConnected(
                    f"no answer within {self._settings.pool_acquire_seconds:g} s"
                ) from None
            raise PoolExhausted(_ALL_BUSY) from None
        except CANNOT_CONNECT as error:
            raise NotConnected(why_unreachable(error)) from error
        finally:
            self.waiting -= 1

    async def _acquire_opened(self, collection: str | None) -> "Connection | None":
        """A connection for a place. None when the server takes no more of them, so that it must be one of the pool's own which
        is given back; then the place is given back, too.
        """
        connection: Connection | None = None
        try:
            connection = await self._acquire_living()
        except asyncpg.PostgresError as error:
            opened = self.pool.get_size()
            if not is_full(error) or not opened:
                raise
            self._shares.shrink(opened)
        finally:
            if connection is None:
                self._shares.give(collection)
        return connection

    async def _acquire_living(self) -> Connection:
        """A connection of the pool; when one is found dead, the others are made anew."""
        seconds = self._settings.pool_acquire_seconds
        connection = await self._take(seconds)
        holds = False
        try:
            holds = await self._liveness.holds(connection)
        finally:
            if not holds:
                connection.terminate()
                await self.pool.release(connection)
        if holds:
            return connection
        await self.expire()
        return await self._take(seconds)

    async def _take(self, seconds: float) -> Connection:
        connection: Connection = await self.pool.acquire(timeout=seconds)
        return connection

    async def _begin_transaction(self, connection: Connection, isolation: str, ends: float) -> None:
        """BEGIN. Behind a pooler it may wait for a connection of the pooler's: a wait like that for one of the pool's own.

        Raises: PoolExhausted.
        """
        command = f"{self._begin} {isolation}{self._head}"
        if not self._settings.pgbouncer:
            await connection.execute(command)
            return
        try:
            await connection.execute(command, timeout=max(ends - monotonic(), _LEAST_SECONDS))
        except TimeoutError:
            connection.terminate()  # it stands in the pooler's queue still
            raise PoolExhausted(_POOLER_BUSY) from None
        except asyncpg.ConnectionDoesNotExistError as error:
            if _QUERY_WAIT not in str(error):
                raise
            raise PoolExhausted(_POOLER_BUSY) from None

    @asynccontextmanager
    async def connection(
        self, running: Running | None = None, *, in_transaction: bool = False, isolation: str = ""
    ) -> AsyncIterator[Connection]:
        """A connection that is ready; behind PgBouncer always within a transaction, whose BEGIN may wait for a
        connection of the pooler's and counts as such a wait.

        The transaction is not asyncpg's own, which leaves the ROLLBACK of a closed generator to the reset.

        Args:
            running: the statement that it is for, which is told when the connection is there.
            isolation: of the transaction, as BEGIN takes it; none: the server's own.
        Raises: PoolExhausted, NotConnected.
        """
        was_full = self._held >= self._settings.pool_max_size
        trace = running.run.trace if running is not None else current_trace.get()
        collection = trace.collection if trace is not None else None
        ends = monotonic() + self._settings.pool_acquire_seconds
        begun = trace is not None and trace.db_seconds > 0
        connection = await self._acquire(collection, ends, begun=begun)
        self._held += 1
        connected: Callable[[], object] = perf_counter
        if running is not None:
            running.run.pool_was_full = was_full
            connected = running.connected
            connection.serve(running.run)  # type: ignore[attr-defined]
        try:
            if not self._settings.pgbouncer and not in_transaction:
                connected()
                yield connection
                return
            await self._begin_transaction(connection, isolation, ends)
            connected()
            try:
                yield connection
            except BaseException:
                await _roll_back(connection)
                raise
            if await connection.execute("COMMIT") != "COMMIT":
                raise asyncpg.InternalClientError("the transaction had failed before")
        except (asyncio.CancelledError, GeneratorExit, TimeoutError) as error:
            await self._cut_short(connection, error)
            raise
        finally:
            self._held -= 1
            try:
                await self.pool.release(connection, timeout=CANCEL_GRACE_SECONDS)
            finally:
                self._shares.give(collection)

    async def _cut_short(self, connection: Connection, error: BaseException) -> None:
        """Lets go of a connection at once where nobody waits for it any more, or a write had no answer."""
        if not isinstance(error, TimeoutError):
            with suppress(*DATABASE_ERRORS):
                await self.pool.release(connection, timeout=CANCEL_SECONDS)
        elif self._writes:  # which have no time boxes: the server's own limit has passed
            connection.terminate()
            self._liveness.suspect()

    async def fetch(
        self,
        statement: Statement,
        timeout_seconds: float | None = None,
        shared: Sequence[Trace] = (),
    ) -> Sequence[Row]:
        """All rows of a statement.

        Args:
            timeout_seconds: a time box shorter than the statement timeout.
            shared: other requests than the current one that wait for it.
        Raises: RequestError.
        """

        async def run() -> Sequence[Row]:
            with Running(statement, shared=shared) as running:
                async with self.connection(running) as connection:
                    try:
                        rows = await connection.fetch(
                            statement.text, *running.run.args, timeout=timeout_seconds
                        )
                    except MISSING as error:
                        await connection.give_up_if_changed(error)  # type: ignore[attr-defined]
                        raise
                    except TimeoutError:
                        # the server has a limit too, which comes first unless it is gone, or where nothing interrupts it
                        if timeout_seconds is None and not await self._still_runs(connection):
                            connection.terminate()
                            self._liveness.suspect()
                            raise NotConnected("the database did not answer") from None
                        raise
                    running.got(len(rows))
                    return rows

        return await self._read(statement, run)

    async def stream(
        self, statement: Statement, next_rows: Callable[[Sequence[Row]], int]
    ) -> AsyncGenerator[Sequence[Row], None]:
        """The rows of a statement in batches, from one snapshot. The batch after the one that is yielded is already
        being fetched, so at most two are in memory.

        Args:
            next_rows: how many rows the next batch takes, given the last (empty at first).
        Yields: batches in the statement's order, none empty.
        Raises: RequestError.
        """
        first = next_rows([])

        async def begin() -> tuple[AsyncExitStack, _TimedCursor, Sequence[Row]]:
            async with AsyncExitStack() as stack:
                running = stack.enter_context(Running(statement))
                await stack.enter_async_context(self._place_for_a_stream())
                connection = await stack.enter_async_context(
                    self.connection(running, in_transaction=True)
                )
                started = perf_counter()
                prepared = await connection.prepare(
                    statement.text, name="" if self._settings.pgbouncer else None
                )
                cursor = _TimedCursor(running, await prepared.cursor(*running.run.args))
                rows = await cursor.fetch(first, started)
                return stack.pop_all(), cursor, rows

        stack, cursor, rows = await self._read(statement, begin)
        try:
            async with stack:
                while rows:
                    following = asyncio.ensure_future(cursor.fetch(next_rows(rows)))
                    try:
                        await asyncio.sleep(
                            0
                        )  # sends it, before the consumer keeps the loop busy with this batch
                        yield rows
                        rows = await following
                    finally:
                        await _settle(following)
        except DATABASE_ERRORS as error:
            raise translate(error, statement.name) from error

    @asynccontextmanager
    async def _place_for_a_stream(self) -> AsyncIterator[None]:
        """One of the connections that streams may hold: clients that read slowly must leave some for everybody else, those of
        one collection some for its small answers, and one client some for the others.

        Raises: PoolExhausted, TooManyStreams.
        """
        trace = current_trace.get()
        client = (
            self._clients.holder(trace.peer, trace.forwarded_for) if trace is not None else None
        )
        collection = trace.collection if trace is not None else None
        await self._streams.take(client, group=collection)
        try:
            yield
        finally:
            self._streams.give(client, collection)

    async def _read(self, statement: Statement, run: Callable[[], Awaitable[_T]]) -> _T:
        """Runs a read, and once more when it met a dead connection or another transaction was in its way: the pool does not
        try its connections beforehand. When the next is dead too, as after a restart of the server, all are made anew.
        """
        try:
            try:
                return await run()
            except RETRIED as error:
                if not _may_succeed(error):
                    raise
                if is_lost(error):
                    self._liveness.suspect()
                emit(ReadRetried(statement=statement.name, reason=type(error).__name__))
            try:
                return await run()
            except LOST as error:
                if not is_lost(error):
                    raise
                await self.expire()
            return await run()
        except asyncpg.LockNotAvailableError as error:
            raise translate(error, statement.name, await self._lockers()) from error
        except DATABASE_ERRORS as error:
            raise translate(error, statement.name) from error

    async def _still_runs(self, connection: Connection) -> bool:
        """Whether the server works at what a connection has sent, by another connection; behind a pooler nobody knows."""
        if self._settings.pgbouncer:
            return True
        statement = load_statement("still_runs", (connection.get_server_pid(),))
        with suppress(*DATABASE_ERRORS):
            async with asyncio.timeout(LOCKERS_SECONDS), self.pool.acquire() as other:
                return bool(await other.fetchval(statement.text, *statement.args))
        return False

    async def _lockers(self) -> list[Locker]:
        """Who holds locks that keep readers out; nothing when that cannot be found out at once."""
        lockers = load_statement("lockers")
        with suppress(*DATABASE_ERRORS):
            async with asyncio.timeout(LOCKERS_SECONDS), self.pool.acquire() as connection:
                return [Locker(*row) for row in await connection.fetch(lockers.text)]
        return []


def _may_succeed(error: BaseException) -> bool:
    """Whether the same read may succeed at once on another connection."""
    return is_lost(error) or isinstance(error, RETRYABLE)


class _TimedCursor:
    """A cursor whose fetches are timed: query loggers do not see them."""

    def __init__(self, running: Running, cursor: Any) -> None:
        self._running = running
        self._cursor = cursor

    async def fetch(self, rows: int, started: float | None = None) -> Sequence[Row]:
        started = perf_counter() if started is None else started
        fetched: Sequence[Row] = ()
        try:
            fetched = await self._cursor.fetch(rows)
            return fetched
        finally:
            self._running.took(started, len(fetched))


async def _roll_back(connection: Connection) -> None:
    """Ends a transaction that failed or that nobody waits for any more; a connection that does not answer is given up."""
    try:
        await connection.execute("ROLLBACK", timeout=CANCEL_SECONDS)
    except DATABASE_ERRORS:
        connection.terminate()


async def _settle(task: "asyncio.Future[Sequence[Row]]") -> None:
    """Ends a fetch that nobody waits for any more, and waits until the server has let go of it."""
    task.add_done_callback(_forget)
    try:
        # most are nearly there; a cancel that arrives late would hit the ROLLBACK
        await asyncio.wait((task,), timeout=SETTLE_SECONDS)
    finally:
        task.cancel()
    await asyncio.wait((task,))


def _forget(task: "asyncio.Future[Sequence[Row]]") -> None:
    """Takes the exception of a task that nobody waits for, so that asyncio does not report it."""
    if not task.cancelled():
        task.exception()
