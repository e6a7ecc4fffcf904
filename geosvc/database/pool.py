"""A pool of connections, and how a read runs on one (`database.writing` tells of writes).

Every connection is in UTC with a fixed search path, those for reads read only and with custom plans. Settings are made once
a connection; behind PgBouncer, where a session belongs to nobody, at the head of every transaction.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from time import perf_counter
from typing import Any, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from geosvc.database.codecs import register_codecs
from geosvc.database.sqlstate import DATABASE_ERRORS, DEAD_CONNECTION, translate
from geosvc.database.tls import tls_to_database
from geosvc.database.watch import Running, ServerMessages, TimedQuery, log_query
from geosvc.errors import PoolExhausted
from geosvc.events import ReadRetried, emit
from geosvc.model.row import Row
from geosvc.settings import Settings
from geosvc.sql.compose import APPLICATION_NAME, SQL, Identifier, Params, Statement
from geosvc.sql.files import load_statement
from geosvc.trace import Run, Trace

CLOSE_SECONDS = 5.0
CANCEL_GRACE_SECONDS = 5.0  # asyncpg's own timeout comes after the server's, and bounds cancels as well
CANCEL_SECONDS = 0.2  # PostgreSQL forgets a cancel that arrives before its statement: then the connection is given up
KEPT_FROM_STREAMS = 3
SETTLE_SECONDS = 0.05
_WATCH_CLIENTS = "SET {} client_connection_check_interval = '300ms'"
Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
_T = TypeVar("_T")


class GeosvcConnection(asyncpg.Connection):
    """A connection that is not reset at release, which would cost a round trip: nothing but SET LOCAL changes it. So its log
    listener stays, too; `run` is the statement that what the server says belongs to.
    """

    run: Run | None = None

    def hear(self, messages: ServerMessages) -> None:
        """Passes on what the server says, from now on."""
        self.add_log_listener(messages.hear)

    def serve(self, run: Run | None) -> None:
        """Tells which statement it is used for."""
        self.run = run

    async def reset(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's signature
        """Nothing; one that was left in a transaction is closed."""
        if self.is_in_transaction():
            self.terminate()

    def _time_and_log(self, query: str, args: Any, timeout: float) -> TimedQuery:
        """Asyncpg calls it where there is a query logger; if it were called otherwise one day, the logger would do the same."""
        return TimedQuery(query, args)

    def _check_listeners(self, listeners: object, listener_type: str) -> None:
        """Asyncpg takes a listener on a connection that is released for one that was forgotten."""


def connect_arguments(settings: Settings, url: str) -> dict[str, Any]:
    """What asyncpg.connect is told, for every connection that geosvc opens."""
    tls = tls_to_database(settings, url)
    return {
        "dsn": url,
        "ssl": tls.context or False,
        "direct_tls": tls.direct,
        "timeout": settings.connect_seconds,
        "command_timeout": settings.statement_timeout_seconds + CANCEL_GRACE_SECONDS,
        "server_settings": {"application_name": APPLICATION_NAME},
    }


def _milliseconds(seconds: float) -> str:
    return f"{max(round(seconds * 1000), 1)}ms"


def _session_settings(settings: Settings, writes: bool) -> dict[str, str]:
    stall_seconds = settings.read_stall_seconds if writes else settings.write_stall_seconds
    return {
        "timezone": "UTC",
        "datestyle": "ISO, YMD",
        "intervalstyle": "iso_8601",
        "bytea_output": "hex",
        "extra_float_digits": "1",
        "jit": "off",
        "max_parallel_workers_per_gather": "0",  # starting workers costs more than a page, and requests share the cores
        "client_min_messages": "warning" if settings.server_messages == "off" else settings.server_messages,
        "plan_cache_mode": "auto" if writes else "force_custom_plan",
        "synchronize_seqscans": "off",
        "statement_timeout": _milliseconds(settings.statement_timeout_seconds),
        "idle_in_transaction_session_timeout": _milliseconds(stall_seconds + CANCEL_GRACE_SECONDS),
    }


def _set_commands(scope: str, settings: Settings, writes: bool, postgis_schema: str | None) -> str:
    """SET [LOCAL] for every session setting; the values are the service's own, the schemas are quoted."""
    schemas = dict.fromkeys(filter(None, (postgis_schema, *settings.schemas)))
    path = SQL(", ").join(Identifier(schema) for schema in schemas).render(Params())
    commands = [f"SET {scope} {name} = '{value}'" for name, value in _session_settings(settings, writes).items()]
    return "; ".join([*commands, f"SET {scope} search_path = {path}"])


