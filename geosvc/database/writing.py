"""Writes: each is one transaction, which is tried again when another one was in its way, and which ends as it began to even
when nobody waits for it any more.

A client that hangs up must not leave a write half-way: it is cancelled before the work begins or not at all.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from random import random
from time import perf_counter
from typing import TypeVar

from geosvc.database.pool import CLOSE_SECONDS, Connection, Database
from geosvc.database.sqlstate import DATABASE_ERRORS, RETRYABLE, translate_write
from geosvc.database.watch import Running
from geosvc.events import WriteRetried, emit
from geosvc.model.row import Row
from geosvc.sql.compose import SQL, Param, Statement, compose
from geosvc.trace import current_trace

REPEATABLE_READ = "ISOLATION LEVEL REPEATABLE READ"
ATTEMPTS = 10
_LONGEST_FIRST_PAUSE_SECONDS = 0.005
_T = TypeVar("_T")


class Transaction:
    """A transaction that is open. What its methods raise is asyncpg's; `Writer` translates it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.statement = "write.begin"

    async def fetch(self, statement: Statement) -> Sequence[Row]:
        """All rows of a statement."""
        self.statement = statement.name
        with Running(statement) as running:
            self._connection.serve(running.run)  # type: ignore[attr-defined]  # GeosvcConnection's, through the proxy
            running.connected()
            rows = await self._connection.fetch(statement.text, *running.run.args)
            running.got(len(rows))
            return rows

    async def wait_for_pieces(self, seconds: float) -> None:
        """Lets the transaction wait so long for what it is to store: a body may be slow but steady."""
        setting = SQL("SELECT set_config('idle_in_transaction_session_timeout', {}, true)")
        await self.fetch(compose("write.wait", setting.format(Param(f"{round(seconds * 1000)}ms", "text"))))

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undoes what the block did when it raises an error of the database's."""
        await self._connection.execute("SAVEPOINT piece")
        try:
            yield
        except DATABASE_ERRORS:
            await self._connection.execute("ROLLBACK TO SAVEPOINT piece; RELEASE SAVEPOINT piece")
            raise
        await self._connection.execute("RELEASE SAVEPOINT piece")

    async def check_deferred(self) -> None:
        """Checks the constraints that wait for the end of the transaction."""
        await self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")


class _Undone(Exception):
    """Rolls a dry run back."""


async def try_again(once: Callable[[], Awaitable[_T]], name: Callable[[], str], attempts: int = ATTEMPTS) -> _T:
    """Runs `once`, and again when another transaction was in its way: after a random pause, longer each time, so that those
    who met do not meet again.

    Args:
        name: of the statement that failed.
    Raises: what `once` raises, at the last attempt too.
    """
    for attempt in range(1, attempts):
        try:
            return await once()
        except RETRYABLE as error:
            emit(WriteRetried(statement=name(), sqlstate=error.sqlstate or "", attempt=attempt))
            await asyncio.sleep(random() * _LONGEST_FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))  # noqa: S311 - no secret
    return await once()


class Writer:
    """Runs writes on a database that is there for them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tasks: set[asyncio.Task[object]] = set()

    async def close(self) -> None:
        """Waits for the writes that are running, CLOSE_SECONDS at the most."""
        if self._tasks:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await asyncio.gather(*self._tasks, return_exceptions=True)

    async def run(self, statement: Statement) -> Sequence[Row]:
        """A statement that is a transaction by itself: one round trip. Raises: RequestError."""

        async def once() -> Sequence[Row]:
            with Running(statement) as running:
                async with self._database.connection(running) as connection:
                    rows = await connection.fetch(statement.text, *running.run.args)
                    running.got(len(rows))
                    return rows

        return await self._shielded(_translated(once, lambda: statement.name, ATTEMPTS))

    async def transact(
        self, work: Callable[[Transaction], Awaitable[_T]], *, isolation: str = "", dry_run: bool = False, retry: bool = True
    ) -> _T:
        """Runs `work` in a transaction, and anew when another one was in its way.

        Args:
            isolation: as BEGIN takes it; none: the server's own.
            dry_run: everything is checked, nothing is kept.
            retry: whether `work` can be run again.
        Raises: RequestError.
        """
        running: list[Transaction] = []

        async def once() -> _T:
            asked_at = perf_counter()
            result: list[_T] = []
            with suppress(_Undone):
                async with self._database.connection(in_transaction=True, isolation=isolation) as connection:
                    trace = current_trace.get()
                    if trace is not None:
                        trace.first_run_at = trace.first_run_at or asked_at
                        trace.pool_seconds += perf_counter() - asked_at
                    running[:] = [Transaction(connection)]
                    result.append(await work(running[0]))
                    if dry_run:
                        await running[0].check_deferred()
                        raise _Undone
            return result[0]

        def name() -> str:
            return running[0].statement if running else "write.begin"

        return await self._shielded(_translated(once, name, ATTEMPTS if retry else 1))

    async def _shielded(self, work: Awaitable[_T]) -> _T:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: "asyncio.Future[_T]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # of one that nobody waits for, asyncio would report it


async def _translated(once: Callable[[], Awaitable[_T]], name: Callable[[], str], attempts: int) -> _T:
    try:
        return await try_again(once, name, attempts)
    except DATABASE_ERRORS as error:
        raise translate_write(error, name()) from error
