"""Everything that can be observed, as frozen dataclasses, and the one `emit`.

An event knows its level and nothing of logs or metrics: each subscriber chooses the events that it wants. A subscriber is
called synchronously, must not block and must not raise.
"""

import re
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import ClassVar, Literal

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
    path: str
    status: int
    slug: str
    detail: str
    traceback: str | None


@dataclass(frozen=True, slots=True)
class StreamAborted(Event):
    """A response broke off after its first byte; the client sees a broken connection, never a complete body."""

    level = "warning"
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class ClientGone(Event):
    """The client hung up before the response was whole; its query was cancelled."""

    level = "debug"
    method: str
    path: str


current_request_id: ContextVar[str | None] = ContextVar("current_request_id", default=None)
"""The id of the request that is being handled, for everything that is observed meanwhile."""

Subscriber = Callable[[Event], None]

_subscribers: tuple[Subscriber, ...] = ()


def subscribe(subscriber: Subscriber) -> Callable[[], None]:
    """Calls `subscriber` with every event from now on. Returns the function that ends it."""
    global _subscribers
    _subscribers = (*_subscribers, subscriber)

    def unsubscribe() -> None:
        global _subscribers
        _subscribers = tuple(each for each in _subscribers if each is not subscriber)

    return unsubscribe


def emit(event: Event) -> None:
    """Hands `event` to every subscriber."""
    for subscriber in _subscribers:
        subscriber(event)