class Database:
    """A database to read from, or to write to.

    It can be opened while there is no server: connections are made when they are needed, and again when they were lost.
    """

    def __init__(self, settings: Settings, url: str, *, writes: bool = False) -> None:
        self._settings = settings
        self._url = url
        self._writes = writes
        self._opened: asyncpg.Pool | None = None
        self._begin = "BEGIN" if writes else "BEGIN READ ONLY"
        self._head = ""
        self._streams = asyncio.Semaphore(max(settings.pool_max_size - KEPT_FROM_STREAMS, 1))
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
        settings = self._settings
        self._opened = await asyncpg.create_pool(
            **connect_arguments(settings, self._url),
            min_size=0,  # asyncpg would insist on connecting at once; keep_warm() does it when there is a server
            max_size=settings.pool_max_size,
            connection_class=GeosvcConnection,
            statement_cache_size=0 if settings.pgbouncer else 256,
            max_cacheable_statement_size=0,
            init=self._init,
        )

    async def close(self) -> None:
        """Closes the pool; what has not ended within CLOSE_SECONDS is cut off."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.pool.close()
        except TimeoutError:
            self.pool.terminate()

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
        if self._settings.telemetry:
            connection.add_query_logger(log_query)
        if self._messages is not None:
            connection.hear(self._messages)
        async with connection.transaction():
            schema: str | None = await connection.fetchval(load_statement("postgis_schema").text)
            await register_codecs(connection, schema)
        await self._try_watching(connection)
        look_after = f"{_WATCH_CLIENTS.format('LOCAL')}; " if self._server_watches_clients else ""
        if self._settings.pgbouncer:
            self._head = f"; {look_after}{_set_commands('LOCAL', self._settings, self._writes, schema)}"
        else:
            protect = "" if self._writes else "; SET SESSION default_transaction_read_only = on"
            await connection.execute(f"{_set_commands('SESSION', self._settings, self._writes, schema)}{protect}")

    async def _try_watching(self, connection: asyncpg.Connection) -> None:
        """Lets the server notice by itself that geosvc is gone, where its platform can."""
        scope = "LOCAL" if self._settings.pgbouncer else "SESSION"
        try:
            async with connection.transaction():
                await connection.execute(_WATCH_CLIENTS.format(scope))
        except asyncpg.PostgresError:
            self._server_watches_clients = False

    async def _acquire(self) -> Connection:
        """Raises: PoolExhausted; what asyncpg raises when it cannot connect."""
        self.waiting += 1
        try:
            return await self.pool.acquire(timeout=self._settings.pool_acquire_seconds)
        except TimeoutError:
            if self.pool.get_size() < self._settings.pool_max_size:
                raise ConnectionError("connecting took too long") from None
            raise PoolExhausted("every database connection is busy; try again") from None
        finally:
            self.waiting -= 1

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
        Raises: PoolExhausted; what asyncpg raises when it cannot connect.
        """
        was_full = self._held >= self._settings.pool_max_size
        connection = await self._acquire()
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
            await connection.execute(f"{self._begin} {isolation}{self._head}")
            connected()
            try:
                yield connection
            except BaseException:
                await _roll_back(connection)
                raise
            if await connection.execute("COMMIT") != "COMMIT":
                raise asyncpg.InternalClientError("the transaction had failed before")
        except (asyncio.CancelledError, GeneratorExit):
            with suppress(*DATABASE_ERRORS):
                await self.pool.release(connection, timeout=CANCEL_SECONDS)
            raise
        finally:
            self._held -= 1
            await self.pool.release(connection, timeout=CANCEL_GRACE_SECONDS)

    async def fetch(
        self, statement: Statement, timeout_seconds: float | None = None, shared: Sequence[Trace] = ()
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
                    rows = await connection.fetch(statement.text, *running.run.args, timeout=timeout_seconds)
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
                connection = await stack.enter_async_context(self.connection(running, in_transaction=True))
                started = perf_counter()
                prepared = await connection.prepare(statement.text, name="" if self._settings.pgbouncer else None)
                cursor = _TimedCursor(running, await prepared.cursor(*running.run.args))
                rows = await cursor.fetch(first, started)
                return stack.pop_all(), cursor, rows

        stack, cursor, rows = await self._read(statement, begin)
        try:
            async with stack:
                while rows:
                    following = asyncio.ensure_future(cursor.fetch(next_rows(rows)))
                    try:
                        await asyncio.sleep(0)  # sends it, before the consumer keeps the loop busy with this batch
                        yield rows
                        rows = await following
                    finally:
                        await _settle(following)
        except DATABASE_ERRORS as error:
            raise translate(error, statement.name) from error

    @asynccontextmanager
    async def _place_for_a_stream(self) -> AsyncIterator[None]:
        """One of the connections that streams may hold: clients that read slowly must leave some for everybody else.

        Raises: PoolExhausted.
        """
        try:
            async with asyncio.timeout(self._settings.pool_acquire_seconds):
                await self._streams.acquire()
        except TimeoutError:
            raise PoolExhausted("every database connection for streams is busy; try again") from None
        try:
            yield
        finally:
            self._streams.release()

    async def _read(self, statement: Statement, run: Callable[[], Awaitable[_T]]) -> _T:
        """Runs a read, and once more when it met a dead connection: the pool does not try its connections beforehand."""
        try:
            try:
                return await run()
            except DEAD_CONNECTION as error:
                if isinstance(error, TimeoutError | ConnectionRefusedError):
                    raise
                emit(ReadRetried(statement=statement.name, reason=type(error).__name__))
                await self.expire()
                return await run()
        except DATABASE_ERRORS as error:
            raise translate(error, statement.name) from error


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
