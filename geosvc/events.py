"""Everything that can be observed, as frozen dataclasses, and the one `emit`.

An event knows its level and nothing of logs or metrics: each subscriber chooses the events that it
wants. A subscriber is called synchronously, must not block and must not raise.
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
    """A signal to stop has come: after the delay the service takes no new connections and lets
    running requests end.

    Attributes:
        delay_seconds: how long it is still listened for, while /readyz fails.
        grace_seconds: how long the rest takes at the most.
    """

    delay_seconds: float
    grace_seconds: float


@dataclass(frozen=True, slots=True)
class RequestsCut(Event):
    """The grace time is over and so many connections with a request have not ended; they are broken
    off.
    """

    level = "warning"
    requests: int


@dataclass(frozen=True, slots=True)
class DescriptorsScarce(Event):
    """The limit of file descriptors (RLIMIT_NOFILE) leaves no room for what the settings allow.

    Attributes:
        limit: of this process, the soft limit raised to the hard one.
        needed: for GEOSVC_MAX_SUBSCRIBERS, the pools and what else there is.
        connections, subscribers: that a worker takes instead.
    """

    level = "warning"
    limit: int
    needed: int
    connections: int
    subscribers: int


@dataclass(frozen=True, slots=True)
class ConnectionsFull(Event):
    """A listener has as many connections as it takes: idle ones are closed, and who connects waits
    until there is room.

    Told once a minute at the most.
    """

    level = "warning"
    url: str
    connections: int


@dataclass(frozen=True, slots=True)
class WorkerExited(Event):
    """A worker process ended without being told to; the supervisor starts another."""

    level = "error"
    pid: int
    exit_code: int | None
    restart_in_seconds: float


@dataclass(frozen=True, slots=True)
class ChildEnded(Event):
    """A child process that reads large bodies did not come to the end of one; another is started
    for the next.

    Attributes:
        status: its exit status, negative for a signal.
        reason: what the body takes.
    """

    level = "warning"
    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class UnknownSetting(Event):
    """The environment holds a GEOSVC_ variable that is no setting."""

    level = "warning"
    variable: str
    did_you_mean: str | None


@dataclass(frozen=True, slots=True)
class WritableByAnyone(Event):
    """Collections can be written to, and other machines reach the address that is listened on."""

    level = "warning"
    host: str
    writable: str


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
class KeyRepeated(Event):
    """Several rows have a key that the settings name, so the features of the collection have no
    ids.
    """

    level = "error"
    collection: str
    key: str


@dataclass(frozen=True, slots=True)
class DatabaseLost(Event):
    """The database cannot be reached, or stopped answering.

    It is told once for each reason, and tried again and again.

    Attributes:
        reason: what the server said, or the system.
        tries_again_seconds: between two tries.
    """

    level = "error"
    reason: str
    host: str
    port: str
    database: str
    role: str
    tries_again_seconds: float


@dataclass(frozen=True, slots=True)
class PostgisMissing(Event):
    """The database has no PostGIS, so nothing of it is served."""

    level = "warning"
    database: str
    cure: str


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
    """PostgreSQL refused a write: the SQLSTATE and its message without values, for operators
    only.
    """

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
class ValueRefused(Event):
    """PostgreSQL could not work out a stored value, so that a page failed: the place, as far as it
    was found.
    """

    level = "error"
    collection: str
    property: str | None
    feature: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class GeometriesRefused(Event):
    """PostGIS refused to write some geometries; they were written as well as geosvc can, or as
    null.
    """

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
class BackgroundWorkFailed(Event):
    """Work in the background failed in a way that it does not know; it begins again at once."""

    level = "error"
    work: str
    reason: str
    traceback: str


@dataclass(frozen=True, slots=True)
class StreamAborted(Event):
    """A response broke off after its first byte; the client sees a broken connection, never a
    complete body.
    """

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
    """A statement is over, however it ended; every statement that is sent to the database has
    exactly one.
    """

    level = "debug"
    run: Run


@dataclass(frozen=True, slots=True)
class SlowQuery(Event):
    """A statement, with the wait for its connection and the sending of its rows, took longer than
    its threshold.

    Attributes:
        cause: where most of the time went.
        advice: what would help, most likely first.
        client, user_agent: who asked, as far as GEOSVC_LOG_CLIENTS wants it told.
        origin: `request` for what a client asked for, `geosvc` for its own statements.
        statement: its name in the code; `shape` is what makes it another one than others of that
            name.
        duration_ms: in the database; `other_db_ms` are the other statements of the request,
            `total_ms` the whole of it.
        outcome: ok, failed, cancelled, timeout or no-connection.
        shared_with: the ids of other requests that waited for the same look-up.
        dropped: lines of this fingerprint that were left out since the last one.
        plan: lines, as EXPLAIN writes them, with values redacted; None when it was not asked for.
        args: redacted to type and size.
    """

    level = "warning"
    cause: str
    advice: Sequence[Mapping[str, object]]
    request_id: str | None
    client: str | None
    user_agent: str | None
    method: str | None
    route: str | None
    collection: str | None
    operation: str | None
    origin: str
    statement: str
    shape: str
    fingerprint: str
    total_ms: float
    duration_ms: float
    pool_wait_ms: float
    other_db_ms: float
    encode_ms: float
    send_ms: float
    threshold_ms: float
    rows: int | None
    bytes: int
    outcome: str
    sqlstate: str | None
    shared_with: Sequence[str]
    dropped: int
    plan: Sequence[str] | None
    args: Sequence[object]
    sql: str


@dataclass(frozen=True, slots=True)
class SlowQueriesDropped(Event):
    """A burst of slow queries of one fingerprint is over; so many lines of it were left out."""

    level = "warning"
    fingerprint: str
    statement: str
    dropped: int


@dataclass(frozen=True, slots=True)
class ServerNotice(Event):
    """PostgreSQL, PostGIS or a function said something while a statement ran; values of the request
    are not in it.
    """

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
    """A part of the telemetry failed.

    It is told once a part; the metric counts every time. No request fails for it.
    """

    level = "error"
    part: str
    reason: str


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
    """The change log cannot be read; nothing is answered from memory, and changes are told
    later.
    """

    level = "warning"
    reason: str


@dataclass(frozen=True, slots=True)
class ChangesNotTold(Event):
    """Changes of a collection could not be read or written; its subscribers are told later, or to
    read anew.
    """

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
    """A subscriber did not keep up with the changes and was cut off; it resumes by the id of its
    last event.
    """

    level = "warning"
    collection: str


Subscriber = Callable[[Event], None]

Kinds = tuple[type[Event], ...]

_subscribers: tuple[tuple[Subscriber, Kinds, Kinds], ...] = ()
_wanted: dict[
    type[Event], tuple[Subscriber, ...]
] = {}  # by kind of event, made when the first of the kind is emitted


def subscribe(subscriber: Subscriber, *kinds: type[Event], but: Kinds = ()) -> Callable[[], None]:
    """Calls `subscriber` with every event of these kinds from now on, of all kinds if none are
    named. Returns the function that ends it.

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
            subscriber
            for subscriber, kinds, but in _subscribers
            if issubclass(kind, kinds) and not issubclass(kind, but)
        )
    for subscriber in wanted:
        try:
            subscriber(event)
        except Exception as error:  # whatever observes must not fail what is observed
            report_failure(
                getattr(subscriber, "__qualname__", "subscriber"),
                f"{type(error).__name__}: {error}",
            )


failures: Counter[str] = Counter()
"""How often each part of the telemetry has failed in this process."""


def report_failure(part: str, reason: str) -> None:
    """Counts a failure of the telemetry itself, and tells of the first of each part."""
    failures[part] += 1
    if failures[part] == 1:
        emit(TelemetryFailed(part=part, reason=reason))
