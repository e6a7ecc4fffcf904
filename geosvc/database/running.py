"""Observe every statement exactly once: each ends with one event `QueryEnded`.

A query logger of asyncpg observes each call of `execute`, `fetch` and the like, and also the
statements that asyncpg sends by itself. Statements of geosvc have a `Running` as well. It observes
what a query logger cannot: the wait for a connection, the number of rows, prepared statements and
cursors.

A statement of geosvc that is run with asyncpg's `fetch`, step by step:

1. `Running.__enter__` makes its run the current one. The wait for a connection begins.
2. `Running.connected` sets `pool_seconds`.
3. asyncpg sends the statement within `TimedQuery`, which sets the `seconds` of the run at its end.
   It emits nothing, since the text is that of the current run.
4. `Running.got` sets the number of rows, and the `seconds` if there is no query logger (telemetry
   is off). For a cursor, `Running.took` adds the seconds and the rows of each batch instead.
5. `Running.__exit__` sets the outcome, adds the times to the trace and emits `QueryEnded`.

A statement without a `Running`, such as BEGIN or what asyncpg sends by itself, has another text
than the current run: `TimedQuery` makes a run for it and emits its end. `log_query`, the query
logger, would do the same; asyncpg calls it only where it does not call
`GeosvcConnection._time_and_log`.
"""

import asyncio
from collections.abc import Sequence
from time import monotonic, perf_counter
from types import TracebackType
from typing import Any, Self

import asyncpg

from geosvc.events import QueryEnded, ServerMessagesDropped, ServerNotice, ServerWarning, emit
from geosvc.redaction import scrub
from geosvc.sql.compose import Statement
from geosvc.trace import Outcome, Run, Trace, current_run, current_trace

# the names of statements that are not made from a `Statement`, by their first word
_OTHER_STATEMENTS = {
    "BEGIN": "transaction.begin",
    "COMMIT": "transaction.commit",
    "ROLLBACK": "transaction.rollback",
    "SET": "session.set",
    "EXPLAIN": "explain.plan",
}
_ANY_OTHER_STATEMENT = "driver.introspection"
_WARNINGS = frozenset({"WARNING", "ERROR", "FATAL", "PANIC"})
MESSAGES_PER_SECOND = 5
_USER_REQUEST = "user request"
_INTERRUPT_FUNCTION = "ProcessInterrupts"  # of PostgreSQL, which ends a cancelled statement


def outcome_of(error: BaseException) -> tuple[Outcome, str | None]:
    """How a statement ended that raised `error`, and the SQLSTATE if the server sent one."""
    sqlstate = error.sqlstate if isinstance(error, asyncpg.PostgresError) else None
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "cancelled", sqlstate
    if isinstance(error, TimeoutError):
        return "timeout", sqlstate
    if isinstance(error, asyncpg.QueryCanceledError):
        return _outcome_of_cancel(error), sqlstate
    return "failed", sqlstate


def _outcome_of_cancel(error: asyncpg.QueryCanceledError) -> Outcome:
    # when GEOS is interrupted, PostGIS always reports a user request; nearly all are timeouts
    is_by_postgresql = getattr(error, "server_source_function", None) == _INTERRUPT_FUNCTION
    if is_by_postgresql and _USER_REQUEST in str(error):
        return "cancelled"
    return "timeout"


