"""Everything that can be observed, as frozen dataclasses, and the one `emit`.

An event knows its level and nothing of logs or metrics: each subscriber chooses the events that it wants. A subscriber is
called synchronously, must not block and must not raise.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from geosvc.trace import Run, Trace

Level = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Event:
    """The root of all events."""

    level: ClassVar[Level] = "info"

    @classmethod
    def name(cls) -> str:
        """The event's name in logs: its class name in snake case."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


@dataclass(frozen=True, slots=True)
class ServerStarted(Event):
    """The service accepts requests."""

    url: str
    admin_url: str
    pid: int


@dataclass(frozen=True, slots=True)
class ServerStopping(Event):
    """The service takes no new connections and lets running requests end."""

    grace_seconds: float


@dataclass(frozen=True, slots=True)
class WorkerExited(Event):
    """A worker process ended without being told to; the supervisor starts another."""

    level = "error"
    pid: int
    exit_code: int | None
    restart_in_seconds: float


@dataclass(frozen=True, slots=True)
class UnknownSetting(Event):
    """The environment holds a GEOSVC_ variable that is no setting."""

    level = "warning"
    variable: str
    did_you_mean: str | None


@dataclass(frozen=True, slots=True)
class CatalogLoaded(Event):
    """The catalog was read: at start, and after each DDL that concerns it."""

    collections: int
    duration_ms: float


@dataclass(frozen=True, slots=True)
class CatalogFailed(Event):
    """The catalog could not be read; the last one that was read stays in use."""

    level = "warning"
    reason: str


@dataclass(frozen=True, slots=True)
class DatabaseLost(Event):
    """The database stopped answering."""

    level = "error"
    reason: str


@dataclass(frozen=True, slots=True)
class DatabaseFound(Event):
    """The database answers (again)."""


@dataclass(frozen=True, slots=True)
class ReadRetried(Event):
    """A read met a dead connection before its first byte and is tried once more."""

    level = "warning"
    statement: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReadFailed(Event):
    """PostgreSQL refused a statement: the SQLSTATE and its message, for operators only."""

    level = "warning"
    statement: str
    sqlstate: str
    message: str


@dataclass(frozen=True, slots=True)
class WriteFailed(Event):
    """PostgreSQL refused a write: the SQLSTATE and its message without values, for operators only."""

    level = "debug"
    statement: str
    sqlstate: str
    message: str


@dataclass(frozen=True, slots=True)
class WriteRetried(Event):
    """A write met a deadlock or another transaction in its way, and is tried again."""

    statement: str
    sqlstate: str
    attempt: int


@dataclass(frozen=True, slots=True)
class GeometriesRefused(Event):
    """PostGIS refused to write some geometries; they were written as well as geosvc can, or as null."""

    level = "warning"
    collection: str
    features: int
    reason: str


@dataclass(frozen=True, slots=True)
class RequestFailed(Event):
    """A request ended in a 5xx."""

    level = "error"
    method: str
    route: str | None
    collection: str | None
    status: int
    slug: str
    detail: str
    traceback: str | None


@dataclass(frozen=True, slots=True)
class StreamAborted(Event):
    """A response broke off after its first byte; the client sees a broken connection, never a complete body."""

    level = "warning"
    route: str | None
    collection: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class ClientGone(Event):
    """The client hung up before the response was whole; its query was cancelled."""

    level = "debug"
    method: str
    route: str | None


@dataclass(frozen=True, slots=True)
class Measurement(Event):
    """What is observed all the time: for those who count, not for each line of the log."""


@dataclass(frozen=True, slots=True)
class RequestEnded(Measurement):
    """A request is over: its response was sent, or its client has gone. An access log line."""

    trace: Trace


@dataclass(frozen=True, slots=True)
class QueryEnded(Measurement):
    """A statement is over, however it ended; every statement that is sent to the database has exactly one."""

    level = "debug"
    run: Run


@dataclass(frozen=True, slots=True)
class SlowQuery(Event):
    """A statement, with the wait for its connection and the sending of its rows, took longer than its threshold.

    Attributes:
        statement: its name in the code.
        args: redacted to type and size.
        duration_ms: in the database; `other_db_ms` are the other statements of the request, `total_ms` the whole of it.
        outcome: ok, failed, cancelled, timeout or no-connection.
        plan: lines, as EXPLAIN writes them, with values redacted; None when it was not asked for.
        advice: what would help, most likely first.
        shared_with: the ids of other requests that waited for the same look-up.
        dropped: lines of this fingerprint that were left out since the last one.
    """

    level = "warning"
    request_id: str | None
    method: str | None
    route: str | None
    collection: str | None
    operation: str | None
    statement: str
    sql: str
    fingerprint: str
    args: Sequence[object]
    duration_ms: float
    pool_wait_ms: float
    other_db_ms: float
    encode_ms: float
    send_ms: float
    total_ms: float
    rows: int | None
    bytes: int
    outcome: str
    sqlstate: str | None
    threshold_ms: float
    plan: Sequence[str] | None
    advice: Sequence[Mapping[str, object]]
    shared_with: Sequence[str]
    dropped: int


