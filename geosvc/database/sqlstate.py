"""From what asyncpg raises to what geosvc says: the only map of SQLSTATEs."""

import asyncpg

from geosvc.database.watch import outcome_of
from geosvc.errors import (
    DatabaseUnavailable,
    InternalError,
    InvalidValue,
    QueryCancelled,
    QueryTimeout,
    RequestError,
    StaleCatalog,
    UnreadableGeometry,
)
from geosvc.events import ReadFailed, emit
from geosvc.redaction import scrub
from geosvc.trace import current_run

# The connection is dead: a read that has sent nothing yet may try another.
DEAD_CONNECTION = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InternalClientError,
)
# The catalog is behind the database: a table or column of the statement is gone or has another type.
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
DATABASE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)

_POSTGIS_REFUSED = ("XX000", "22023", "38000")  # what PostGIS raises for a geometry or an SRID

_BY_CLASS: dict[str, tuple[type[RequestError], str]] = {
    "08": (DatabaseUnavailable, "the database cannot be reached"),
    "53": (DatabaseUnavailable, "the database has no resources left"),
    "57": (DatabaseUnavailable, "the database is shutting down or starting up"),
    "28": (DatabaseUnavailable, "the database does not let the service in"),
    "3D": (DatabaseUnavailable, "the database does not exist"),
    "P0": (InvalidValue, "the function refused its arguments"),
    "22": (InvalidValue, "a value in the request cannot be taken as the type of its property"),
}


def translate(error: BaseException, statement: str) -> RequestError:
    """The RequestError that a client sees for a failure of asyncpg's; the details go to the log, as a ReadFailed.

    Args:
        error: one of DATABASE_ERRORS.
        statement: the name of the statement that failed.
    """
    reason = f"{type(error).__name__}: {_message(error)}"
    outcome, _ = outcome_of(error)
    if outcome == "cancelled":
        return QueryCancelled("an operator cancelled the query; try again later", reason=reason)
    if outcome == "timeout":
        return QueryTimeout("the query took longer than the service allows; ask for less, or filter more", reason=reason)
    if not isinstance(error, asyncpg.PostgresError):
        return DatabaseUnavailable("the database cannot be reached", reason=reason)
    sqlstate = error.sqlstate or "XX000"
    if sqlstate in _POSTGIS_REFUSED:
        return UnreadableGeometry("PostGIS cannot write a geometry of this collection; the log has its words", reason=reason)
    emit(ReadFailed(statement=statement, sqlstate=sqlstate, message=_message(error)))
    if isinstance(error, STALE_CATALOG):
        return StaleCatalog("the query failed", reason=reason)
    kind, detail = _BY_CLASS.get(sqlstate[:2], (InternalError, "the query failed"))
    return kind(detail, reason=reason)


def _message(error: BaseException) -> str:
    """The first line of what was said, without the values of the statement that was run last."""
    # errors of class 22 quote the value that a client sent, and what a function raises may be anything
    sqlstate = (error.sqlstate or "") if isinstance(error, asyncpg.PostgresError) else ""
    if sqlstate.startswith(("22", "P0")) and sqlstate not in _POSTGIS_REFUSED:
        return type(error).__name__
    run = current_run.get()
    message = str(error.args[0] if error.args else "").split("\n", 1)[0]
    return scrub(message, run.args if run is not None else ())
