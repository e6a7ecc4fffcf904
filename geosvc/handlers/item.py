"""One feature. Source: OGC 17-069r4 7.16."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from geosvc.caching.cache_key import CacheKey
from geosvc.caching.response import CachedResponse
from geosvc.handlers.cached_answer import (
    CACHE_CONTROL_HEADER,
    answer_with_own_validators,
    cache_key_of,
)
from geosvc.handlers.feature_lookup import get_feature
from geosvc.handlers.feature_query import reading_rules
from geosvc.handlers.item_html import answer_item_page
from geosvc.handlers.parsed_requests import ParsedRequestCache, request_key
from geosvc.handlers.write_answers import representation, validators
from geosvc.http.documents import collection_of, negotiate, query_of
from geosvc.http.keys import CODE_VERSION, FORMATS
from geosvc.http.links import base_url, item_links
from geosvc.model.collection import Collection
from geosvc.model.feature import StoredFeature
from geosvc.model.media_type import HTML, MediaType
from geosvc.query.feature_format import FeatureFormat
from geosvc.requests.items import ItemsQuery, parse_item_query


@dataclass(frozen=True, slots=True)
class ParsedItemRequest:
    """A request for one feature, parsed but for the id.

    Attributes:
        item_types: all media types of a feature.
        shared_key: the part of the cache key that all features share; None when they have no
            version.
    """

    collection: Collection
    query: ItemsQuery
    format: FeatureFormat
    item_types: tuple[MediaType, ...]
    base: str
    shared_key: CacheKey | None

    def cache_key(self, feature_id: str) -> CacheKey | None:
        """The cache key of the answer about a feature; None when it has no version."""
        shared = self.shared_key
        if shared is None:
            return None
        return CacheKey(shared.kind, shared.publication, f"{shared.digest} {feature_id}")


PARSED_ITEMS = web.AppKey("parsed_items", ParsedRequestCache[ParsedItemRequest])


async def get_item(request: web.Request) -> web.StreamResponse:
    """One feature, in the representation that is negotiated first."""
    collection = await collection_of(request)
    key = request_key(request, collection, request.rel_url.raw_query_string)
    parsed_items = request.app[PARSED_ITEMS]
    parsed = parsed_items.find(key)
    if parsed is None:
        values = query_of(request)
        item_types = request.app[FORMATS].item_types
        media_type = negotiate(request, values, item_types)
        if media_type is HTML:
            return await answer_item_page(request, collection, values)
        parsed = _parse(request, collection, values, media_type)
        parsed_items.keep(key, parsed)
    feature_id = request.match_info["featureId"]
    cache_key = parsed.cache_key(feature_id)
    build = partial(_build, request, parsed, feature_id)
    return await answer_with_own_validators(request, cache_key, build)


def _parse(
    request: web.Request,
    collection: Collection,
    values: Mapping[str, str],
    media_type: MediaType,
) -> ParsedItemRequest:
    """Raises: RequestError."""
    query = parse_item_query(values, collection, reading_rules(request))
    base, formats = base_url(request), request.app[FORMATS]
    shared_key = cache_key_of(request, "item", collection, query, base, media_type.essence)
    return ParsedItemRequest(
        collection, query, formats.find(media_type), formats.item_types, base, shared_key
    )


async def _build(
    request: web.Request,
    parsed: ParsedItemRequest,
    feature_id: str,
    _: int | None,
) -> CachedResponse:
    """A feature with its validators. Raises: RequestError, NotFound among them."""
    collection = parsed.collection
    query = parsed.query
    feature_format = parsed.format
    media_type = feature_format.media_type
    feature, stored = await get_feature(request, collection, query, feature_id, feature_format)
    links = item_links(parsed.base, collection, feature_id, media_type, parsed.item_types)
    headers, text = representation(feature_format, stored, links, query.geometry.crs)
    headers |= CACHE_CONTROL_HEADER
    if not feature.version:
        return CachedResponse(text, headers)
    headers |= validators(feature, media_type, request.app[CODE_VERSION])
    validators_only = StoredFeature(None, feature.version, feature.modified)
    return CachedResponse(text, headers, validators_only)
