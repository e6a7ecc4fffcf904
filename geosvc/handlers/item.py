"""One feature. Source: OGC 17-069r4 7.16."""

from collections.abc import Mapping
from functools import partial

from aiohttp import web

from geosvc.caching.response import CachedResponse
from geosvc.handlers.cached_answer import CACHE_CONTROL_HEADER, cache_key_of, cached_answer
from geosvc.handlers.feature_lookup import get_feature
from geosvc.handlers.feature_query import reading_rules
from geosvc.handlers.item_html import answer_item_page
from geosvc.handlers.parsed_requests import PARSED_ITEMS, ParsedItemRequest, request_key
from geosvc.handlers.write_answers import representation, validators
from geosvc.http.documents import collection_of, negotiate, query_of
from geosvc.http.links import base_url
from geosvc.model.collection import Collection
from geosvc.model.feature import StoredFeature
from geosvc.model.media_type import HTML, ITEM_TYPES
from geosvc.requests.items import parse_item_query


async def get_item(request: web.Request) -> web.StreamResponse:
    """One feature, in the representation that is negotiated first."""
    collection = await collection_of(request)
    key = request_key(request, collection, request.rel_url.raw_query_string)
    parsed = request.app[PARSED_ITEMS].find(key)
    if parsed is None:
        values = query_of(request)
        if negotiate(request, values, ITEM_TYPES) is HTML:
            return await answer_item_page(request, collection, values)
        parsed = _parse(request, collection, values)
        request.app[PARSED_ITEMS].keep(key, parsed)
    feature_id = request.match_info["featureId"]
    build = partial(_build, request, parsed, feature_id)
    return await cached_answer(request, parsed.cache_key(feature_id), build)


def _parse(
    request: web.Request, collection: Collection, values: Mapping[str, str]
) -> ParsedItemRequest:
    """Raises: RequestError."""
    query = parse_item_query(values, collection, reading_rules(request))
    base = base_url(request)
    shared_key = cache_key_of(request, "item", collection, query, base)
    return ParsedItemRequest(collection, query, base, shared_key)


async def _build(
    request: web.Request, parsed: ParsedItemRequest, feature_id: str, _: int | None
) -> CachedResponse:
    """A feature with its validators. Raises: RequestError, NotFound among them."""
    collection, query = parsed.collection, parsed.query
    feature, stored = await get_feature(request, collection, query, feature_id)
    headers, text = representation(parsed.base, collection, feature_id, stored, query.geometry.crs)
    if not feature.version:
        return CachedResponse(text, {**headers, **CACHE_CONTROL_HEADER})
    own = StoredFeature(None, feature.version, feature.modified)
    return CachedResponse(text, {**headers, **validators(feature), **CACHE_CONTROL_HEADER}, own)
