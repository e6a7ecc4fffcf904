"""The RequestError for an error of asyncpg: the table of the SQLSTATEs of reads.

The errors of writes are in `geosvc/database/writes/write_errors.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from geosvc.database.running import outcome_of
from geosvc.database.target import NotConnected, first_line
from geosvc.errors import (
    CollectionBroken,
    CollectionUnavailable,
    DatabaseUnavailable,
    ForeignServerUnavailable,
    Locked,
    QueryCancelled,
    QueryTimeout,
    RequestError,
    StaleCatalog,
    StalePlan,
    StaleType,
    UnreadableGeometry,
    UnreadableValue,
)
from geosvc.events import ReadFailed, emit
from geosvc.redaction import scrub
from geosvc.trace import current_run, current_trace

LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.InternalClientError,
)
"""After these errors the connection may be dead; `is_lost` tells whether it is."""

CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""Conflicts with another transaction, or with the replay of a standby. A retry may succeed."""

LOST_OR_CONFLICT = (*LOST, *CONFLICTS)
"""After these errors a read may be tried again: always after a conflict, else if `is_lost`."""

STALE_PLAN = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)
"""A prepared statement is older than a change of its tables. A retry prepares it again."""

STALE_CATALOG = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedObjectError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.DatatypeMismatchError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
    asyncpg.InsufficientPrivilegeError,
)
"""The statement may be older than a change of the database: a table or a column is gone, or has
another type."""

DATABASE_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)

POSTGIS_REFUSED = ("XX000", "22023", "38000")
"""The SQLSTATEs that PostGIS raises for a geometry or an SRID."""

OTHER_TYPE = "a geometry is of another type, dimension or SRID than its column was declared with"

ClientError = tuple[type[RequestError], str]
"""(class, detail) of the error that a client sees."""

_VALUE: ClientError = (UnreadableValue, "the database cannot compute a value of a feature")
_CHANGED = (
    "a source of the collection is gone or was changed: a table, column, function, type, server"
    " or user mapping"
)

READ_STATES: dict[str, ClientError] = {
    "0A000": (CollectionBroken, "PostgreSQL does not support how the collection is read"),
    "25006": (CollectionBroken, "a function of the collection writes, and reads are read-only"),
    "42501": (
        StaleCatalog,
        "the role of the service lacks a privilege on a source of the collection",
    ),
    "42P17": (CollectionBroken, "a view or policy of the collection refers to itself"),
    "55000": (CollectionUnavailable, "a source of the collection is not ready"),
    "XX001": (CollectionBroken, "the database found damaged data"),
    "XX002": (CollectionBroken, "the database found a damaged index"),
    "HV00N": (ForeignServerUnavailable, "a foreign server of the collection cannot be reached"),
}
"""The error for a SQLSTATE of a read. See also `geosvc/database/reads/failure_cause.py`."""

READ_CLASSES: dict[str, ClientError] = {
    "08": (DatabaseUnavailable, "the database cannot be reached"),
    "21": _VALUE,
    "22": _VALUE,
    "23": _VALUE,
    "28": (DatabaseUnavailable, "the database refuses the login of the service"),
    "2B": _VALUE,
    "2F": (CollectionBroken, "a function of the collection does not work"),
    "38": _VALUE,
    "39": (CollectionBroken, "a function of the collection does not work"),
    "3D": (DatabaseUnavailable, "the database does not exist"),
    "3F": (StaleCatalog, _CHANGED),
    "40": (
        DatabaseUnavailable,
        "a conflict with another transaction, or with the replay of a standby; try again",
    ),
    "42": (StaleCatalog, _CHANGED),
    "44": _VALUE,
    "53": (DatabaseUnavailable, "the database has no resources left"),
    "54": _VALUE,
    "55": (CollectionUnavailable, "a source of the collection is in use"),
    "57": (DatabaseUnavailable, "the database is shutting down or starting up"),
    "58": (CollectionBroken, "a file of the collection cannot be read"),
    "72": (DatabaseUnavailable, "the snapshot of the read is too old; try again"),
    "F0": (CollectionBroken, "the configuration of the server has a fault"),
    "HV": (CollectionBroken, "the foreign data wrapper of the collection reports an error"),
    "P0": _VALUE,
    "XX": (CollectionBroken, "the database has an internal error"),
}
"""The error for a class of SQLSTATEs, which is their first two characters."""

