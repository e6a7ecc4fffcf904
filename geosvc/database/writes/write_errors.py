"""The RequestError for an error of asyncpg that a write raised.

Most errors of a write are the client's to correct: a value, or a violated constraint. An error of a
function that the table calls, such as a trigger, is not.
"""

import re
from dataclasses import dataclass

import asyncpg

from geosvc.database.sqlstate import (
    OTHER_TYPE,
    POSTGIS_REFUSED,
    READ_CLASSES,
    STALE_CATALOG,
    ClientError,
    has_context,
    has_position,
    is_of_another_type,
    message_of,
    translate,
)
from geosvc.errors import (
    Conflict,
    DatabaseUnavailable,
    Forbidden,
    InternalError,
    InvalidFeature,
    RequestError,
    StaleCatalog,
    StaleType,
)
from geosvc.events import WriteFailed, emit

_MAX_MESSAGE = 300  # characters of a message that a function raises
_INVALID_VALUE = "a value cannot be converted to the type of its property"

_STATES: dict[str, ClientError] = {
    "21000": (InvalidFeature, "the same id is there twice"),
    "23502": (InvalidFeature, "a required value is missing"),
    "23503": (
        Conflict,
        "the feature refers to something that does not exist, or something still refers to it",
    ),
    "23505": (Conflict, "another feature has the same value, which must be unique"),
    "23514": (Conflict, "the feature violates a CHECK constraint of the database"),
    "23P01": (Conflict, "the feature conflicts with another one"),
    "25006": (DatabaseUnavailable, "the database is read-only now"),
    "42501": (Forbidden, "the role of the service is not permitted to do this"),
    "42601": (InvalidFeature, _INVALID_VALUE),
    "42P10": (InvalidFeature, "the collection has no unique key to find features by"),
    "44000": (Conflict, "the feature would not be part of the collection"),
    "55P03": (DatabaseUnavailable, "another session holds a lock"),
}


def _errors_by_class() -> dict[str, ClientError]:
    """The error for a class of SQLSTATEs: as of a read if the database is unavailable."""
    classes: dict[str, ClientError] = {
        "22": (InvalidFeature, _INVALID_VALUE),
        "23": (Conflict, "a constraint of the database is violated"),
        "54": (InvalidFeature, "the feature is larger than the database accepts"),
    }
    for sqlstate_class, client_error in READ_CLASSES.items():
        if client_error[0] is DatabaseUnavailable:
            classes[sqlstate_class] = client_error
    classes["40"] = (DatabaseUnavailable, "repeated conflicts with other changes; try again")
    return classes


_CLASSES = _errors_by_class()

# In these classes the message is about the server, not about a value of a feature.
_ABOUT_THE_SERVER = frozenset({"08", "25", "40", "42", "53", "55", "57"})
# The classes of the SQL standard and of PostgreSQL. Functions raise any others; by custom class 45.
_STANDARD_CLASSES = re.compile(r"(?!45)[0-4A-H]|5[34578]|72|XX")
# An error within a function that it does not raise itself. 22001 and 22003 are not among them: a
# trigger may copy a value of the feature into a column that is too short or too small for it.
_FUNCTION_FAULTS = re.compile(r"22(?!001|003)|21000|2F|54001|P000[23]")
# The name of the function that failed. The word PL/pgSQL is the same in every language.
_FUNCTION_NAME = re.compile(
    r'PL/pgSQL[^\n(]*?(?P<pl>[^\s«»"(]+\([^()\n]*\))|SQL function "(?P<sql>[^"\n]+)"'
)
_WRONG_GEOMETRY_TYPE = re.compile(r"does not match column type|dimension but (geometry|column)")
# hstore has no SQLSTATE for its errors before PostgreSQL 16
_HSTORE_FAULT = re.compile(r"Syntax error near|Unexpected end of string")


@dataclass(frozen=True, slots=True)
class Rule:
    """What PostgreSQL names of a violated rule; empty where it names none.

    Attributes:
        schema, table: of the constraint; a partition has constraints of its own.
        type: the domain that has the constraint.
    """

    schema: str
    table: str
    constraint: str
    column: str = ""
    type: str = ""


def translate_write(error: BaseException, statement: str) -> RequestError:
    """Return the RequestError for a failed write. Emits `WriteFailed`.

    The error names the constraint or the column that is violated, if PostgreSQL does.

    Args:
        error: one of DATABASE_ERRORS.
        statement: the name of the statement that failed.
    """
    is_cancelled = isinstance(error, asyncpg.QueryCanceledError)
    if is_cancelled or not isinstance(error, asyncpg.PostgresError):
        return translate(error, statement)
    sqlstate = error.sqlstate or "XX000"
    reason = _reason(error, sqlstate)
    emit(WriteFailed(statement=statement, sqlstate=sqlstate, message=reason))
    return (
        _raised_by_function(error, sqlstate, reason)
        or _failed_in_function(error, sqlstate, reason)
        or _about_value(error, sqlstate, reason)
        or _about_rule(error, sqlstate, reason)
    )


