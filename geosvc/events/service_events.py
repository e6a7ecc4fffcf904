"""Events of the service: its processes, its listeners, its settings, its background work."""

from dataclasses import dataclass

from geosvc.events.event import Event


@dataclass(frozen=True, slots=True)
class ServerStarted(Event):
    """The service accepts requests."""

    url: str
    admin_url: str
    pid: int


@dataclass(frozen=True, slots=True)
class ServerStopping(Event):
    """A signal to stop has arrived. After the delay the service accepts no new connections and
    lets running requests end.

    Attributes:
        delay_seconds: how long the service still accepts connections, while /readyz fails.
        grace_seconds: how long the rest of the stop takes at most.
    """

    delay_seconds: float
    grace_seconds: float


@dataclass(frozen=True, slots=True)
class RequestsCut(Event):
    """Requests that had not ended when the grace time was over; their connections are closed."""

    level = "warning"
    requests: int


@dataclass(frozen=True, slots=True)
class DescriptorsScarce(Event):
    """The limit of file descriptors (RLIMIT_NOFILE) is too low for what the settings allow.

    Attributes:
        limit: the limit of this process, after the soft limit was raised to the hard one.
        needed: for GEOSVC_MAX_SUBSCRIBERS, the pools and the rest.
        connections, subscribers: how many a worker accepts instead.
    """

    level = "warning"
    limit: int
    needed: int
    connections: int
    subscribers: int


@dataclass(frozen=True, slots=True)
class ConnectionsFull(Event):
    """A listener has as many connections as it accepts. Idle ones are closed, and new clients wait
    until there is room.

    It is emitted at most once a minute.
    """

    level = "warning"
    url: str
    connections: int


@dataclass(frozen=True, slots=True)
class WorkerExited(Event):
    """A worker process ended although nobody stopped it; the supervisor starts another."""

    level = "error"
    pid: int
    exit_code: int | None
    restart_in_seconds: float


@dataclass(frozen=True, slots=True)
class ChildEnded(Event):
    """A child process ended while it read a large body; another is started for the next body.

    Attributes:
        status: its exit status, negative for a signal.
        reason: what reading the body needed.
    """

    level = "warning"
    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class UnknownSetting(Event):
    """The environment has a variable GEOSVC_… that is not a setting."""

    level = "warning"
    variable: str
    did_you_mean: str | None


@dataclass(frozen=True, slots=True)
class WritableByAnyone(Event):
    """Collections are writable, and other machines can reach the address of the service."""

    level = "warning"
    host: str
    writable: str


@dataclass(frozen=True, slots=True)
class BackgroundWorkFailed(Event):
    """Work in the background failed with an unexpected error; it begins again at once."""

    level = "error"
    work: str
    reason: str
    traceback: str


@dataclass(frozen=True, slots=True)
class TelemetryFailed(Event):
    """A part of the telemetry failed. No request fails because of it.

    It is emitted once for each part; the metric counts every failure.
    """

    level = "error"
    part: str
    reason: str
