"""From what asyncpg raises to what geosvc says: the only map of SQLSTATEs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from geosvc.database.running import outcome_of
from geosvc.database.target import NotConnected, first_line
from geosvc.errors import (
    CollectionBroken,
    CollectionUnavailable,
    Conflict,
    DatabaseUnavailable,
    Forbidden,
    ForeignServerUnavailable,
    InternalError,
    InvalidFeature,
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
from geosvc.events import ReadFailed, WriteFailed, emit
from geosvc.redaction import scrub
from geosvc.trace import current_run, current_trace

# The connection may be dead: see `is_lost`.
LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.InternalClientError,
)
# What another transaction was in the way of, or the replay of a standby: the same again may succeed.
RETRYABLE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
RETRIED = (*LOST, *RETRYABLE)
STALE_PLAN = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)
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
DATABASE_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)

_POSTGIS_REFUSED = ("XX000", "22023", "38000")  # what PostGIS raises for a geometry or an SRID

_Told = tuple[type[RequestError], str]
_VALUE: _Told = (UnreadableValue, "the database cannot work out a value of a feature")
_GONE = "something that it is read from is gone or was changed: a table, column, function, type, server or user mapping"

_OTHER_TYPE = "a geometry is of another type, dimension or SRID than its column was declared with"

# What a read becomes by its SQLSTATE, or by the class of it. See also `database.reads.failure_cause`.
READ_STATES: dict[str, _Told] = {
    "0A000": (
        CollectionBroken,
        "it is read from something that PostgreSQL does not support in this way",
    ),
    "25006": (
        CollectionBroken,
        "a function that it is read from wants to write, and reads may not",
    ),
    "42501": (
        StaleCatalog,
        "the role of the service lacks a privilege on something that it is read from",
    ),
    "42P17": (CollectionBroken, "a view or policy that it is read from refers to itself"),
    "55000": (CollectionUnavailable, "something that it is read from is not ready"),
    "XX001": (CollectionBroken, "the database found damaged data"),
    "XX002": (CollectionBroken, "the database found a damaged index"),
    "HV00N": (ForeignServerUnavailable, "a foreign server that it is read from cannot be reached"),
}
READ_CLASSES: dict[str, _Told] = {
    "08": (DatabaseUnavailable, "the database cannot be reached"),
    "28": (DatabaseUnavailable, "the database does not let the service in"),
    "3D": (DatabaseUnavailable, "the database does not exist"),
    "40": (
        DatabaseUnavailable,
        "another transaction, or the replay of a standby, was in the way; try again",
    ),
    "53": (DatabaseUnavailable, "the database has no resources left"),
    "55": (CollectionUnavailable, "something that it is read from is in use"),
    "57": (DatabaseUnavailable, "the database is shutting down or starting up"),
    "72": (DatabaseUnavailable, "the snapshot of the read is too old; try again"),
    "2F": (CollectionBroken, "a function that it is read from does not work"),
    "39": (CollectionBroken, "a function that it is read from does not work"),
    "3F": (StaleCatalog, _GONE),
    "42": (StaleCatalog, _GONE),
    "58": (CollectionBroken, "a file that it is read from cannot be read"),
    "F0": (CollectionBroken, "the configuration of the server has a fault"),
    "HV": (CollectionBroken, "the foreign data wrapper that it is read with refuses"),
    "XX": (CollectionBroken, "the database failed within"),
    **dict.fromkeys(("21", "22", "23", "2B", "38", "44", "54", "P0"), _VALUE),
}
_NOT_FILLED = (
    CollectionUnavailable,
    "a materialised view is not filled yet: REFRESH MATERIALIZED VIEW fills it",
)
_UNLOGGED = (CollectionUnavailable, "an unlogged or temporary table cannot be read on a standby")
_UNSET = (
    CollectionBroken,
    "a setting that it is read from is not made in this session: ALTER ROLE … SET makes it",
)
_REMOTE = (CollectionBroken, "the foreign server that it is read from refuses the statement")
# By the function of the server's source, whose name no language changes.
_BY_SOURCE: dict[tuple[str, str], _Told] = {
    ("55000", "ExecOpenScanRelation"): _NOT_FILLED,
    ("0A000", "get_relation_info"): _UNLOGGED,
    ("42704", "GetUserMapping"): (CollectionBroken, _GONE),
    **dict.fromkeys(
        (
            ("42704", "find_option"),
            ("42704", "GetConfigOptionByName"),
            ("42704", "GetConfigOptionByNum"),
        ),
        _UNSET,
    ),
}
# Without a place in the statement these tell of a stored text that is read as a name or a query: regclass, tsquery, ltree.
_NAMES = ("3F000", "42601", "42602", "42704", "42883", "42P01")


@dataclass(frozen=True, slots=True)
class Locker:
    """A session that keeps readers out of a relation; `seconds` is the age of its transaction."""

    relation: str
    schema: str
    pid: int
    application: str
    seconds: float

    def __str__(self) -> str:
        who = f"process {self.pid} ({self.application or 'no application_name'})"
        return f"{self.schema}.{self.relation} is locked in ACCESS EXCLUSIVE mode by {who} since {self.seconds:.0f} s"


def is_full(error: asyncpg.PostgresError) -> bool:
    """Whether the server, or PgBouncer, takes no more connections."""
    too_many = isinstance(error, asyncpg.TooManyConnectionsError)
    return too_many or (error.sqlstate == "08P01" and "no more connections allowed" in str(error))


def is_lost(error: BaseException) -> bool:
    """Whether the connection is dead, so that a read that has sent nothing yet may try another. What a statement raised, such
    as 08001 of a foreign server, says nothing of the connection that it ran on.
    """
    if isinstance(error, asyncpg.PostgresError):
        severity = getattr(error, "severity_en", None) or getattr(error, "severity", None)
        return isinstance(error, LOST) and severity in (
            None,
            "FATAL",
            "PANIC",
        )  # None: the driver's own
    if isinstance(error, asyncpg.DataError | TimeoutError | ConnectionRefusedError):
        return False  # a value that cannot be sent; a server that is not there
    return isinstance(error, LOST)


def _locked(lockers: Sequence[Locker]) -> RequestError:
    trace = current_trace.get()
    collection = trace.collection if trace is not None else None
    names = {name for each in lockers for name in (each.relation, f"{each.schema}.{each.relation}")}
    subject = (
        f"the table of {collection}" if collection in names else "a table that it is read from"
    )
    detail = f"{subject} is locked (ACCESS EXCLUSIVE) by another session; try again later"
    reason = "; ".join(map(str, lockers)) or "the lock was gone when it was looked for"
    return Locked(detail, reason=reason)


def translate(error: BaseException, statement: str, lockers: Sequence[Locker] = ()) -> RequestError:
    """The RequestError that a client sees for a failure of asyncpg's; the details go to the log, as a ReadFailed.

    Args:
        error: one of DATABASE_ERRORS.
        statement: the name of the statement that failed.
        lockers: for one that waited too long for a lock: who holds some.
    """
    reason = (
        first_line(error)
        if isinstance(error, NotConnected)
        else f"{type(error).__name__}: {_message(error)}"
    )
    outcome, _ = outcome_of(error)
    if outcome == "cancelled":
        return QueryCancelled("an operator cancelled the query; try again later", reason=reason)
    if outcome == "timeout":
        return QueryTimeout(
            "the query took longer than the service allows; ask for less, or filter more",
            reason=reason,
        )
    if not isinstance(error, asyncpg.PostgresError):
        of_a_value = isinstance(error, asyncpg.DataError)  # the driver cannot send it
        return (
            UnreadableValue(_VALUE[1])
            if of_a_value
            else DatabaseUnavailable("the database cannot be reached", reason=reason)
        )
    return _translate_read(error, statement, reason, lockers)


def _translate_read(
    error: asyncpg.PostgresError, statement: str, reason: str, lockers: Sequence[Locker]
) -> RequestError:
    sqlstate = error.sqlstate or "XX000"
    if _is_of_another_type(error):
        trace = current_trace.get()
        if trace is not None and not trace.has_fresh_catalog:
            return StaleType(_OTHER_TYPE, reason=reason)
    if sqlstate in _POSTGIS_REFUSED:
        return UnreadableGeometry(
            "PostGIS cannot write a geometry of this collection; the log has its words",
            reason=reason,
        )
    told = _of_a_read(error, sqlstate)
    if (
        told[0] is DatabaseUnavailable
    ):  # the reason is told once by the catalog's follower, and by each request that fails
        return told[0](told[1], reason=first_line(error))
    if not statement.startswith("catalog."):
        emit(ReadFailed(statement=statement, sqlstate=sqlstate, message=_message(error)))
    if isinstance(error, asyncpg.LockNotAvailableError):
        return _locked(lockers)
    return told[0](told[1], reason=reason)


def _is_of_another_type(error: asyncpg.PostgresError) -> bool:
    """Whether a geometry is of another type, dimension or SRID than a cast, or a column, demands."""
    return getattr(error, "server_source_function", None) in (
        "postgis_valid_typmod",
        "srid_check_latlong",
    )


def describe_read(error: asyncpg.PostgresError) -> str:
    """What the failure of a read means, and the database's words without values: for operators."""
    return f"{_of_a_read(error, error.sqlstate or 'XX000')[1]}: {_message(error)}"


