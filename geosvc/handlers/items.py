"""A page of the features of a collection. Source: OGC 17-069r4 7.15."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from geosvc.caching.cache_key import CacheKey
from geosvc.caching.response import CachedResponse
from geosvc.handlers.cached_answer import (
    CACHE_CONTROL_HEADER,
    Stream,
    answer_with_version,
    cache_key_of,
    tag_of_version,
)
from geosvc.handlers.feature_query import (
    FeatureQuery,
    is_large,
    parse_feature_query,
    reading_rules,
)
from geosvc.handlers.items_html import answer_items_page
from geosvc.handlers.page_answer import build_page, send_page, stream_page
from geosvc.handlers.page_members import page_headers
from geosvc.handlers.parsed_requests import ParsedRequestCache, request_key
from geosvc.http.documents import collection_of, negotiate, query_of
from geosvc.http.keys import FORMATS, SETTINGS
from geosvc.http.validators import refuse_preconditions
from geosvc.model.collection import Collection
from geosvc.model.media_type import HTML, MediaType


@dataclass(slots=True)
class ParsedPageRequest:
    """A request for a page, parsed.

    Attributes:
        headers: of every answer to it.
        large: whether the answer is streamed.
        cache_key: None when the answers have no version.
    """

    feature_query: FeatureQuery
    headers: Mapping[str, str]
    large: bool
    cache_key: CacheKey | None
    _version: int | None = None
    _etag: str = ""

    def etag(self, version: int) -> str:
        """The weak ETag of the answer at a version."""
        if version != self._version and self.cache_key is not None:
            self._version = version
            self._etag = tag_of_version(self.cache_key, version)
        return self._etag


PARSED_PAGES = web.AppKey("parsed_pages", ParsedRequestCache[ParsedPageRequest])


async def get_items(request: web.Request) -> web.StreamResponse:
    """A page of features, in the representation that is negotiated first."""
    collection = await collection_of(request)
    key = request_key(request, collection, request.raw_path)
    parsed_pages = request.app[PARSED_PAGES]
    parsed = parsed_pages.find(key)
    if parsed is None:
        values = query_of(request)
        media_type = negotiate(request, values, request.app[FORMATS].items_types)
        if media_type is HTML:
            return await answer_items_page(request, collection, values)
        parsed = await _parse(request, collection, values, media_type)
        parsed_pages.keep(key, parsed)
    if parsed.cache_key is None:
        refuse_preconditions(request)
        return await send_page(request, parsed.feature_query, parsed.headers)
    build = partial(_build, request, parsed)
    stream: Stream | None = None
    if parsed.large:
        stream = partial(_stream, request, parsed)
    return await answer_with_version(request, parsed.cache_key, build, stream, parsed.etag)


async def _parse(
    request: web.Request,
    collection: Collection,
    values: Mapping[str, str],
    media_type: MediaType,
) -> ParsedPageRequest:
    """Raises: RequestError."""
    rules = reading_rules(request)
    feature_query = await parse_feature_query(request, collection, values, media_type, rules)
    stream_above_rows = request.app[SETTINGS].stream_above_rows
    return ParsedPageRequest(
        feature_query,
        headers={**page_headers(feature_query), **CACHE_CONTROL_HEADER},
        large=is_large(feature_query, stream_above_rows),
        cache_key=_cache_key(request, feature_query),
    )


def _cache_key(request: web.Request, feature_query: FeatureQuery) -> CacheKey | None:
    """The cache key of a page; None when it has no version.

    A page has no version when the collection is not published, and when the filter depends on the
    time of day. `f` is a part of it, since the links of a page repeat it.
    """
    query = feature_query.query
    if query.filter is not None and not query.filter.is_immutable:
        return None
    return cache_key_of(
        request,
        "page",
        feature_query.collection,
        query,
        feature_query.media_type.essence,
        feature_query.values.get("f"),
        feature_query.base,
    )


async def _build(
    request: web.Request,
    parsed: ParsedPageRequest,
    version: int | None,
) -> CachedResponse:
    return await build_page(request, parsed.feature_query, parsed.headers, version)


async def _stream(
    request: web.Request,
    parsed: ParsedPageRequest,
    version: int | None,
    validators: Mapping[str, str],
) -> web.StreamResponse:
    headers = {**parsed.headers, **validators}
    return await stream_page(request, parsed.feature_query, headers, version)
