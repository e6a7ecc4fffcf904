"""Events of the change log and of those who subscribe to changes."""

from dataclasses import dataclass

from geosvc.events.event import Event


@dataclass(frozen=True, slots=True)
class FeedFollowed(Event):
    """The service has begun to follow the change log.

    Attributes:
        polls_because: why it polls; None when it listens.
    """

    publications: int
    polls_because: str | None


@dataclass(frozen=True, slots=True)
class FeedLost(Event):
    """The change log cannot be read. Nothing is answered from memory, and changes are sent
    later.
    """

    level = "warning"
    reason: str


@dataclass(frozen=True, slots=True)
class ChangesNotTold(Event):
    """Changes of a collection could not be read or encoded. Its subscribers get them later, or get
    a `resync`.
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
    """The change log could not be pruned, and grows.

    It is emitted once, and again only after a pruning that succeeded.
    """

    level = "warning"
    reason: str


@dataclass(frozen=True, slots=True)
class SubscriberDropped(Event):
    """A subscriber was too slow and was disconnected. It can continue with the id of its last
    event.
    """

    level = "warning"
    collection: str
