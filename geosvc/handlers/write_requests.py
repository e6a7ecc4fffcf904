"""What all writes have in common: permission, headers, the target, and the reader of the body."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps

from aiohttp import hdrs, web

from geosvc.bodies.feature_reader import FeatureReader
from geosvc.bodies.geometries import GeometryRules
from geosvc.bodies.properties import Mode
from geosvc.database.transaction_commands import REPEATABLE_READ
from geosvc.database.writes.change_target import ChangeTarget
from geosvc.errors import MethodNotAllowed, PreconditionRequired, RequestError
from geosvc.handlers.feature_query import reading_rules
from geosvc.http.cors import refuse_foreign_writes
from geosvc.http.documents import collection_of, query_of
from geosvc.http.keys import FORMATS, PRINCIPAL, SETTINGS, WRITES
from geosvc.http.links import base_url
from geosvc.model.answer import Answer
from geosvc.model.collection import Collection
from geosvc.model.crs import Crs
from geosvc.model.media_type import MediaType
from geosvc.model.principal import ANONYMOUS
from geosvc.requests.preconditions import parse_preconditions
from geosvc.requests.preferences import (
    Preferences,
    WriteOptions,
    parse_content_crs,
    parse_idempotency_key,
    parse_preferences,
    parse_write_options,
)
from geosvc.values.feature_id import parse_feature_id

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REPAIR_WEIGHT = 16
"""How many times more work it is to repair a body than to read it."""


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """A request to write, parsed but for its body.

    Attributes:
        crs: of the coordinates in the body.
        idempotency_key: different principals never have the same one.
        base: the root URL that clients see.
        item_types: all media types of a feature, for the links of one that is sent back.
        identity: everything that makes two requests the same, but for their bodies.
    """

    collection: Collection
    options: WriteOptions
    preferences: Preferences
    crs: Crs
    idempotency_key: str | None
    base: str
    item_types: tuple[MediaType, ...]
    identity: bytes

    @property
    def representation(self) -> Crs | None:
        """The CRS in which the client wants the stored feature back; None where it does not."""
        if self.preferences.representation:
            return self.crs
        return None

    @property
    def isolation(self) -> str:
        """The isolation level of the transaction, if it needs one, as BEGIN takes it.

        PostgreSQL cannot lock the rows of a view, so a change of one is repeated where another
        transaction was faster.
        """
        if self.collection.is_view_or_foreign:
            return REPEATABLE_READ
        return ""

    def answer(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        returned: str | None = None,
    ) -> Answer:
        """An answer that names the preferences that were applied.

        Args:
            returned: the value of the preference `return` that the answer has.
        """
        return Answer(status, {**headers, **self.preferences.applied(returned)}, body)


def reports_strictness(handler: Handler) -> Handler:
    """A handler whose refusals name the preference `handling=strict` where the client asked for it.

    Source: OGC 20-002r1, RFC 7240 3.
    """

    @wraps(handler)
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except RequestError as error:
            if error.status < 500:
                _report_strictness(request, error)
            raise

    return handle


def _report_strictness(request: web.Request, error: RequestError) -> None:
    error.headers[hdrs.VARY] = "Prefer"
    preferences = parse_preferences(request.headers.get("Prefer"))
    if preferences.handling == "strict":
        error.headers |= preferences.applied(None)


async def parse_write(
    request: web.Request,
    methods: Callable[[Collection], Iterable[str]],
    known: Iterable[str],
) -> WriteRequest:
    """Checks that the request may write here, and parses its parameters and headers.

    Args:
        methods: that a collection allows.
        known: the parameters of this write.
    Raises: Forbidden for pages of other origins, MethodNotAllowed, InvalidParameter,
        UnknownParameter.
    """
    refuse_foreign_writes(request)
    collection = await collection_of(request)
    allowed = tuple(methods(collection))
    if request.method not in allowed:
        raise MethodNotAllowed(f"{collection.id} does not allow {request.method}", allowed=allowed)
    headers = request.headers
    configured_crs = reading_rules(request).crs
    return WriteRequest(
        collection,
        options=parse_write_options(query_of(request), frozenset(known)),
        preferences=parse_preferences(headers.get("Prefer")),
        crs=parse_content_crs(headers.get("Content-Crs"), collection, configured_crs),
        idempotency_key=_parse_idempotency_key(request),
        base=base_url(request),
        item_types=request.app[FORMATS].item_types,
        identity=_identity_of(request),
    )


def _parse_idempotency_key(request: web.Request) -> str | None:
    """The key of the request among those of all principals. Raises: InvalidParameter."""
    key = parse_idempotency_key(request.headers.get("Idempotency-Key"))
    principal = request[PRINCIPAL]
    if key is None or principal == ANONYMOUS:
        return key
    return f"{principal!r} {key}"  # the key of a client has no space


def _identity_of(request: web.Request) -> bytes:
    parts = (
        repr(request[PRINCIPAL]),
        request.method,
        request.raw_path,
        request.headers.get(hdrs.CONTENT_TYPE, ""),
        request.headers.get("Content-Crs", ""),
    )
    return "\n".join(parts).encode("utf-8", "surrogateescape")


def target_of(request: web.Request, write: WriteRequest) -> ChangeTarget:
    """The feature in the path. Raises: NotFound, InvalidParameter, PreconditionRequired."""
    collection = write.collection
    feature_id = request.match_info["featureId"]
    preconditions = parse_preconditions(request.headers)
    if collection.require_precondition and not preconditions.protects:
        raise PreconditionRequired(
            "changes of this collection need If-Match, with the ETag of the feature"
        )
    return ChangeTarget(
        collection,
        parse_feature_id(feature_id, collection),
        feature_id,
        preconditions,
        write.crs,
        write.options.precision,
        write.representation,
    )


def reader_of(
    request: web.Request,
    write: WriteRequest,
    mode: Mode,
    *,
    keyed: bool = False,
) -> FeatureReader:
    """The reader of the features in the body.

    Args:
        keyed: whether the features have ids.
    """
    collection = write.collection
    max_vertices = request.app[SETTINGS].max_vertices
    rules = GeometryRules(collection.geometry, write.crs, max_vertices, write.options.repair)
    lenient = write.preferences.lenient
    return request.app[WRITES].reader(collection, mode, rules, lenient=lenient, keyed=keyed)


def cost_of(write: WriteRequest, body: bytes) -> int:
    """How much work it is to read a body, in bytes of a plain body.

    Repairing takes more: a geometry may have as many crossings as the square of its positions.
    """
    if write.options.repair:
        return len(body) * REPAIR_WEIGHT
    return len(body)