def _of_a_read(error: asyncpg.PostgresError, sqlstate: str) -> _Told:
    if isinstance(error, STALE_PLAN):
        return StalePlan, _GONE
    if _is_foreign(error, sqlstate):
        away = sqlstate[:2] in _AWAY
        return READ_STATES["HV00N"] if away else _REMOTE
    source = (sqlstate, str(getattr(error, "server_source_function", None)))
    if source in _BY_SOURCE:
        return _BY_SOURCE[source]
    if (
        sqlstate in _NAMES
        and getattr(error, "position", None) is None
        and getattr(error, "context", None) is None
    ):
        return _VALUE
    if (
        _is_in_a_function(error)
        and READ_CLASSES.get(sqlstate[:2], _VALUE)[0] is StaleCatalog
        and sqlstate != "42501"
    ):
        return CollectionBroken, _GONE
    return READ_STATES.get(sqlstate) or READ_CLASSES.get(sqlstate[:2], _VALUE)


def _is_in_a_function(error: asyncpg.PostgresError) -> bool:
    """Whether something is missing to a function that the statement calls, for which no fresh catalog helps."""
    return getattr(error, "position", None) is None and getattr(error, "context", None) is not None


_AWAY = frozenset({"08", "28", "3D", "53", "57"})


def _is_foreign(error: asyncpg.PostgresError, sqlstate: str) -> bool:
    """Whether a statement told of another server, by a foreign table or dblink: its own connection goes on."""
    remote = "remote SQL command" in str(getattr(error, "context", None))
    return remote or (sqlstate[:2] == "08" and not is_lost(error))


