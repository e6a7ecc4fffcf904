"""What every write has in common: who may, what the headers say, how it is run once, how it is answered."""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

import orjson
from aiohttp import hdrs, web

from geosvc.database.idempotency import IdempotencyKey, answer_once
from geosvc.database.mutations import Fetch, Target
from geosvc.database.writing import REPEATABLE_READ, Transaction
from geosvc.errors import InvalidParameter, MethodNotAllowed, PreconditionRequired
from geosvc.handlers.documents import collection_of, query_of
from geosvc.handlers.pages import reading_rules
from geosvc.keys import SETTINGS, WRITES
from geosvc.links import base_url, item_links, item_url
from geosvc.model.answer import Answer
from geosvc.model.collection import Collection
from geosvc.model.crs import Crs
from geosvc.model.feature import StoredFeature
from geosvc.model.media_type import GEOJSON
from geosvc.requests.feature_id import parse_feature_id
from geosvc.requests.geometries import GeometryRules
from geosvc.requests.posted import FeatureReader, Posted
from geosvc.requests.preconditions import cached_tag, parse_preconditions
from geosvc.requests.preferences import (
    Preferences,
    WriteOptions,
    parse_content_crs,
    parse_idempotency_key,
    parse_preferences,
    parse_write_options,
)
from geosvc.requests.properties import Mode

READING_METHODS = (hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS)


def items_methods(collection: Collection) -> tuple[str, ...]:
    """The methods of its items."""
    return (*READING_METHODS, *((hdrs.METH_POST,) if collection.insertable else ()))