_NOT_FILLED: ClientError = (
    CollectionUnavailable,
    "a materialised view is not filled yet: REFRESH MATERIALIZED VIEW fills it",
)
_UNLOGGED: ClientError = (
    CollectionUnavailable,
    "an unlogged or temporary table cannot be read on a standby",
)
_UNSET: ClientError = (
    CollectionBroken,
    "a setting that the collection needs is not set in this session: ALTER ROLE … SET sets it",
)
_REMOTE: ClientError = (
    CollectionBroken,
    "the foreign server of the collection refuses the statement",
)

# By SQLSTATE and by the function in the source code of PostgreSQL that raised the error. Its name
# is the same in every language of the server's messages.
_BY_SOURCE: dict[tuple[str, str], ClientError] = {
    ("55000", "ExecOpenScanRelation"): _NOT_FILLED,
    ("0A000", "get_relation_info"): _UNLOGGED,
    ("42704", "GetUserMapping"): (CollectionBroken, _CHANGED),
    ("42704", "find_option"): _UNSET,
    ("42704", "GetConfigOptionByName"): _UNSET,
    ("42704", "GetConfigOptionByNum"): _UNSET,
}
# PostgreSQL also raises these when it parses a stored text as a name or a query: regclass, tsquery,
# ltree. The error then has no position in the statement.
_PARSED_TEXT = ("3F000", "42601", "42602", "42704", "42883", "42P01")

_SERVER_AWAY = frozenset({"08", "28", "3D", "53", "57"})


@dataclass(frozen=True, slots=True)
class Locker:
    """A session that keeps readers out of a relation; `seconds` is the age of its transaction."""

    relation: str
    schema: str
    pid: int
    application: str
    seconds: float

    def __str__(self) -> str:
        relation = f"{self.schema}.{self.relation}"
        process = f"process {self.pid} ({self.application or 'no application_name'})"
        return (
            f"{relation} is locked in ACCESS EXCLUSIVE mode by {process} since {self.seconds:.0f} s"
        )


def is_full(error: asyncpg.PostgresError) -> bool:
    """Whether the server, or PgBouncer, accepts no more connections."""
    if isinstance(error, asyncpg.TooManyConnectionsError):
        return True
    return error.sqlstate == "08P01" and "no more connections allowed" in str(error)


def is_lost(error: BaseException) -> bool:
    """Whether the connection is dead. A read that has sent no rows yet can then use another one.

    An error of a statement, such as 08001 of a foreign server, does not end the connection.
    """
    if isinstance(error, asyncpg.PostgresError):
        severity = getattr(error, "severity_en", None) or getattr(error, "severity", None)
        # the errors that asyncpg itself raises have no severity
        ends_session = severity in (None, "FATAL", "PANIC")
        return isinstance(error, LOST) and ends_session
    if isinstance(error, asyncpg.DataError | TimeoutError | ConnectionRefusedError):
        return False  # a value that asyncpg cannot send, or a server that is not there
    return isinstance(error, LOST)


def translate(error: BaseException, statement: str, lockers: Sequence[Locker] = ()) -> RequestError:
    """Return the RequestError for a failed read. Emits `ReadFailed` with what clients do not see.

    Args:
        error: one of DATABASE_ERRORS.
        statement: the name of the statement that failed.
        lockers: sessions that hold locks, if the statement waited too long for a lock.
    """
    if isinstance(error, NotConnected):
        reason = first_line(error)
    else:
        reason = f"{type(error).__name__}: {message_of(error)}"
    outcome, _ = outcome_of(error)
    if outcome == "cancelled":
        return QueryCancelled("an operator cancelled the query; try again later", reason=reason)
    if outcome == "timeout":
        return QueryTimeout(
            "the query took longer than the service allows; ask for less, or filter more",
            reason=reason,
        )
    if isinstance(error, asyncpg.PostgresError):
        return _translate_read(error, statement, reason, lockers)
    if isinstance(error, asyncpg.DataError):
        # asyncpg cannot send a value
        _, detail = _VALUE
        return UnreadableValue(detail)
    return DatabaseUnavailable("the database cannot be reached", reason=reason)


