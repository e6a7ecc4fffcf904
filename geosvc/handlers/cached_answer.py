"""The answer about a collection: its version, 304, cache, shared work and content coding.

An answer is kept under a cache key, together with the version of the table that it was made at
(docs/decisions/0021). It has one of two kinds of validators:

- A page has a weak ETag of the version and the key. The version is read first. The ETag is weak,
  since a page that is made twice at one version differs in its time stamp.
- A feature has a strong ETag of its own. The answer is made at once, without waiting for the
  version, and kept if the version has not changed meanwhile.

Source: RFC 9110 8.8.1 and 13.1.2.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from time import perf_counter
from typing import Any, TypeVar

from aiohttp import hdrs, web

from geosvc.caching.cache_key import CacheKey, Kind, cache_key
from geosvc.caching.response import CachedResponse
from geosvc.caching.store import SizeOf
from geosvc.http.keys import CACHE, CATALOG, CODE_VERSION, PRINCIPAL, SETTINGS, TRACE
from geosvc.http.streaming import PreEncodedResponse
from geosvc.http.validators import (
    CACHE_CONTROL,
    coding_of,
    not_modified,
    refuse_preconditions,
)
from geosvc.model.collection import Collection
from geosvc.requests.preconditions import tag_of_coding

CACHE_CONTROL_HEADER: dict[str, str] = {hdrs.CACHE_CONTROL: CACHE_CONTROL}
"""The header of every answer about a collection: a cache revalidates it each time."""

VARY_HEADER: dict[str, str] = {hdrs.VARY: "Accept, Accept-Encoding"}
_REPEATED_IN_304 = ("Content-Crs", hdrs.LAST_MODIFIED)
_MAX_VERSION = (1 << 64) - 1
_NO_HEADERS: Mapping[str, str] = {}

_T = TypeVar("_T")
Build = Callable[[int | None], Coroutine[Any, Any, CachedResponse]]
"""Makes the whole answer. Its argument is the version of the table, None where it is not known."""

Stream = Callable[[int | None, Mapping[str, str]], Awaitable[web.StreamResponse]]
"""Sends an answer that is too large to be kept: (version, headers to add)."""

EtagOfVersion = Callable[[int], str]
Resize = Callable[[CachedResponse, int], None]
"""Counts that a kept answer takes more bytes: (answer, bytes)."""


def cache_key_of(
    request: web.Request,
    kind: Kind,
    collection: Collection,
    *parts: object,
) -> CacheKey | None:
    """The cache key of an answer about a collection; None when its answers have no version.

    They have none when the collection is not published, and when policies decide which rows a
    role sees, since policies change without a change of the table. The principal, the catalog, the
    settings, and the versions of geosvc and of its extensions belong to every key.

    Args:
        parts: what else the answer depends on.
    """
    if collection.publication is None or collection.row_security:
        return None
    app = request.app
    return cache_key(
        kind,
        collection.publication.id,
        request[PRINCIPAL],
        app[CODE_VERSION],
        app[CATALOG].catalog.fingerprint,
        app[SETTINGS].collections.get(collection.id),
        collection.id,
        *parts,
    )


def tag_of_version(key: CacheKey, version: int) -> str:
    """The weak ETag of the answer with this key at a version."""
    return f'W/"{version & _MAX_VERSION:x}.{key.digest}"'


async def answer_with_version(
    request: web.Request,
    key: CacheKey,
    build: Build,
    stream: Stream | None,
    etag_of: EtagOfVersion,
) -> web.StreamResponse:
    """Answers a request for a page from the cache, or makes the page and keeps it.

    Args:
        stream: sends a page that is not made as a whole.
        etag_of: the ETag of a version.
    Raises: RequestError.
    """
    cache = request.app[CACHE]
    version = await cache.versions.current(key.publication)
    if version is None:
        return await answer_at_unknown_version(request, build, stream)
    etag = etag_of(version)
    unchanged = not_modified(request, etag)
    if unchanged is not None:
        return unchanged
    if stream is not None:
        return await stream(version, {"ETag": etag})
    found: CachedResponse | None = cache.find(key, version)
    if found is None:
        found = await _share(request, key, version, build, etag)
    return encoded_response(request, found, partial(cache.resize, key))


async def answer_at_unknown_version(
    request: web.Request, build: Build, stream: Stream | None
) -> web.StreamResponse:
    """The answer while the log cannot be read: it has no validators and is not kept."""
    refuse_preconditions(request)
    if stream is not None:
        return await stream(None, _NO_HEADERS)
    return plain_response(await build(None))


async def _share(
    request: web.Request,
    key: CacheKey,
    version: int,
    build: Build,
    etag: str,
) -> CachedResponse:
    """Makes an answer once for all who wait for it."""

    async def build_at_version() -> CachedResponse:
        body = await build(version)
        body.headers = {**body.headers, "ETag": etag, **VARY_HEADER}
        return body

    started_at = perf_counter()
    body = await request.app[CACHE].share(key, version, build_at_version, _size_of)
    request[TRACE].take_waiting(started_at)
    return body


def _size_of(body: CachedResponse) -> int | None:
    """The bytes that an answer takes in the cache; None when it is not to be kept."""
    if not body.lasting:
        return None
    return body.size_bytes


async def answer_with_own_validators(
    request: web.Request,
    key: CacheKey | None,
    build: Build,
) -> web.Response:
    """Answers a request for a feature from the cache, or reads the feature and keeps it.

    Args:
        key: None when the answer has no version; then it is not kept.
    Raises: RequestError.
    """
    if key is None:
        body = await build(None)
        unchanged = _unchanged(request, body)
        if unchanged is not None:
            return unchanged
        return plain_response(body)
    cache = request.app[CACHE]
    found: CachedResponse | None = None
    if cache.holds(key):  # else nothing depends on the version, and it is not read
        version = await cache.versions.current(key.publication)
        if version is not None:
            found = cache.find(key, version)
    if found is None:
        # a change meanwhile does no harm: the version is read again before the answer is kept
        version_before = cache.versions.last_known(key.publication)
        found = await build(None)
        if found.feature is None:
            return plain_response(found)
        found.headers = {**found.headers, **VARY_HEADER}
        size_bytes = found.size_bytes + len(key.digest)
        cache.put_unconfirmed(key, version_before, found, size_bytes)
    unchanged = _unchanged(request, found)
    if unchanged is not None:
        return unchanged
    return encoded_response(request, found, partial(cache.resize, key))


def _unchanged(request: web.Request, body: CachedResponse) -> web.Response | None:
    """The 304 for a client that has this feature. Raises: PreconditionFailed, InvalidParameter."""
    if body.feature is None:
        return None
    headers = body.headers
    etag = headers["ETag"]
    coding = coding_of(request, body.plain)
    if coding is not None:
        etag = tag_of_coding(etag, coding)
    repeated = {}
    for name in _REPEATED_IN_304:
        if name in headers:
            repeated[name] = headers[name]
    return not_modified(request, etag, body.feature.modified, repeated)


def plain_response(body: CachedResponse) -> web.Response:
    """A response with a body that is not kept; the middleware compresses it."""
    return web.Response(body=body.plain, headers=body.headers)


def encoded_response(request: web.Request, body: CachedResponse, resize: Resize) -> web.Response:
    """A response with a kept body, in the content coding that the client accepts.

    Args:
        resize: counts the bytes of the coded body, which is made once.
    """
    request[TRACE].bytes = len(body.plain)
    coding = coding_of(request, body.plain)
    if coding is None:
        return PreEncodedResponse(body=body.plain, headers=body.headers)
    encoded, more_bytes = body.coded(coding)
    if more_bytes:
        resize(body, more_bytes)
    response = PreEncodedResponse(body=encoded, headers=body.headers)
    response.headers[hdrs.CONTENT_ENCODING] = coding
    response.headers["ETag"] = tag_of_coding(body.headers["ETag"], coding)
    return response


async def cached_value(
    request: web.Request,
    key: CacheKey | None,
    build: Callable[[], Coroutine[Any, Any, _T]],
    size_of: SizeOf[_T],
    version: int | None = None,
) -> _T:
    """A value that is made once for each version of a table.

    Args:
        key: None when the value has no version; then it is made each time.
        size_of: the bytes that the value takes in the cache; None when it is not to be kept.
        version: where the caller has read it already.
    Raises: RequestError.
    """
    cache = request.app[CACHE]
    if version is None and key is not None:
        version = await cache.versions.current(key.publication)
    if key is None or version is None:
        return await build()
    return await cache.share(key, version, build, size_of)
