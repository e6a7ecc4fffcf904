"""A page of the features of a collection. Source: OGC 17-069r4 7.15."""

from collections.abc import Mapping
from functools import partial

from aiohttp import web

from geosvc.caching.response import CachedResponse
from geosvc.handlers.cached_answer import CACHE_CONTROL_HEADER, Stream, cached_answer
from geosvc.handlers.feature_query import is_large, parse_feature_query, reading_rules
from geosvc.handlers.items_html import answer_items_page
from geosvc.handlers.page_answer import build_page, stream_page
from geosvc.handlers.page_members import page_headers
from geosvc.handlers.parsed_requests import (
    PARSED_PAGES,
    ParsedPageRequest,
    page_cache_key,
    request_key,
)
from geosvc.http.documents import collection_of, negotiate, query_of
from geosvc.http.keys import FORMATS, SETTINGS
from geosvc.model.collection import Collection
from geosvc.model.media_type import HTML, MediaType


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
    build = partial(_build, request, parsed)
    stream: Stream | None = None
    if parsed.large:
        stream = partial(_stream, request, parsed)
    return await cached_answer(request, parsed.cache_key, build, stream, parsed.etag)


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
        cache_key=page_cache_key(request, feature_query),
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