def _reason(error: asyncpg.PostgresError, sqlstate: str) -> str:
    """The text for the log. It has no message that may quote a value of a feature."""
    name = type(error).__name__
    names_a_value = sqlstate.startswith("42") and not has_position(error)
    if names_a_value or sqlstate[:2] not in _ABOUT_THE_SERVER:
        return name
    return f"{name}: {message_of(error)}".removesuffix(": ")


def _raised_by_function(
    error: asyncpg.PostgresError, sqlstate: str, reason: str
) -> RequestError | None:
    """The error if a trigger raised it: its message was written for those who use the table.

    A function that does not work is an InternalError.
    """
    is_standard = _STANDARD_CLASSES.match(sqlstate) or _FUNCTION_FAULTS.match(sqlstate)
    is_raised = getattr(error, "server_source_function", None) == "exec_stmt_raise"
    if is_raised or not is_standard:
        return _message_of_function(error, sqlstate, reason)
    is_undefined = sqlstate.startswith("42") and sqlstate != "42501"
    if is_undefined and has_context(error):
        return InternalError(
            "a function of the database does not work", reason=_with_function(error, reason)
        )
    return None


def _message_of_function(error: asyncpg.PostgresError, sqlstate: str, reason: str) -> RequestError:
    """The error with the first line of the message that a function raised."""
    words = str(error.args[0]) if error.args else ""
    message = words.split("\n", 1)[0][:_MAX_MESSAGE]
    kind: type[RequestError] = InvalidFeature
    if sqlstate.startswith("23"):
        kind = Conflict
    refusal = kind(
        f"the database refuses it: {message}",
        constraint=getattr(error, "constraint_name", None),
        reason=reason,
    )
    column = getattr(error, "column_name", None) or ""
    refusal.rule = Rule("", "", "", column=column)
    return refusal


def _failed_in_function(
    error: asyncpg.PostgresError, sqlstate: str, reason: str
) -> RequestError | None:
    """The error if a function failed that a trigger, a CHECK or a default calls.

    The statement of the write itself calls no such function.
    """
    if _FUNCTION_FAULTS.match(sqlstate) or sqlstate in POSTGIS_REFUSED:
        reason_with_function = _with_function(error, reason)
        if reason_with_function != reason:
            return InternalError(
                "a function of the database fails on this feature", reason=reason_with_function
            )
    if sqlstate == "22012":
        return InvalidFeature(
            "a rule of the table (a CHECK, a default or a generated column) divides by zero",
            reason=reason,
        )
    return None


def _with_function(error: asyncpg.PostgresError, reason: str) -> str:
    """The reason and the name of the function that failed.

    The rest of the context is left out: it quotes statements and values.
    """
    context = getattr(error, "context", None) or ""
    match = _FUNCTION_NAME.search(str(context))
    if match is None:
        return reason
    return f"{reason} in the function {match['pl'] or match['sql']}"


def _about_value(error: asyncpg.PostgresError, sqlstate: str, reason: str) -> RequestError | None:
    """The error if the database cannot store a value; None if that is not the cause."""
    message = str(error)
    if sqlstate == "XX000" and _HSTORE_FAULT.match(message):
        return InvalidFeature(_INVALID_VALUE, reason=reason)
    if is_of_another_type(error) and "SRID" in message:
        # geosvc takes the SRID from the catalog, not from the client
        return StaleType(OTHER_TYPE, reason=reason)
    is_about_geometry = sqlstate != "22023" or "eometry" in message
    if sqlstate in POSTGIS_REFUSED and is_about_geometry:
        return _geometry_error(message, reason)
    if not isinstance(error, STALE_CATALOG) or sqlstate == "42501":
        return None
    if not has_position(error):
        # the unknown name is not in the statement but in a value, such as one of type regclass
        return InvalidFeature(
            "a value names something that does not exist in the database", reason=reason
        )
    return StaleCatalog("the write failed", reason=reason)


def _geometry_error(message: str, reason: str) -> RequestError:
    detail = "the database cannot store this geometry"
    if _WRONG_GEOMETRY_TYPE.search(message):
        detail = "the geometry has another type or dimension than its column"
    return InvalidFeature(detail, pointer="/geometry", reason=reason)


def _about_rule(error: asyncpg.PostgresError, sqlstate: str, reason: str) -> RequestError:
    """The error for the SQLSTATE, with the constraint that is violated."""
    failed: ClientError = (InternalError, "the write failed")
    by_class = _CLASSES.get(sqlstate[:2], failed)
    kind, detail = _STATES.get(sqlstate, by_class)
    constraint = getattr(error, "constraint_name", None)
    if constraint is not None:
        detail = f"{detail} (constraint {constraint})"
    refusal = kind(detail, constraint=constraint, reason=reason)
    refusal.rule = Rule(
        schema=getattr(error, "schema_name", None) or "",
        table=getattr(error, "table_name", None) or "",
        constraint=constraint or "",
        column=getattr(error, "column_name", None) or "",
        type=getattr(error, "data_type_name", None) or "",
    )
    return refusal
