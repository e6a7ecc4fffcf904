"""Run writes: each is one transaction, which is retried after a conflict with another one.

A client that disconnects must not leave a write half-done: a write is cancelled before it begins,
or not at all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from random import random
from time import perf_counter
from typing import Generic, TypeVar

from geosvc.database.pool import CLOSE_SECONDS, Database
from geosvc.database.running import Running
from geosvc.database.sqlstate import CONFLICTS, DATABASE_ERRORS
from geosvc.database.target import NotConnected
from geosvc.database.writes.transaction import Transaction
from geosvc.database.writes.write_errors import translate_write
from geosvc.events import WriteRetried, emit
from geosvc.model.row import Row
from geosvc.sql.compose import Statement
from geosvc.trace import current_trace

ATTEMPTS = 10
_LONGEST_FIRST_PAUSE_SECONDS = 0.005
_T = TypeVar("_T")
_Attempt = Callable[[], Awaitable[_T]]
_Name = Callable[[], str]


class _DryRunEnds(Exception):
    """Rolls back a dry run."""


async def try_again(once: _Attempt[_T], name: _Name, attempts: int = ATTEMPTS) -> _T:
    """Run `once`, and again after a conflict with another transaction.

    The pauses are random and get longer, so that two transactions do not conflict again.

    Args:
        name: returns the name of the statement that failed.
    Raises: what `once` raises; after the last attempt also the errors of conflicts.
    """
    longest_pause_seconds = _LONGEST_FIRST_PAUSE_SECONDS
    for attempt in range(1, attempts):
        try:
            return await once()
        except CONFLICTS as error:
            emit(WriteRetried(statement=name(), sqlstate=error.sqlstate or "", attempt=attempt))
        await asyncio.sleep(random() * longest_pause_seconds)  # noqa: S311 - not a secret
        longest_pause_seconds *= 2
    return await once()


class Writer:
    """Runs writes on a pool of connections for writes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tasks: set[asyncio.Task[object]] = set()

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Wait until the writes that are running have ended, for at most `seconds`."""
        if self._tasks:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await asyncio.gather(*self._tasks, return_exceptions=True)

    async def read(self, statement: Statement) -> Sequence[Row]:
        """Fetch all rows of a statement that reads, on a connection for writes.

        Raises: RequestError.
        """
        return await self._database.fetch(statement)

    async def fetch(self, statement: Statement) -> Sequence[Row]:
        """Run a statement that is a transaction by itself: one round trip. Raises: RequestError."""

        async def once() -> Sequence[Row]:
            with Running(statement) as running:
                async with self._database.connection(running) as connection:
                    rows = await connection.fetch(statement.text, *running.run.args)
                    running.got(len(rows))
                    return rows

        def name() -> str:
            return statement.name

        return await self._shielded(_translated(once, name, ATTEMPTS))

    async def transact(
        self,
        work: Callable[[Transaction], Awaitable[_T]],
        *,
        isolation: str = "",
        dry_run: bool = False,
        retry: bool = True,
    ) -> _T:
        """Run `work` in a transaction, and again after a conflict with another transaction.

        Args:
            isolation: as BEGIN takes it; "" is the default of the server.
            dry_run: check everything and store nothing.
            retry: whether `work` can run more than once.
        Raises: RequestError.
        """
        attempt = _TransactionAttempt(self._database, work, isolation, dry_run)
        attempts = 1
        if retry:
            attempts = ATTEMPTS
        return await self._shielded(_translated(attempt.run, attempt.statement_name, attempts))

    async def _shielded(self, work: Awaitable[_T]) -> _T:
        """Run to the end even if the caller is cancelled."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: "asyncio.Future[_T]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # asyncio reports an exception that nobody retrieves
            task.exception()


class _TransactionAttempt(Generic[_T]):
    """One attempt, which can be repeated, to run `work` in a transaction."""

    def __init__(
        self,
        database: Database,
        work: Callable[[Transaction], Awaitable[_T]],
        isolation: str,
        dry_run: bool,
    ) -> None:
        self._database = database
        self._work = work
        self._isolation = isolation
        self._dry_run = dry_run
        self._transaction: Transaction | None = None

    def statement_name(self) -> str:
        """The name of the last statement."""
        if self._transaction is None:
            return "write.begin"
        return self._transaction.statement

    async def run(self) -> _T:
        """Run the transaction. Raises: what `work` raises, and the errors of asyncpg."""
        requested_at = perf_counter()
        result: list[_T] = []
        with suppress(_DryRunEnds):
            async with self._database.connection(
                in_transaction=True, isolation=self._isolation
            ) as connection:
                _trace_wait(requested_at)
                transaction = self._transaction = Transaction(connection)
                result.append(await self._work(transaction))
                if self._dry_run:
                    await transaction.check_deferred()
                    raise _DryRunEnds
        return result[0]


def _trace_wait(requested_at: float) -> None:
    """Add the wait for a connection to the trace of the request."""
    trace = current_trace.get()
    if trace is None:
        return
    if not trace.first_run_at:
        trace.first_run_at = requested_at
    trace.pool_seconds += perf_counter() - requested_at


async def _translated(once: _Attempt[_T], name: _Name, attempts: int) -> _T:
    """Run `once` as `try_again` does. Raises: RequestError instead of the errors of asyncpg."""
    try:
        return await try_again(once, name, attempts)
    except TimeoutError as error:
        # the timeout of a server that answers is shorter
        raise translate_write(NotConnected("the database did not answer"), name()) from error
    except DATABASE_ERRORS as error:
        raise translate_write(error, name()) from error
