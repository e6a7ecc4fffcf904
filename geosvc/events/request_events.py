"""Events of requests and their responses."""

from dataclasses import dataclass

from geosvc.events.event import Event, Measurement
from geosvc.trace import Trace


@dataclass(frozen=True, slots=True)
class RequestEnded(Measurement):
    """A request is over: its response was sent, or its client has disconnected. The access log has
    a line for it.
    """

    trace: Trace


@dataclass(frozen=True, slots=True)
class RequestFailed(Event):
    """A request ended with a status 5xx."""

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
    """A response broke off after its first byte. The client sees a broken connection, never a
    complete body.
    """

    level = "warning"
    route: str | None
    collection: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class ClientGone(Event):
    """The client disconnected before the response was complete; its query was cancelled."""

    level = "debug"
    method: str
    route: str | None
