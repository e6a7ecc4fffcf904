"""How every statement is seen exactly once.

asyncpg's query loggers see what execute, fetch and its kin send, introspection too; `Running` sees what they do not: the
wait for a connection, prepared statements and cursors. What is seen ends as one `QueryEnded`.
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
        return "cancelled" if _USER_REQUEST in str(error) else "timeout", sqlstate
    return "failed", sqlstate


class Running:
    """One run of a statement, as a context: from asking for a connection to the last row.

    Args:
        logged: a query logger sees the statement, once there is a connection for it.
        shared: of a look-up, the other requests that wait for it too.
    """

    __slots__ = ("_asked_at", "_connected_at", "_logged", "run")

    def __init__(self, statement: Statement, *, logged: bool, shared: Sequence[Trace] = ()) -> None:
        trace = current_trace.get()
        args = statement.args if trace is None else statement.tagged(trace.request_id)
        self.run = Run(statement.name, statement.text, args, trace)
        self.run.shared = shared
        self._logged = logged
        self._connected_at = 0.0
        self._asked_at = 0.0

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

    def took(self, started: float, rows: int) -> None:
        """Adds a piece of work in the database that began at `started`."""
        run, seconds = self.run, perf_counter() - started
        run.seconds += seconds
        run.rows = rows + (run.rows or 0)
        if run.trace is not None:
            run.trace.db_seconds += seconds

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        run = self.run
        run.ended_at = perf_counter()
        if not self._connected_at:
            self._waited(run.ended_at)
        if error is not None:
            run.outcome, run.sqlstate = outcome_of(error)
            if not self._connected_at and run.outcome == "failed":
                run.outcome = "no-connection"
            elif self._connected_at and not run.seconds:
                self.took(self._connected_at, 0)
        if run.trace is not None:
            run.trace.take(run)
        if not self._logged or not self._connected_at:
            emit(QueryEnded(run))


def _see(record: asyncpg.connection.LoggedQuery) -> None:
    """A query logger. It is called in the context of the statement, a turn of the loop after its end."""
    run = current_run.get()
    if run is None or record.query is not run.text:
        first_word = record.query.lstrip().partition(" ")[0].upper()
        name = _DRIVER_STATEMENTS.get(first_word, "driver.introspection")
        run = Run(name, record.query, record.args or (), run.trace if run is not None else None)
        run.ended_at = perf_counter()
    run.seconds = record.elapsed
    if record.exception is not None:
        run.outcome, run.sqlstate = outcome_of(record.exception)
    emit(QueryEnded(run))


def watch(connection: asyncpg.Connection) -> None:
    """Sees every statement of a connection from now on."""
    connection.add_query_logger(_see)


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
                message=scrub(message.message, run.args if run is not None else ()),
                statement=run.name if run is not None else None,
                request_id=run.trace.request_id if run is not None and run.trace is not None else None,
            )
        )
