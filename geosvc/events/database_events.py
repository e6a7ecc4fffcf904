"""Events of the database as a whole: whether it can be reached, and its catalog."""

from dataclasses import dataclass

from geosvc.events.event import Event


@dataclass(frozen=True, slots=True)
class CatalogLoaded(Event):
    """The catalog was read: at start, and after each DDL statement that concerns it."""

    collections: int
    duration_ms: float


@dataclass(frozen=True, slots=True)
class CatalogFailed(Event):
    """The catalog could not be read; the one that was read before stays in use."""

    level = "warning"
    reason: str


@dataclass(frozen=True, slots=True)
class KeyRepeated(Event):
    """Several rows have the same value of a key that the settings name, so the features of the
    collection have no ids.
    """

    level = "error"
    collection: str
    key: str


@dataclass(frozen=True, slots=True)
class DatabaseLost(Event):
    """The database cannot be reached, or stopped answering.

    It is emitted once for each reason, while the service goes on trying.

    Attributes:
        reason: the message of the server or of the system.
        tries_again_seconds: the time between two tries.
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
    """The database has no PostGIS, so it has no collections."""

    level = "warning"
    database: str
    cure: str


@dataclass(frozen=True, slots=True)
class DatabaseFound(Event):
    """The database answers, for the first time or again."""