def item_methods(collection: Collection) -> tuple[str, ...]:
    """The methods of each item."""
    changing = ((hdrs.METH_PUT, hdrs.METH_PATCH) if collection.updatable else ()) if collection.key else ()
    removing = (hdrs.METH_DELETE,) if collection.deletable and collection.key else ()
    return (*READING_METHODS, *changing, *removing)


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """What a request to write says beside its body.

    Attributes:
        digest: of all that makes one request the same as another, but for its body.
    """

    collection: Collection
    options: WriteOptions
    preferences: Preferences
    crs: Crs
    idempotency_key: str | None
    base: str
    digest: bytes

    @property
    def representation(self) -> Crs | None:
        """What the feature is wanted in, in return; None when it is not wanted."""
        return self.crs if self.preferences.representation else None

    def answer(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """An answer that says which preferences were applied."""
        applied = {"Preference-Applied": ", ".join(self.preferences.applied)} if self.preferences.applied else {}
        return Answer(status, {**headers, **applied}, body)


async def parse_write(
    request: web.Request, methods: Callable[[Collection], Iterable[str]], known: Iterable[str]
) -> WriteRequest:
    """Raises: MethodNotAllowed when the collection does not take it, and what its parts raise."""
    collection = await collection_of(request)
    allowed = tuple(methods(collection))
    if request.method not in allowed:
        raise MethodNotAllowed(f"{collection.id} does not take {request.method}", allowed=allowed)
    headers = request.headers
    parts = (request.method, request.raw_path, headers.get(hdrs.CONTENT_TYPE, ""), headers.get("Content-Crs", ""))
    return WriteRequest(
        collection,
        parse_write_options(query_of(request), frozenset(known)),
        parse_preferences(headers.get("Prefer")),
        parse_content_crs(headers.get("Content-Crs"), collection, reading_rules(request).crs),
        parse_idempotency_key(headers.get("Idempotency-Key")),
        base_url(request),
        "\n".join(parts).encode("utf-8", "surrogateescape"),
    )


def target_of(request: web.Request, wanted: WriteRequest) -> Target:
    """The feature in the path. Raises: NotFound, InvalidParameter, PreconditionRequired."""
    feature_id = request.match_info["featureId"]
    preconditions = parse_preconditions(request.headers)
    if wanted.collection.require_precondition and not preconditions.protects:
        raise PreconditionRequired("changes of this collection need If-Match, with the ETag of the feature")
    key = parse_feature_id(feature_id, wanted.collection)
    return Target(wanted.collection, key, feature_id, preconditions, wanted.representation)


def reader_of(request: web.Request, wanted: WriteRequest, mode: Mode, *, keyed: bool = False) -> FeatureReader:
    """What reads the features of a request.

    Args:
        keyed: whether they come with their ids.
    """
    rules = GeometryRules(wanted.collection.geometry, wanted.crs, request.app[SETTINGS].max_vertices, wanted.options.repair)
    return request.app[WRITES].reader(wanted.collection, mode, rules, lenient=wanted.preferences.lenient, keyed=keyed)


async def run_once(
    request: web.Request, wanted: WriteRequest, body: bytes, work: Callable[[Fetch], Awaitable[Answer]], *, whole: bool = False
) -> web.Response:
    """Runs a write: as one statement where it is one, else in a transaction; with an Idempotency-Key only once.

    Args:
        whole: it takes more than one statement.
    """
    writer, collection = request.app[WRITES].writer, wanted.collection
    if not (whole or wanted.idempotency_key or wanted.options.dry_run or collection.is_view):
        return send_answer(await work(writer.run))

    async def in_transaction(transaction: Transaction) -> Answer:
        if wanted.idempotency_key is None:
            return await work(transaction.fetch)
        key = idempotency_key(request, wanted, lambda: body)
        return await answer_once(transaction, key, lambda: work(transaction.fetch), _nothing_to_read)

    isolation = REPEATABLE_READ if collection.is_view else ""
    return send_answer(await writer.transact(in_transaction, isolation=isolation, dry_run=wanted.options.dry_run))


async def _nothing_to_read() -> None:
    return None


def idempotency_key(request: web.Request, wanted: WriteRequest, body: Callable[[], bytes]) -> IdempotencyKey:
    """The key of a request, whose digest holds its body. Raises: InvalidParameter."""
    if wanted.options.dry_run:
        raise InvalidParameter("a dry run has nothing to do only once", parameter="Idempotency-Key")
    assert wanted.idempotency_key is not None
    kept_seconds = request.app[SETTINGS].idempotency_seconds
    return IdempotencyKey(wanted.idempotency_key, lambda: hashlib.sha256(wanted.digest + b"\n" + body()).digest(), kept_seconds)


def send_answer(answer: Answer) -> web.Response:
    """The response of an answer."""
    return web.Response(status=answer.status, headers={**answer.headers, hdrs.VARY: "Prefer"}, body=answer.body or None)


def validators(feature: StoredFeature) -> dict[str, str]:
    """ETag, and Last-Modified where it is known."""
    modified = feature.last_modified
    return {"ETag": feature.etag, **({hdrs.LAST_MODIFIED: modified} if modified is not None else {})}


def cached_validators(feature: StoredFeature, none_match: str | None) -> dict[str, str]:
    """The same for a client that has a representation already: the tag of its own, which may be of a content coding."""
    return validators(feature) | ({"ETag": cached_tag(feature.version, none_match)} if none_match is not None else {})


def representation(
    base: str, collection: Collection, feature_id: str | None, text: bytes, crs: Crs
) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a feature with its links."""
    links = orjson.dumps(item_links(base, collection, feature_id))
    headers = {hdrs.CONTENT_TYPE: GEOJSON.content_type, "Content-Crs": crs.content_crs}
    return headers, text[:-1] + b',"links":' + links + b"}"


def stored_answer(wanted: WriteRequest, posted: Posted, feature: StoredFeature, *, created: bool) -> Answer:
    """The answer to a feature that was stored: 201 with its place when it is new; with the feature when it is wanted; with
    what was changed in its geometry.
    """
    headers, body = validators(feature), b""
    if posted.repairs:
        headers["Geometry-Repaired"] = "; ".join(change for _, change in posted.repairs)
    if created and feature.feature_id is not None:
        headers[hdrs.LOCATION] = item_url(wanted.base, wanted.collection, feature.feature_id)
    if feature.text is not None and wanted.representation is not None:
        more, body = representation(wanted.base, wanted.collection, feature.feature_id, feature.text, wanted.crs)
        headers |= more
    status = 200 if wanted.options.dry_run else 201 if created else 200 if body else 204
    return wanted.answer(status, headers, body)
