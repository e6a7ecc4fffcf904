"""A pool of connections, and the statements that run on it.

A read goes this way: `Database.fetch` runs it, and again if the connection was dead (`_run_read`).
Each attempt waits for a connection in `Database.connection`, which takes a
place and a connection that is alive (`database.connection_source`). A new connection is prepared in
`database.connection_setup`. `database.writes.writer` runs writes on another `Database`.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from time import monotonic, perf_counter
from typing import TypeVar

import asyncpg

from geosvc.database.connection import MISSING, Connection
from geosvc.database.connection_setup import ConnectionSetup
from geosvc.database.connection_source import ConnectionSource
from geosvc.database.principal_role import role_commands
from geosvc.database.row_stream import OpenStream, StreamPlaces, TimedCursor, settle
from geosvc.database.running import Running
from geosvc.database.sqlstate import (
    CONFLICTS,
    DATABASE_ERRORS,
    LOST,
    LOST_OR_CONFLICT,
    Locker,
    is_lost,
    translate,
)
from geosvc.database.target import NotConnected
from geosvc.database.transaction_commands import (
    CANCEL_SECONDS,
    TransactionBeginning,
    commit,
    roll_back,
)
from geosvc.events import ReadRetried, emit
from geosvc.model.principal import current_principal
from geosvc.model.row import Row
from geosvc.settings import Settings
from geosvc.sql.compose import Statement
from geosvc.sql.files import load_statement
from geosvc.trace import Trace, current_trace

CLOSE_SECONDS = 5.0
_T = TypeVar("_T")
_UNFINISHED = (asyncio.CancelledError, GeneratorExit, TimeoutError)


class Database:
    """A database to read from, or to write to.

    It can be opened while there is no server. Connections are made when they are needed, and made
    again when they were lost.

    Args:
        writes: whether the pool is for writes.
    """

    def __init__(self, settings: Settings, url: str, *, writes: bool = False) -> None:
        self._settings = settings
        self._writes = writes
        setup = ConnectionSetup(settings, writes=writes)
        self._beginning = TransactionBeginning(settings, setup, writes=writes)
        self._source = ConnectionSource(settings, url, setup, writes=writes)
        self._stream_places = StreamPlaces(settings, self._source.shares.for_streams)

    @property
    def size(self) -> int:
        """Connections that are open."""
        return self._source.size

    @property
    def largest(self) -> int:
        """Connections that may be open."""
        return self._settings.pool_max_size

    @property
    def in_use(self) -> int:
        """Connections that are in use."""
        return self._source.held

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection."""
        return self._source.waiting

    async def open(self) -> None:
        """Opens the pool, without a connection. Raises: SettingsError for bad settings of TLS."""
        await self._source.open()

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Closes the pool; connections that are still in use after `seconds` are broken off."""
        await self._source.close(seconds)

    def terminate(self) -> None:
        """Breaks off every connection; whoever waits on one fails at once."""
        self._source.terminate()

    async def keep_warm(self) -> None:
        """Opens connections until there are GEOSVC_POOL_MIN_SIZE."""
        await self._source.keep_warm()

    async def expire(self) -> None:
        """Replaces every connection when it is used next, since PostGIS was installed again."""
        await self._source.expire()

    @asynccontextmanager
    async def connection(
        self, running: Running | None = None, *, in_transaction: bool = False, isolation: str = ""
    ) -> AsyncIterator[Connection]:
        """A connection that is prepared, in a transaction if that is asked for.

        Behind PgBouncer it is always in a transaction, and so it is for a principal whose
        statements have a role of their own.

        Args:
            running: the statement that the connection is for.
            isolation: of the transaction, as BEGIN takes it; "" is the default of the server.
        Raises: PoolExhausted, NotConnected; the errors of asyncpg.
        """
        role = role_commands(current_principal.get())
        in_transaction = in_transaction or self._settings.pgbouncer or role != ""
        was_full = self._source.is_full
        collection, begun = _claim_of(running)
        ends = monotonic() + self._settings.pool_acquire_seconds
        connection = await self._source.acquire(collection, ends, begun=begun)
        try:
            if running is not None:
                running.run.pool_was_full = was_full
                connection.serve(running.run)  # type: ignore[attr-defined]
            if in_transaction:
                await self._beginning.begin(connection, isolation, role, ends)
            if running is not None:
                running.connected()
            try:
                yield connection
            except BaseException:
                if in_transaction:
                    await roll_back(connection)
                raise
            if in_transaction:
                await commit(connection)
        except _UNFINISHED as error:
            await self._cut_short(connection, error)
            raise
        finally:
            await self._source.release(connection, collection)

    async def _cut_short(self, connection: Connection, error: BaseException) -> None:
        """Gives a connection up at once if nobody waits for it, or a write got no answer.

        Args:
            error: one of _UNFINISHED.
        """
        if not isinstance(error, TimeoutError):
            await self._source.release_quickly(connection, CANCEL_SECONDS)
        elif self._writes:  # they have no time box, and the server's own timeout is shorter
            self._give_up(connection)

    def _give_up(self, connection: Connection) -> None:
        """Closes a connection that does not answer; the others may be dead as well."""
        connection.terminate()
        self._source.suspect_all()

    async def fetch(
        self,
        statement: Statement,
        timeout_seconds: float | None = None,
        shared: Sequence[Trace] = (),
    ) -> Sequence[Row]:
        """All rows of a statement.

        Args:
            timeout_seconds: a time box, shorter than the statement timeout.
            shared: the other requests that wait for the same statement.
        Raises: RequestError.
        """
        attempt = partial(self._fetch_once, statement, timeout_seconds, shared)
        return await _run_read(self._source, statement, attempt)

    async def _fetch_once(
        self, statement: Statement, timeout_seconds: float | None, shared: Sequence[Trace]
    ) -> Sequence[Row]:
        """Raises: the errors of asyncpg."""
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
                    # the timeout of the server is shorter; it passes only if the server is gone, or
                    # if the statement cannot be interrupted at the moment
                    if timeout_seconds is None and not await self._still_runs(connection):
                        self._give_up(connection)
                        raise NotConnected("the database did not answer") from None
                    raise
                running.got(len(rows))
                return rows

    async def _still_runs(self, connection: Connection) -> bool:
        """Whether the server is still working on the statement of a connection."""
        if self._settings.pgbouncer:
            return True  # the process that serves it is not known
        pid = connection.get_server_pid()
        rows = await self._source.ask(load_statement("still_runs", (pid,)))
        return bool(rows and rows[0][0])

    async def stream(
        self, statement: Statement, next_rows: Callable[[Sequence[Row]], int]
    ) -> AsyncGenerator[Sequence[Row], None]:
        """The rows of a statement in batches, from one snapshot.

        While a batch is used, the next one is fetched. So at most two are in memory.

        Args:
            next_rows: how many rows the next batch has, given the last batch, which is empty at
                first.
        Yields: batches in the order of the statement, none empty.
        Raises: RequestError.
        """
        open_stream = partial(self._open_stream, statement, next_rows([]))
        resources, cursor, rows = await _run_read(self._source, statement, open_stream)
        try:
            async with resources:
                while rows:
                    next_fetch = asyncio.ensure_future(cursor.fetch(next_rows(rows)))
                    try:
                        # lets the fetch be sent before this batch keeps the event loop busy
                        await asyncio.sleep(0)
                        yield rows
                        rows = await next_fetch
                    finally:
                        await settle(next_fetch)
        except DATABASE_ERRORS as error:
            raise translate(error, statement.name) from error

    async def _open_stream(self, statement: Statement, first_rows: int) -> OpenStream:
        """Fetches the first batch. Raises: the errors of asyncpg, PoolExhausted, TooManyStreams."""
        async with AsyncExitStack() as resources:
            running = resources.enter_context(Running(statement))
            await resources.enter_async_context(self._stream_places.taken())
            connection = await resources.enter_async_context(
                self.connection(running, in_transaction=True)
            )
            started = perf_counter()
            # behind a pooler a named statement may be prepared in another session
            name = "" if self._settings.pgbouncer else None
            prepared = await connection.prepare(statement.text, name=name)
            cursor = TimedCursor(running, await prepared.cursor(*running.run.args))
            rows = await cursor.fetch(first_rows, started)
            return OpenStream(resources.pop_all(), cursor, rows)


def _claim_of(running: Running | None) -> tuple[str | None, bool]:
    """What decides who gets a connection first: the collection, and whether the request had one."""
    trace = running.run.trace if running is not None else current_trace.get()
    if trace is None:
        return None, False
    return trace.collection, trace.db_seconds > 0


async def _run_read(
    source: ConnectionSource, statement: Statement, attempt: Callable[[], Awaitable[_T]]
) -> _T:
    """Runs a read, at most three times.

    Most connections are not probed before they are used, so that the first attempt may find a dead
    one. If the second attempt finds a dead one as well, as after a restart of the server, all
    connections are replaced before the third.

    Args:
        attempt: runs the statement once, on a connection of `source`.
    Raises: RequestError.
    """
    try:
        try:
            return await attempt()
        except LOST_OR_CONFLICT as error:
            if not _may_succeed(error):
                raise
            if is_lost(error):
                source.suspect_all()
            emit(ReadRetried(statement=statement.name, reason=type(error).__name__))
        return await _run_again(source, attempt)
    except asyncpg.LockNotAvailableError as error:
        raise translate(error, statement.name, await _find_lockers(source)) from error
    except DATABASE_ERRORS as error:
        raise translate(error, statement.name) from error


def _may_succeed(error: BaseException) -> bool:
    """Whether the same read may succeed at once on another connection."""
    return is_lost(error) or isinstance(error, CONFLICTS)


async def _run_again(source: ConnectionSource, attempt: Callable[[], Awaitable[_T]]) -> _T:
    """Runs the second attempt, and the third. Raises: the errors of asyncpg."""
    try:
        return await attempt()
    except LOST as error:
        if not is_lost(error):
            raise
        await source.expire()
    return await attempt()


async def _find_lockers(source: ConnectionSource) -> list[Locker]:
    """The sessions whose locks keep readers out; none if the server does not answer at once."""
    return [Locker(*row) for row in await source.ask(load_statement("lockers"))]
