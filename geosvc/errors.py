"""Everything that geosvc refuses or fails at, drawn as one tree.

    GeosvcError
    ├── StartError                    stops a command; never reaches HTTP
    │   ├── SettingsError
    │   ├── ClusterError
    │   ├── MigrationError
    │   └── PublishError
    └── RequestError                  carries an HTTP status, a slug and a title (its docstring)
        ├── InvalidParameter   400
        │   └── InvalidFilter
        ├── UnknownParameter   400
        ├── InvalidValue       400
        ├── InvalidBody        400
        ├── Forbidden          403
        ├── NotFound           404
        ├── MethodNotAllowed   405
        ├── NotAcceptable      406
        ├── BodyTimeout        408
        ├── Conflict           409
        │   └── NotPublished
        ├── PreconditionFailed 412
        ├── BodyTooLarge       413
        ├── UnsupportedMediaType 415
        ├── InvalidFeature     422
        ├── IdempotencyKeyReused 422
        ├── PreconditionRequired 428
        ├── UnreadableGeometry 500
        ├── InternalError      500
        │   └── StaleCatalog          the catalog is behind the database: reload it and plan again
        ├── NotMigrated        501
        ├── Unavailable        503
        │   ├── DatabaseUnavailable
        │   ├── PoolExhausted
        │   ├── TooManySubscribers
        │   └── QueryCancelled
        └── QueryTimeout       504

A detail is written for the person who sent the request: it names the parameter at fault, and never holds SQL, a DSN or a
stack.
"""

import shlex
from collections.abc import Sequence
from typing import ClassVar


class GeosvcError(Exception):
    """Something that geosvc says in its own words."""


class StartError(GeosvcError):
    """A command cannot go on; the text is what a person reads."""


class SettingsError(StartError):
    """One or more settings are wrong; `mistakes` has one line for each."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


class ClusterError(StartError):
    """The private PostgreSQL cluster cannot be made, started or stopped."""


class MigrationError(StartError):
    """The schema `geosvc` cannot be migrated."""


class PublishError(StartError):
    """The changes of a collection cannot be logged, or their logging cannot be ended."""


class RequestError(GeosvcError):
    """The request failed.

    Args:
        pointer: the place in the body that is at fault, a JSON pointer (RFC 6901).
        index: the feature of the body that is at fault, from 0.
        constraint: the name of the database's constraint that does not hold.
        reason: what the database said, for the log; values of the request are not in it.
    """

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    retry_after_seconds: ClassVar[int | None] = None
    position: int | None = None

    def __init__(
        self,
        detail: str,
        *,
        parameter: str | None = None,
        pointer: str | None = None,
        index: int | None = None,
        constraint: str | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.parameter = parameter
        self.pointer = pointer
        self.index = index
        self.constraint = constraint
        self.reason = reason

    @classmethod
    def title(cls) -> str:
        """The first line of the class's docstring, without its full stop."""
        return (cls.__doc__ or "").strip().splitlines()[0].rstrip(".")


class InvalidParameter(RequestError):
    """A parameter has a value that it cannot have."""

    status = 400
    slug = "invalid-parameter"


class UnknownParameter(RequestError):
    """The request has a parameter that this resource does not know."""

    status = 400
    slug = "unknown-parameter"


class InvalidValue(RequestError):
    """A value in the request is not one that the database can take."""

    status = 400
    slug = "invalid-value"


class InvalidBody(RequestError):
    """The body cannot be read."""

    status = 400
    slug = "invalid-body"


class InvalidFilter(InvalidParameter):
    """The filter is not one that the collection can be asked with.

    Args:
        at: the place in a filter in text, counted from 1 in characters; the pointer into one in JSON.
    """

    slug = "invalid-filter"

    def __init__(self, detail: str, at: int | str) -> None:
        place = f"at character {at}: " if isinstance(at, int) else ""
        super().__init__(place + detail, parameter="filter", pointer=at if isinstance(at, str) else None)
        self.position = at if isinstance(at, int) else None


class Forbidden(RequestError):
    """It may not be done by whom it was asked."""

    status = 403
    slug = "forbidden"


class NotFound(RequestError):
    """There is no such resource."""

    status = 404
    slug = "not-found"


class MethodNotAllowed(RequestError):
    """The resource does not take this method."""

    status = 405
    slug = "method-not-allowed"

    def __init__(self, detail: str, *, allowed: Sequence[str]) -> None:
        super().__init__(detail)
        self.allowed = tuple(sorted(allowed))


class NotAcceptable(RequestError):
    """The resource has no representation of the wanted media type."""

    status = 406
    slug = "not-acceptable"


class BodyTimeout(RequestError):
    """The body did not arrive in time."""

    status = 408
    slug = "body-timeout"


class Conflict(RequestError):
    """It conflicts with what the database holds."""

    status = 409
    slug = "conflict"


class NotPublished(Conflict):
    """The changes of the collection are not logged."""

    slug = "not-published"

    def __init__(self, collection_id: str) -> None:
        super().__init__(f"the changes of {collection_id} are not logged: geosvc publish {shlex.quote(collection_id)}")


class PreconditionFailed(RequestError):
    """The feature is not the one that the request was made for."""

    status = 412
    slug = "precondition-failed"


class BodyTooLarge(RequestError):
    """The body is larger than the service takes."""

    status = 413
    slug = "body-too-large"


class UnsupportedMediaType(RequestError):
    """The resource does not take bodies of this media type or coding."""

    status = 415
    slug = "unsupported-media-type"

    def __init__(self, detail: str, *, accepted: Sequence[str], header: str) -> None:
        super().__init__(detail)
        self.accepted = tuple(accepted)
        self.header = header


class InvalidFeature(RequestError):
    """The body is JSON, but not a feature that the collection can take."""

    status = 422
    slug = "invalid-feature"


class IdempotencyKeyReused(RequestError):
    """The Idempotency-Key was used for another request."""

    status = 422
    slug = "idempotency-key-reused"


class PreconditionRequired(RequestError):
    """The collection takes changes only with If-Match or If-Unmodified-Since."""

    status = 428
    slug = "precondition-required"


class NotMigrated(RequestError):
    """The database lacks what `geosvc migrate` makes."""

    status = 501
    slug = "not-migrated"


class UnreadableGeometry(RequestError):
    """A stored geometry cannot be written in the wanted coordinate reference system."""

    status = 500
    slug = "unreadable-geometry"


class InternalError(RequestError):
    """The service failed."""

    status = 500
    slug = "internal-error"


class StaleCatalog(InternalError):
    """The service failed."""


class Unavailable(RequestError):
    """The service cannot answer now."""

    status = 503
    slug = "unavailable"
    retry_after_seconds = 2


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached."""

    slug = "database-unavailable"


class PoolExhausted(Unavailable):
    """Every database connection is busy."""

    slug = "pool-exhausted"
    retry_after_seconds = 1


class TooManySubscribers(Unavailable):
    """The service has as many subscribers as it takes."""

    slug = "too-many-subscribers"
    retry_after_seconds = 5


class QueryCancelled(Unavailable):
    """An operator cancelled the query."""

    slug = "query-cancelled"


class QueryTimeout(RequestError):
    """The query took longer than the service allows."""

    status = 504
    slug = "query-timeout"
