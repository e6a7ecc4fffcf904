"""From what asyncpg raises to what geosvc says: the only map of SQLSTATEs."""

import re

import asyncpg

from geosvc.database.watch import outcome_of
from geosvc.errors import (
    Conflict,
    DatabaseUnavailable,
    Forbidden,
    InternalError,
    InvalidFeature,
    InvalidValue,
    QueryCancelled,
    QueryTimeout,
    RequestError,
    StaleCatalog,
    UnreadableGeometry,
)
from geosvc.events import ReadFailed, WriteFailed, emit
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

_OUT_OF_RANGE = (InvalidValue, "a calculation in the request leaves the range of its numbers")
_BY_STATE: dict[str, tuple[type[RequestError], str]] = {"22003": _OUT_OF_RANGE, "22008": _OUT_OF_RANGE}

_BY_CLASS: dict[str, tuple[type[RequestError], str]] = {
    "08": (DatabaseUnavailable, "the database cannot be reached"),
    "53": (DatabaseUnavailable, "the database has no resources left"),
    "57": (DatabaseUnavailable, "the database is shutting down or starting up"),
    "28": (DatabaseUnavailable, "the database does not let the service in"),
    "3D": (DatabaseUnavailable, "the database does not exist"),
    "P0": (InvalidValue, "the function refused its arguments"),
    "22": (InvalidValue, "a value in the request cannot be taken as the type of its property"),
    "54": (InvalidValue, "the request is more than the database can work on at once"),
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
    kind, detail = _BY_STATE.get(sqlstate) or _BY_CLASS.get(sqlstate[:2], (InternalError, "the query failed"))
    return kind(detail, reason=reason)


# What another transaction was in the way of: the same again may succeed.
RETRYABLE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_MAX_TOLD = 300

# The classes that the standard and PostgreSQL use; functions may raise others, and 45 is theirs by custom.
_SERVERS_OWN = re.compile(r"(?!45)[0-4A-H]|5[34578]|72|XX")
_ABOUT_THE_SERVER = frozenset({"08", "25", "40", "42", "53", "55", "57"})

_REFUSALS: dict[str, tuple[type[RequestError], str]] = {
    "23502": (InvalidFeature, "a value is missing that the database demands"),
    "23503": (Conflict, "what the feature refers to, or what refers to it, stands in the way"),
    "23505": (Conflict, "another feature has the same value, which must be unique"),
    "23514": (Conflict, "the feature does not fulfil a condition of the database"),
    "23P01": (Conflict, "another feature excludes this one"),
    "44000": (Conflict, "the feature would not be part of the collection"),
    "21000": (InvalidFeature, "the same id is there twice"),
    "42501": (Forbidden, "the database does not allow it to the service"),
    "25006": (DatabaseUnavailable, "the database is read only now"),
    "55P03": (DatabaseUnavailable, "somebody else holds a lock"),
    "42601": (InvalidFeature, "a value cannot be taken as the type of its property"),
    "42P10": (InvalidFeature, "the collection has no unique key to find features by"),
}
_REFUSALS_BY_CLASS: dict[str, tuple[type[RequestError], str]] = {
    **{name: each for name, each in _BY_CLASS.items() if each[0] is DatabaseUnavailable},
    "40": (DatabaseUnavailable, "other changes were in the way, again and again"),
    "22": (InvalidFeature, "a value cannot be taken as the type of its property"),
    "23": (Conflict, "a constraint of the database does not hold"),
    "54": (InvalidFeature, "the feature is larger than the database takes"),
}


def translate_write(error: BaseException, statement: str) -> RequestError:
    """The same for a write: a refusal of the database's is the client's to mend, and names the constraint or column.

    Args:
        error: one of DATABASE_ERRORS.
        statement: the name of the statement that failed.
    """
    if not isinstance(error, asyncpg.PostgresError) or isinstance(error, asyncpg.QueryCanceledError):
        return translate(error, statement)
    sqlstate = error.sqlstate or "XX000"
    # what is said of a feature may quote it: operators learn what kind of fault it is
    of_a_value = sqlstate.startswith("42") and getattr(error, "position", None) is None
    words = _message(error) if sqlstate[:2] in _ABOUT_THE_SERVER and not of_a_value else ""
    reason = f"{type(error).__name__}: {words}".removesuffix(": ")
    emit(WriteFailed(statement=statement, sqlstate=sqlstate, message=reason))
    return (
        _of_a_function(error, sqlstate, reason) or _of_a_value(error, sqlstate, reason) or _of_a_rule(error, sqlstate, reason)
    )


def _of_a_function(error: asyncpg.PostgresError, sqlstate: str, reason: str) -> RequestError | None:
    """What a trigger raises was written for those who use the table; one that does not work is nobody's fault but its own."""
    if not _SERVERS_OWN.match(sqlstate) or getattr(error, "server_source_function", None) == "exec_stmt_raise":
        told = str(error.args[0] if error.args else "").split("\n", 1)[0][:_MAX_TOLD]
        kind = Conflict if sqlstate.startswith("23") else InvalidFeature
        constraint = getattr(error, "constraint_name", None)
        return kind(f"the database refuses it: {told}", constraint=constraint, reason=reason)
    if sqlstate.startswith("42") and sqlstate != "42501" and getattr(error, "context", None) is not None:
        return InternalError("a function of the database does not work", reason=reason)
    return None


def _of_a_value(error: asyncpg.PostgresError, sqlstate: str, reason: str) -> RequestError | None:
    if sqlstate in _POSTGIS_REFUSED and (sqlstate != "22023" or "eometry" in str(error)):
        return InvalidFeature("PostGIS refuses the geometry", pointer="/geometry", reason=reason)
    if not isinstance(error, STALE_CATALOG) or sqlstate == "42501":
        return None
    if getattr(error, "position", None) is None:  # it is no name of the statement's, but of a value, as of regclass
        return InvalidFeature("a value names something that the database does not have", reason=reason)
    return StaleCatalog("the write failed", reason=reason)


def _of_a_rule(error: asyncpg.PostgresError, sqlstate: str, reason: str) -> RequestError:
    constraint, column = getattr(error, "constraint_name", None), getattr(error, "column_name", None)
    kind, detail = _REFUSALS.get(sqlstate) or _REFUSALS_BY_CLASS.get(sqlstate[:2], (InternalError, "the write failed"))
    if constraint is not None:
        detail = f"{detail} (constraint {constraint})"
    pointer = f"/properties/{column}" if column is not None else None
    return kind(detail, pointer=pointer, constraint=constraint, reason=reason)


def _message(error: BaseException) -> str:
    """The first line of what was said, without the values of the statement that was run last."""
    # errors of class 22 quote the value that a client sent, and what a function raises may be anything
    sqlstate = (error.sqlstate or "") if isinstance(error, asyncpg.PostgresError) else ""
    if sqlstate.startswith(("22", "P0")) and sqlstate not in _POSTGIS_REFUSED:
        return type(error).__name__
    run = current_run.get()
    message = str(error.args[0] if error.args else "").split("\n", 1)[0]
    return scrub(message, run.args if run is not None else ())
