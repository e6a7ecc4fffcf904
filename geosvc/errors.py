"""Everything that geosvc refuses or fails at, drawn as one tree.

    GeosvcError
    ├── StartError                    stops a command; never reaches HTTP
    │   ├── SettingsError
    │   ├── ExtensionError
    │   ├── ClusterError
    │   ├── MigrationError
    │   └── PublishError
    └── RequestError                  carries an HTTP status, a slug and a title (its docstring) ├──
        MalformedRequest   400 ├── InvalidParameter   400 │   └── InvalidFilter ├── UnknownParameter
        400 ├── InvalidValue       400 ├── InvalidBody        400 ├── Forbidden          403 ├──
        NotFound           404 ├── MethodNotAllowed   405 ├── NotAcceptable      406 ├── BodyTimeout
        408 ├── HeadTimeout        408 ├── Conflict           409 │   └── NotPublished ├──
        PreconditionFailed 412 ├── BodyTooLarge       413 ├── UnsupportedMediaType 415 ├──
        InvalidFeature     422 ├── IdempotencyKeyReused 422 ├── TooCostly          422 ├──
        PreconditionRequired 428 ├── FieldsTooLarge     431 ├── UnreadableGeometry 500 ├──
        RepeatedId         500 ├── InternalError      500 ├── UnreadableValue    500 ├──
        CollectionBroken   500 │   └── StaleCatalog          the catalog may be behind the database:
        look, and plan again if it was │       ├── StalePlan         the plan of a connection is:
        run again │       └── StaleType         likewise, unless the data are at fault ├──
        UnknownMethod      501 ├── NotMigrated        501 ├── Unavailable        503 │   ├──
        DatabaseUnavailable │   ├── CollectionUnavailable │   ├── ForeignServerUnavailable │   ├──
        Locked │   ├── MemoryExhausted │   ├── PoolExhausted │   ├── TooManyStreams │   ├──
        TooManySubscribers │   ├── TooManyUploads │   └── QueryCancelled └── QueryTimeout       504

A detail is written for the person who sent the request: it names the parameter at fault, and never
holds SQL, a DSN or a stack.
"""

import re
import shlex
from collections.abc import Sequence
from typing import Any, ClassVar

_OF_PROPERTY = re.compile(r"(?:/features/[0-9]+)?/properties/([^/]+)")


class GeosvcError(Exception):
    """Something that geosvc says in its own words."""


class StartError(GeosvcError):
    """A command cannot go on; the text is what a person reads."""


class SettingsError(StartError):
    """One or more settings are wrong; `mistakes` has one line for each."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


class ExtensionError(StartError):
    """An extension of the service cannot be added; the text names the part and says why."""


class ClusterError(StartError):
    """The private PostgreSQL cluster cannot be made, started or stopped."""


class MigrationError(StartError):
    """The schema `geosvc` cannot be migrated."""


class PublishError(StartError):
    """The changes of a collection cannot be logged, or their logging cannot be ended."""


class RequestError(GeosvcError):
    """The request failed.

    Attributes:
        properties: those at fault where the pointer names none: one that is missing, those of a
            unique constraint.
        headers: what the answer says besides.
        rule: of the database, that the write breaks.

    Args:
        pointer: to what is at fault in the body, a JSON pointer (RFC 6901).
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
        self.properties: tuple[str, ...] = ()
        self.headers: dict[str, str] = {}
        self.rule: object = None

    def __reduce__(self) -> tuple[Any, ...]:
        """For its way between processes: not all of them are made of their text alone."""
        return _again, (type(self), self.args, self.__dict__)

    @property
    def property(self) -> str | None:
        """The property that is at fault: the one that the pointer names, or that is missing
        there.
        """
        if len(self.properties) == 1:
            return self.properties[0]
        match = _OF_PROPERTY.match(self.pointer or "")
        return match[1].replace("~1", "/").replace("~0", "~") if match is not None else None

    @classmethod
    def title(cls) -> str:
        """The first line of the class's docstring, without its full stop."""
        return (cls.__doc__ or "").strip().splitlines()[0].rstrip(".")


def _again(
    kind: type[RequestError], args: tuple[object, ...], attributes: dict[str, object]
) -> RequestError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(attributes)
    return error