@dataclass(frozen=True, slots=True)
class Rule:
    """What PostgreSQL names of a rule that does not hold; empty where it names none.

    Attributes:
        schema, table: of the constraint; a partition has constraints of its own.
        type: the domain whose rule it is.
    """

    schema: str
    table: str
    constraint: str
    column: str = ""
    type: str = ""


_MAX_TOLD = 300
_MISFIT = re.compile(r"does not match column type|dimension but (geometry|column)")
_NO_VALUE = "a value cannot be taken as the type of its property"
_OF_HSTORE = re.compile(
    r"Syntax error near|Unexpected end of string"
)  # which has no SQLSTATE before PostgreSQL 16
_UNSTORED = "the database cannot store this geometry"

# The function that failed; PL/pgSQL is called so in every language of the server's messages.
_FUNCTION = re.compile(
    r'PL/pgSQL[^\n(]*?(?P<pl>[^\s«»"(]+\([^()\n]*\))|SQL function "(?P<sql>[^"\n]+)"'
)
# What such a function trips over. Triggers pass values of the feature on to other columns, which may be too short or too small
# for them: 22001 and 22003 are none.
_STUMBLES = re.compile(r"22(?!001|003)|21000|2F|54001|P000[23]")

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
    "42601": (InvalidFeature, _NO_VALUE),
    "42P10": (InvalidFeature, "the collection has no unique key to find features by"),
}
_REFUSALS_BY_CLASS: dict[str, tuple[type[RequestError], str]] = {
    **{name: each for name, each in READ_CLASSES.items() if each[0] is DatabaseUnavailable},
    "40": (DatabaseUnavailable, "other changes were in the way, again and again"),
    "22": (InvalidFeature, _NO_VALUE),
    "23": (Conflict, "a constraint of the database does not hold"),
    "54": (InvalidFeature, "the feature is larger than the database takes"),
}


def translate_write(error: BaseException, statement: str) -> RequestError:
    """The same for a write: a refusal of the database's is the client's to mend, and names the constraint or column.

    Args:
        error: one of DATABASE_ERRORS.
        statement: the name of the statement that failed.
    """
    if not isinstance(error, asyncpg.PostgresError) or isinstance(
        error, asyncpg.QueryCanceledError
    ):
        return translate(error, statement)
    sqlstate = error.sqlstate or "XX000"
    # what is said of a feature may quote it: operators learn what kind of fault it is
    of_a_value = sqlstate.startswith("42") and getattr(error, "position", None) is None
    words = _message(error) if sqlstate[:2] in _ABOUT_THE_SERVER and not of_a_value else ""
    reason = f"{type(error).__name__}: {words}".removesuffix(": ")
    emit(WriteFailed(statement=statement, sqlstate=sqlstate, message=reason))
    return (
        _of_a_function(error, sqlstate, reason)
        or _of_a_stumble(error, sqlstate, reason)
        or _of_a_value(error, sqlstate, reason)
        or _of_a_rule(error, sqlstate, reason)
    )