class Running:
    """A context in which one statement runs once, from the wait for a connection to the last row.

    It emits the event for the end of this statement. Query loggers emit it for all others.

    Args:
        shared: of a look-up, the other requests that wait for the same statement.
    """

    __slots__ = ("_asked_at", "_connected_at", "_in_pieces", "run")

    def __init__(self, statement: Statement, *, shared: Sequence[Trace] = ()) -> None:
        trace = current_trace.get()
        args = statement.args
        if trace is not None:
            args = statement.args_for(trace.request_id)
        self.run = Run(statement.name, statement.text, args, trace)
        self.run.shape = statement.shape
        self.run.shared = shared
        self._connected_at = 0.0
        self._asked_at = 0.0
        self._in_pieces = False

    def __enter__(self) -> Self:
        current_run.set(self.run)
        self._asked_at = perf_counter()
        trace = self.run.trace
        if trace is not None and not trace.first_run_at:
            trace.first_run_at = self._asked_at
        return self

    def connected(self) -> None:
        """Ends the wait: there is a connection."""
        self._connected_at = perf_counter()
        self._add_wait(self._connected_at)

    def _add_wait(self, until: float) -> None:
        self.run.pool_seconds = until - self._asked_at
        if self.run.trace is not None:
            self.run.trace.pool_seconds += self.run.pool_seconds

    def got(self, rows: int) -> None:
        """Sets the number of rows, when all have come at once."""
        self.run.rows = rows
        if not self.run.seconds:  # set already if there is a query logger
            self.run.seconds = perf_counter() - self._connected_at

    def took(self, started: float, rows: int) -> None:
        """Adds the time since `started`, of a piece of work that query loggers do not observe."""
        run = self.run
        seconds = perf_counter() - started
        self._in_pieces = True
        run.seconds += seconds
        run.rows = rows + (run.rows or 0)
        if run.trace is not None:
            run.trace.db_seconds += seconds

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        run = self.run
        run.ended_at = perf_counter()
        if not self._connected_at:
            self._add_wait(run.ended_at)
        elif not run.seconds:
            run.seconds = run.ended_at - self._connected_at
        if error is not None:
            run.outcome, run.sqlstate = outcome_of(error)
            if not self._connected_at and run.outcome == "failed":
                run.outcome = "no-connection"
        if run.trace is not None:
            run.trace.take(run)
            if not self._in_pieces:
                run.trace.db_seconds += run.seconds
        emit(QueryEnded(run))


def _end(query: str, args: Sequence[object], seconds: float, error: BaseException | None) -> None:
    """Takes the time of a statement from a query logger, and emits its end if no `Running` does."""
    run = current_run.get()
    if run is not None and query is run.text:
        run.seconds = seconds
        return
    first_word = query.lstrip().partition(" ")[0].upper()
    name = _OTHER_STATEMENTS.get(first_word, _ANY_OTHER_STATEMENT)
    trace = run.trace if run is not None else None
    own = Run(name, query, args, trace)
    own.seconds = seconds
    own.ended_at = perf_counter()
    if error is not None:
        own.outcome, own.sqlstate = outcome_of(error)
    emit(QueryEnded(own))


def log_query(record: asyncpg.connection.LoggedQuery) -> None:
    """The query logger of every connection."""
    _end(record.query, record.args or (), record.elapsed, record.exception)


class TimedQuery:
    """A context in which asyncpg sends a statement, and which calls the query logger at its end.

    asyncpg's own context makes a generator, a named tuple and a copy of the context variables for
    each statement. That takes 5 µs; this takes 1 µs.
    """

    __slots__ = ("_args", "_query", "_started")

    def __init__(self, query: str, args: Sequence[object] | None) -> None:
        self._query = query
        self._args = args or ()

    def __enter__(self) -> None:
        self._started = perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        _end(self._query, self._args, perf_counter() - self._started, error)


class ServerMessages:
    """Emits an event for each notice and warning of the server, at most MESSAGES_PER_SECOND."""

    def __init__(self) -> None:
        self._second_began_at = 0.0
        self._in_second = 0
        self._dropped = 0

    def hear(self, connection: Any, message: Any) -> None:
        """The log listener of every connection.

        asyncpg calls it outside the context of the statement, so that its run is an attribute of
        the connection.
        """
        if self._is_too_many():
            return
        severity = message.severity_en or message.severity
        kind = ServerWarning if severity in _WARNINGS else ServerNotice
        run: Run | None = connection.run
        statement = request_id = None
        if run is not None:
            statement = run.name
            if run.trace is not None:
                request_id = run.trace.request_id
        emit(
            kind(
                severity=severity,
                sqlstate=message.sqlstate,
                message=_without_values(message.message, run),
                statement=statement,
                request_id=request_id,
            )
        )

    def _is_too_many(self) -> bool:
        """Counts a message. True if it is one too many in this second."""
        now = monotonic()
        if now - self._second_began_at >= 1.0:
            if self._dropped:
                emit(ServerMessagesDropped(dropped=self._dropped))
            self._second_began_at = now
            self._in_second = self._dropped = 0
        self._in_second += 1
        if self._in_second <= MESSAGES_PER_SECOND:
            return False
        self._dropped += 1
        return True


def _without_values(message: str, run: Run | None) -> str:
    """A message of the server, without the values that it quotes."""
    if run is None:
        return message
    if run.name.startswith("write."):
        return "(about a written feature)"  # it may quote any part of the body
    return scrub(message, run.args)