class MalformedRequest(RequestError):
    """The request is not valid HTTP."""

    status = 400
    slug = "malformed-request"


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
        at: where in a filter: in text the number of a character, from 1; in JSON a pointer.
    """

    slug = "invalid-filter"

    def __init__(self, detail: str, at: int | str) -> None:
        if isinstance(at, int):
            super().__init__(f"at character {at}: {detail}", parameter="filter")
            self.position = at
        else:
            super().__init__(detail, parameter="filter", pointer=at)
            self.position = None


class MisdirectedRequest(RequestError):
    """The listener does not answer to this name."""

    status = 421
    slug = "misdirected-request"


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


class HeadTimeout(RequestError):
    """The request line and the headers did not arrive in time."""

    status = 408
    slug = "request-timeout"


class Conflict(RequestError):
    """It conflicts with what the database holds."""

    status = 409
    slug = "conflict"


class NotPublished(Conflict):
    """The changes of the collection are not logged."""

    slug = "not-published"

    def __init__(self, collection_id: str) -> None:
        super().__init__(
            f"the changes of {collection_id} are not logged: geosvc publish"
            f" {shlex.quote(collection_id)}"
        )


class PreconditionFailed(RequestError):
    """What is there is not what the request was made for."""

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


class TooCostly(RequestError):
    """The body takes more time or memory than the service gives it."""

    status = 422
    slug = "too-costly"


class PreconditionRequired(RequestError):
    """The collection takes changes only with If-Match or If-Unmodified-Since."""

    status = 428
    slug = "precondition-required"


class FieldsTooLarge(RequestError):
    """The request line or a header is too long."""

    status = 431
    slug = "fields-too-large"


class UnknownVersion(RequestError):
    """The service does not speak this version of HTTP."""

    status = 505
    slug = "unknown-http-version"


class UnknownExpectation(RequestError):
    """The service does not do what the request expects."""

    status = 417
    slug = "unknown-expectation"


class UnknownMethod(RequestError):
    """The service does not know this method."""

    status = 501
    slug = "unknown-method"


class NotMigrated(RequestError):
    """The database lacks what `geosvc migrate` makes."""

    status = 501
    slug = "not-migrated"


class UnreadableGeometry(RequestError):
    """A stored geometry cannot be written in the wanted coordinate reference system."""

    status = 500
    slug = "unreadable-geometry"


class RepeatedId(RequestError):
    """Several features have this id."""

    status = 500
    slug = "repeated-id"


class InternalError(RequestError):
    """The service failed."""

    status = 500
    slug = "internal-error"


class UnreadableValue(RequestError):
    """The database cannot work out a value of a feature."""

    status = 500
    slug = "unreadable-value"


class CollectionBroken(RequestError):
    """What the collection is read from does not work; the log and geosvc check tell more."""

    status = 500
    slug = "collection-broken"


class StaleCatalog(CollectionBroken):
    """What the collection is read from does not work; the log and geosvc check tell more."""


class StalePlan(StaleCatalog):
    """What the collection is read from does not work; the log and geosvc check tell more."""


class StaleType(StaleCatalog):
    """What the collection is read from does not work; the log and geosvc check tell more."""


class Unavailable(RequestError):
    """The service cannot answer now."""

    status = 503
    slug = "unavailable"
    retry_after_seconds = 2


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached."""

    slug = "database-unavailable"


class CollectionUnavailable(Unavailable):
    """What the collection is read from is not there yet, or not on this server."""

    slug = "collection-unavailable"
    retry_after_seconds = 30


class ForeignServerUnavailable(Unavailable):
    """A server that the database reads the collection from cannot be reached."""

    slug = "foreign-server-unavailable"
    retry_after_seconds = 10


class Locked(Unavailable):
    """Another session has locked what the collection is read from."""

    slug = "locked"


class MemoryExhausted(Unavailable):
    """The memory for large bodies, or for answers that clients have not taken yet, is in use."""

    slug = "memory-exhausted"
    retry_after_seconds = 5


class PoolExhausted(Unavailable):
    """The database connections that may be had for it are busy."""

    slug = "pool-exhausted"
    retry_after_seconds = 1


class TooManyStreams(Unavailable):
    """The client has as many large answers in progress as one client may have, or the collection as
    one collection.
    """

    slug = "too-many-streams"
    retry_after_seconds = 5


class TooManySubscribers(Unavailable):
    """The service has as many subscribers as it takes."""

    slug = "too-many-subscribers"
    retry_after_seconds = 5


class TooManyUploads(Unavailable):
    """The service stores as many bodies of many features as it takes at a time."""

    slug = "too-many-uploads"
    retry_after_seconds = 5


class QueryCancelled(Unavailable):
    """An operator cancelled the query."""

    slug = "query-cancelled"


class QueryTimeout(RequestError):
    """The query took longer than the service allows."""

    status = 504
    slug = "query-timeout"