def _of_a_function(error: asyncpg.PostgresError, sqlstate: str, reason: str) -> RequestError | None:
    """What a trigger raises was written for those who use the table; one that does not work is nobody's fault but its own."""
    own = _SERVERS_OWN.match(sqlstate) or _STUMBLES.match(sqlstate)
    if not own or getattr(error, "server_source_function", None) == "exec_stmt_raise":
        told = str(error.args[0] if error.args else "").split("\n", 1)[0][:_MAX_TOLD]
        kind = Conflict if sqlstate.startswith("23") else InvalidFeature
        constraint = getattr(error, "constraint_name", None)
        refusal = kind(f"the database refuses it: {told}", constraint=constraint, reason=reason)
        refusal.rule = Rule("", "", "", column=getattr(error, "column_name", None) or "")
        return refusal
    if (
        sqlstate.startswith("42")
        and sqlstate != "42501"
        and getattr(error, "context", None) is not None
    ):
        return InternalError(
            "a function of the database does not work", reason=_naming_the_function(error, reason)
        )
    return None


def _of_a_stumble(error: asyncpg.PostgresError, sqlstate: str, reason: str) -> RequestError | None:
    """What a function of a trigger, a CHECK or a default trips over, rather than raises: our own statement calls none."""
    if _STUMBLES.match(sqlstate) or sqlstate in _POSTGIS_REFUSED:
        told = _naming_the_function(error, reason)
        if told != reason:
            return InternalError("a function of the database fails on this feature", reason=told)
    if sqlstate == "22012":
        return InvalidFeature(
            "a rule of the table (a CHECK, a default or a generated column) divides by zero",
            reason=reason,
        )
    return None


def _naming_the_function(error: asyncpg.PostgresError, reason: str) -> str:
    """The reason with the function that failed, by its name alone: the context quotes statements and values."""
    match = _FUNCTION.search(str(getattr(error, "context", None) or ""))
    return reason if match is None else f"{reason} in the function {match['pl'] or match['sql']}"


def _of_a_value(error: asyncpg.PostgresError, sqlstate: str, reason: str) -> RequestError | None:
    if sqlstate == "XX000" and _OF_HSTORE.match(str(error)) is not None:
        return InvalidFeature(_NO_VALUE, reason=reason)
    if _is_of_another_type(error) and "SRID" in str(
        error
    ):  # which is the column's, and no client's
        return StaleType(_OTHER_TYPE, reason=reason)
    if sqlstate in _POSTGIS_REFUSED and (sqlstate != "22023" or "eometry" in str(error)):
        detail = (
            "the geometry is of another kind or dimension than its column takes"
            if _MISFIT.search(str(error))
            else _UNSTORED
        )
        return InvalidFeature(detail, pointer="/geometry", reason=reason)
    if not isinstance(error, STALE_CATALOG) or sqlstate == "42501":
        return None
    if (
        getattr(error, "position", None) is None
    ):  # it is no name of the statement's, but of a value, as of regclass
        return InvalidFeature(
            "a value names something that the database does not have", reason=reason
        )
    return StaleCatalog("the write failed", reason=reason)


def _of_a_rule(error: asyncpg.PostgresError, sqlstate: str, reason: str) -> RequestError:
    constraint, column = (
        getattr(error, "constraint_name", None),
        getattr(error, "column_name", None),
    )
    kind, detail = _REFUSALS.get(sqlstate) or _REFUSALS_BY_CLASS.get(
        sqlstate[:2], (InternalError, "the write failed")
    )
    if constraint is not None:
        detail = f"{detail} (constraint {constraint})"
    refusal = kind(detail, constraint=constraint, reason=reason)
    schema, table, domain = (
        getattr(error, f"{name}_name", None) or "" for name in ("schema", "table", "data_type")
    )
    refusal.rule = Rule(schema, table, constraint or "", column or "", domain)
    return refusal


def _message(error: BaseException) -> str:
    """The first line of what was said, without the values of the statement that was run last."""
    # errors of class 22 quote the value that a client sent, and what a function raises may be anything
    sqlstate = (error.sqlstate or "") if isinstance(error, asyncpg.PostgresError) else ""
    if sqlstate.startswith(("22", "P0")) and sqlstate not in _POSTGIS_REFUSED:
        return type(error).__name__
    run = current_run.get()
    message = first_line(error)
    return scrub(message, run.args if run is not None else ())