def _translate_read(
    error: asyncpg.PostgresError, statement: str, reason: str, lockers: Sequence[Locker]
) -> RequestError:
    sqlstate = error.sqlstate or "XX000"
    if is_of_another_type(error):
        trace = current_trace.get()
        if trace is not None and not trace.has_fresh_catalog:
            return StaleType(OTHER_TYPE, reason=reason)
    if sqlstate in POSTGIS_REFUSED:
        return UnreadableGeometry(
            "PostGIS cannot write a geometry of this collection; the log has its message",
            reason=reason,
        )
    error_class, detail = _client_error(error, sqlstate)
    if error_class is DatabaseUnavailable:
        # the catalog follower reports it once, and so does each request that fails
        return DatabaseUnavailable(detail, reason=first_line(error))
    if not statement.startswith("catalog."):
        emit(ReadFailed(statement=statement, sqlstate=sqlstate, message=message_of(error)))
    if isinstance(error, asyncpg.LockNotAvailableError):
        return _locked(lockers)
    return error_class(detail, reason=reason)


def _locked(lockers: Sequence[Locker]) -> RequestError:
    names: set[str] = set()
    for locker in lockers:
        names.add(locker.relation)
        names.add(f"{locker.schema}.{locker.relation}")
    trace = current_trace.get()
    table = "a table of the collection"
    if trace is not None and trace.collection in names:
        table = f"the table of {trace.collection}"
    reason = "the lock was released before geosvc looked who held it"
    if lockers:
        reason = "; ".join(map(str, lockers))
    return Locked(
        f"{table} is locked (ACCESS EXCLUSIVE) by another session; try again later", reason=reason
    )


def is_of_another_type(error: asyncpg.PostgresError) -> bool:
    """Whether a geometry is of another type, dimension or SRID than a cast or a column requires."""
    return getattr(error, "server_source_function", None) in (
        "postgis_valid_typmod",
        "srid_check_latlong",
    )


def describe_read(error: asyncpg.PostgresError) -> str:
    """Describe the failure of a read for operators, with the server's message without values."""
    _, detail = _client_error(error, error.sqlstate or "XX000")
    return f"{detail}: {message_of(error)}"


def _client_error(error: asyncpg.PostgresError, sqlstate: str) -> ClientError:
    """The error for a SQLSTATE, and for where PostgreSQL raised it."""
    if isinstance(error, STALE_PLAN):
        return StalePlan, _CHANGED
    by_class = READ_CLASSES.get(sqlstate[:2], _VALUE)
    if _is_of_foreign_server(error, sqlstate):
        is_away = sqlstate[:2] in _SERVER_AWAY
        return READ_STATES["HV00N"] if is_away else _REMOTE
    source = (sqlstate, str(getattr(error, "server_source_function", None)))
    if source in _BY_SOURCE:
        return _BY_SOURCE[source]
    if _is_of_parsed_text(error, sqlstate):
        return _VALUE
    if by_class[0] is StaleCatalog and _is_in_function(error, sqlstate):
        # the function needs something that is gone: a new catalog does not help
        return CollectionBroken, _CHANGED
    return READ_STATES.get(sqlstate, by_class)


def _is_of_foreign_server(error: asyncpg.PostgresError, sqlstate: str) -> bool:
    """Whether the error is of another server, read by a foreign table or dblink."""
    if "remote SQL command" in str(getattr(error, "context", None)):
        return True
    return sqlstate.startswith("08") and not is_lost(error)


def _is_of_parsed_text(error: asyncpg.PostgresError, sqlstate: str) -> bool:
    """Whether PostgreSQL could not parse a stored text as a name or a query."""
    if has_position(error) or has_context(error):
        return False
    return sqlstate in _PARSED_TEXT


def _is_in_function(error: asyncpg.PostgresError, sqlstate: str) -> bool:
    """Whether a function that the statement calls raised the error, and not for a privilege."""
    if has_position(error) or not has_context(error):
        return False
    return sqlstate != "42501"


def has_position(error: asyncpg.PostgresError) -> bool:
    """Whether the error points into the text of the statement."""
    return getattr(error, "position", None) is not None


def has_context(error: asyncpg.PostgresError) -> bool:
    """Whether the error names the functions that were running."""
    return getattr(error, "context", None) is not None


def message_of(error: BaseException) -> str:
    """The first line of an error, without the values of the statement that ran last."""
    sqlstate = ""
    if isinstance(error, asyncpg.PostgresError):
        sqlstate = error.sqlstate or ""
    # class 22 quotes the value that a client sent, and P0 has any text that a function raises
    if sqlstate.startswith(("22", "P0")) and sqlstate not in POSTGIS_REFUSED:
        return type(error).__name__
    message = first_line(error)
    run = current_run.get()
    if run is None:
        return scrub(message, ())
    return scrub(message, run.args)