@dataclass(frozen=True, slots=True)
class SlowQueriesDropped(Event):
    """A burst of slow queries of one fingerprint is over; so many lines of it were left out."""

    level = "warning"
    fingerprint: str
    statement: str
    dropped: int


@dataclass(frozen=True, slots=True)
class ServerNotice(Event):
    """PostgreSQL, PostGIS or a function said something while a statement ran; values of the request are not in it."""

    severity: str
    sqlstate: str
    message: str
    statement: str | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class ServerWarning(ServerNotice):
    """The same, as a warning."""

    level = "warning"


@dataclass(frozen=True, slots=True)
class ServerMessagesDropped(Event):
    """The server said more than is logged; so many of its messages were left out."""

    level = "warning"
    dropped: int


@dataclass(frozen=True, slots=True)
class TelemetryFailed(Event):
    """A part of the telemetry failed. It is told once a part; the metric counts every time. No request fails for it."""

    level = "error"
    part: str
    reason: str


@dataclass(frozen=True, slots=True)
class StatementCancelled(Event):
    """An operator cancelled a statement that was running."""

    level = "warning"
    pid: int
    request_id: str | None


@dataclass(frozen=True, slots=True)
class FeedFollowed(Event):
    """The change log is followed.

    Attributes:
        polls_because: why it is polled; None when the service listens.
    """

    publications: int
    polls_because: str | None


@dataclass(frozen=True, slots=True)
class FeedLost(Event):
    """The change log cannot be read; nothing is answered from memory, and changes are told later."""

    level = "warning"
    reason: str


@dataclass(frozen=True, slots=True)
class ChangesNotTold(Event):
    """Changes of a collection could not be read or written; its subscribers are told later, or to read anew."""

    level = "warning"
    collection: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChangesPruned(Event):
    """Changes that were too old, or too many, were deleted from the log."""

    level = "debug"
    changes: int


@dataclass(frozen=True, slots=True)
class PruningFailed(Event):
    """The change log could not be pruned, and grows. It is told once until it succeeds again."""

    level = "warning"
    reason: str


@dataclass(frozen=True, slots=True)
class SubscriberDropped(Event):
    """A subscriber did not keep up with the changes and was cut off; it resumes by the id of its last event."""

    level = "warning"
    collection: str


Subscriber = Callable[[Event], None]

Kinds = tuple[type[Event], ...]

_subscribers: tuple[tuple[Subscriber, Kinds, Kinds], ...] = ()
_wanted: dict[type[Event], tuple[Subscriber, ...]] = {}  # by kind of event, made when the first of the kind is emitted


def subscribe(subscriber: Subscriber, *kinds: type[Event], but: Kinds = ()) -> Callable[[], None]:
    """Calls `subscriber` with every event of these kinds from now on, of all kinds if none are named. Returns the function
    that ends it.

    Args:
        but: kinds that it does not want.
    """
    global _subscribers
    entry = (subscriber, kinds or (Event,), but)
    _subscribers = (*_subscribers, entry)
    _wanted.clear()

    def unsubscribe() -> None:
        global _subscribers
        _subscribers = tuple(each for each in _subscribers if each is not entry)
        _wanted.clear()

    return unsubscribe


def emit(event: Event) -> None:
    """Hands `event` to every subscriber that wants its kind."""
    kind = type(event)
    try:
        wanted = _wanted[kind]
    except KeyError:
        wanted = _wanted[kind] = tuple(
            subscriber for subscriber, kinds, but in _subscribers if issubclass(kind, kinds) and not issubclass(kind, but)
        )
    for subscriber in wanted:
        try:
            subscriber(event)
        except Exception as error:  # whatever observes must not fail what is observed
            report_failure(getattr(subscriber, "__qualname__", "subscriber"), f"{type(error).__name__}: {error}")


failures: Counter[str] = Counter()
"""How often each part of the telemetry has failed in this process."""


def report_failure(part: str, reason: str) -> None:
    """Counts a failure of the telemetry itself, and tells of the first of each part."""
    failures[part] += 1
    if failures[part] == 1:
        emit(TelemetryFailed(part=part, reason=reason))
