"""Events of the statements that are sent to PostgreSQL."""

from dataclasses import dataclass

from geosvc.events.event import Event, Measurement
from geosvc.trace import Run


@dataclass(frozen=True, slots=True)
class QueryEnded(Measurement):
    """A statement is over, however it ended. Every statement has exactly one of these events."""

    level = "debug"
    run: Run


@dataclass(frozen=True, slots=True)
class ReadRetried(Event):
    """A read met a dead connection before its first byte, and is tried once more."""

    level = "warning"
    statement: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReadFailed(Event):
    """PostgreSQL refused a statement. The SQLSTATE and its message are for operators only."""

    level = "warning"
    statement: str
    sqlstate: str
    message: str


@dataclass(frozen=True, slots=True)
class WriteFailed(Event):
    """PostgreSQL refused a write. The SQLSTATE and its message, without values, are for operators
    only.
    """

    level = "debug"
    statement: str
    sqlstate: str
    message: str


@dataclass(frozen=True, slots=True)
class WriteRetried(Event):
    """A write met a deadlock or a conflict with another transaction, and is tried again."""

    statement: str
    sqlstate: str
    attempt: int


@dataclass(frozen=True, slots=True)
class ValueRefused(Event):
    """PostgreSQL could not compute or read a stored value, so a page failed.

    Attributes:
        property, feature: where the value is; None if that was not found.
    """

    level = "error"
    collection: str
    property: str | None
    feature: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class GeometriesRefused(Event):
    """PostGIS refused to write some geometries. geosvc wrote them as well as it can, or as null."""

    level = "warning"
    collection: str
    features: int
    reason: str


@dataclass(frozen=True, slots=True)
class ValuesRefused(Event):
    """PostgreSQL refused to write some values of properties; they were written as null."""

    level = "warning"
    collection: str
    columns: str
    values: int
    reason: str


@dataclass(frozen=True, slots=True)
class ServerNotice(Event):
    """A notice of PostgreSQL, PostGIS or a function while a statement ran. It has no values of the
    request.
    """

    severity: str
    sqlstate: str
    message: str
    statement: str | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class ServerWarning(ServerNotice):
    """A warning of PostgreSQL, PostGIS or a function while a statement ran."""

    level = "warning"


@dataclass(frozen=True, slots=True)
class ServerMessagesDropped(Event):
    """The server sent more messages than are logged; so many were left out."""

    level = "warning"
    dropped: int


@dataclass(frozen=True, slots=True)
class StatementCancelled(Event):
    """An operator cancelled a statement that was running.

    Attributes:
        client, user_agent: of the operator.
        request_id: of the request that the statement was for.
    """

    level = "warning"
    client: str | None
    user_agent: str | None
    pid: int
    request_id: str | None
    running_ms: float
