"""How every statement is seen exactly once, as one `QueryEnded`.

asyncpg's query loggers see what execute, fetch and its kin send, what the driver sends for itself too. What the service runs
has a `Running` besides, which knows what they do not: the wait for a connection, rows, prepared statements and cursors.
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

_DRIVER_STATEMENTS = {
    "BEGIN": "transaction.begin",
    "COMMIT": "transaction.commit",
    "ROLLBACK": "transaction.rollback",
    "SET": "session.set",
    "EXPLAIN": "explain.plan",
}
_WARNINGS = frozenset({"WARNING", "ERROR", "FATAL", "PANIC"})
MESSAGES_PER_SECOND = 5
_USER_REQUEST = "user request"


def outcome_of(error: BaseException) -> tuple[Outcome, str | None]:
    """How a statement ended that raised, and the SQLSTATE if the server told one."""
    sqlstate = error.sqlstate if isinstance(error, asyncpg.PostgresError) else None
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "cancelled", sqlstate
    if isinstance(error, TimeoutError):
        return "timeout", sqlstate
    if isinstance(error, asyncpg.QueryCanceledError):
        # PostGIS words every end within GEOS like an operator's, and nearly all of them are timeouts
        by_postgresql = getattr(error, "server_source_function", None) == "ProcessInterrupts"
        return "cancelled" if by_postgresql and _USER_REQUEST in str(error) else "timeout", sqlstate
    return "failed", sqlstate


class Running:
    """One run of a statement, as a context: from asking for a connection to the last row. It tells the end of its statement;
    the query loggers tell of all others.

    Args:
        shared: of a look-up, the other requests that wait for it too.
    """

    __slots__ = ("_asked_at", "_connected_at", "_in_pieces", "run")

    def __init__(self, statement: Statement, *, shared: Sequence[Trace] = ()) -> None:
        trace = current_trace.get()
        args = statement.args if trace is None else statement.args_for(trace.request_id)
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
        """There is a connection."""
        self._connected_at = perf_counter()
        self._waited(self._connected_at)

    def _waited(self, until: float) -> None:
        self.run.pool_seconds = until - self._asked_at
        if self.run.trace is not None:
            self.run.trace.pool_seconds += self.run.pool_seconds

    def got(self, rows: int) -> None:
        """All rows came at once."""
        self.run.rows = rows
        if not self.run.seconds:  # a query logger has told otherwise
            self.run.seconds = perf_counter() - self._connected_at

    def took(self, started: float, rows: int) -> None:
        """Adds a piece of work that query loggers do not see, which began at `started`."""
        run, seconds = self.run, perf_counter() - started
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
            self._waited(run.ended_at)
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
    """A statement is over that a query logger sees, in the context of its run."""
    run = current_run.get()
    if run is not None and query is run.text:
        run.seconds = seconds
        return
    first_word = query.lstrip().partition(" ")[0].upper()
    name = _DRIVER_STATEMENTS.get(first_word, "driver.introspection")
    own = Run(name, query, args, run.trace if run is not None else None)
    own.seconds = seconds
    own.ended_at = perf_counter()
    if error is not None:
        own.outcome, own.sqlstate = outcome_of(error)
    emit(QueryEnded(own))


def log_query(record: asyncpg.connection.LoggedQuery) -> None:
    """A query logger."""
    _end(record.query, record.args or (), record.elapsed, record.exception)


class TimedQuery:
    """What asyncpg times a statement with for its query loggers, without the generator, the named tuple and the copy of the
    context that its own makes for each: 1 µs instead of 5.
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


def _without_values(message: str, run: Run | None) -> str:
    """What the server said, without the values that it quotes. Of a write any part of the body may be among them."""
    if run is None:
        return message
    return (
        "(about a written feature)" if run.name.startswith("write.") else scrub(message, run.args)
    )


class ServerMessages:
    """Notices and warnings of the server, passed on as events; of a flood, MESSAGES_PER_SECOND."""

    def __init__(self) -> None:
        self._second = 0.0
        self._in_second = 0
        self._dropped = 0

    def hear(self, connection: Any, message: Any) -> None:
        """A log listener. asyncpg calls it outside the context of the statement; the connection knows whose it is."""
        run: Run | None = connection.run
        now = monotonic()
        if now - self._second >= 1.0:
            if self._dropped:
                emit(ServerMessagesDropped(dropped=self._dropped))
            self._second, self._in_second, self._dropped = now, 0, 0
        self._in_second += 1
        if self._in_second > MESSAGES_PER_SECOND:
            self._dropped += 1
            return
        severity = message.severity_en or message.severity
        kind = ServerWarning if severity in _WARNINGS else ServerNotice
        emit(
            kind(
                severity=severity,
                sqlstate=message.sqlstate,
                message=_without_values(message.message, run),
                statement=run.name if run is not None else None,
                request_id=run.trace.request_id
                if run is not None and run.trace is not None
                else None,
            )
        )
