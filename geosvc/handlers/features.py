"""Features: a page of them, one of them, all of them. Each handler reads straight down: parse, plan, run, encode, send.

Source: OGC 17-069r4 7.15 and 7.16.
"""

from collections.abc import Sequence

from aiohttp import hdrs, web

from geosvc.database.features import fetch_features, fetch_item, stream_features
from geosvc.encode.features import make_encoder
from geosvc.errors import InvalidValue, NotFound
from geosvc.handlers.documents import collection_of, query_of
from geosvc.handlers.pages import (
    Reading,
    batch_size,
    content_crs,
    content_disposition,
    count_matching,
    describe_page,
    encode_batches,
    is_large,
    reading_rules,
    whole_count,
)
from geosvc.handlers.streaming import send_stream
from geosvc.handlers.writing import cached_validators, representation, validators
from geosvc.keys import DATABASE, LOOKUPS, SETTINGS
from geosvc.links import base_url, queryables_header
from geosvc.model.collection import Collection
from geosvc.model.feature import StoredFeature
from geosvc.model.media_type import EXPORT_TYPES, ITEM_TYPES, ITEMS_TYPES, MediaType
from geosvc.query.features import select_item, select_items
from geosvc.query.paging import PageEnd, check_cursor
from geosvc.requests.feature_id import parse_feature_id
from geosvc.requests.items import ItemsRequest, ReadingRules, parse_item_request, parse_items_request
from geosvc.requests.negotiation import negotiate_media_type
from geosvc.requests.preconditions import parse_preconditions


async def parse_reading(request: web.Request, offered: Sequence[MediaType], rules: ReadingRules) -> Reading:
    """Raises: RequestError."""
    collection = await collection_of(request)
    values = query_of(request)
    wanted = parse_items_request(values, collection, rules)
    media_type = negotiate_media_type(values.get("f"), request.headers.get(hdrs.ACCEPT), offered)
    check_cursor(collection, wanted)
    return Reading(collection, values, wanted, media_type, base_url(request))


async def get_items(request: web.Request) -> web.StreamResponse:
    """A page of features."""
    return await send_page(request, await parse_reading(request, ITEMS_TYPES, reading_rules(request)))


async def send_page(request: web.Request, reading: Reading) -> web.StreamResponse:
    """The features that were asked for: a small page in one piece, a large one as a stream."""
    settings = request.app[SETTINGS]
    page = select_items(reading.collection, reading.wanted, reading.media_type)
    encoder = make_encoder(reading.media_type, page.header)
    end = PageEnd(reading.wanted.limit)
    headers = {hdrs.CONTENT_TYPE: reading.media_type.content_type, **content_crs(reading.wanted), **filterable(reading)}
    if is_large(reading, settings.stream_above_rows):
        # counted first: a request that holds one connection must not wait for another
        count = await count_matching(request, reading)
        batches = stream_features(request.app[DATABASE], page, batch_size(request, reading.collection))
        pieces = encode_batches(batches, encoder, end, lambda: describe_page(reading, end, whole_count(reading, end) or count))
        return await send_stream(request, pieces, headers)
    rows = end.take(await fetch_features(request.app[DATABASE], page))
    count = await count_matching(request, reading, end)
    features = encoder.batch(rows) if rows else b""
    body = encoder.begin() + features + encoder.end(describe_page(reading, end, count))
    return web.Response(body=body, headers=headers)


def filterable(reading: Reading) -> dict[str, str]:
    """The header that leads from what can be filtered to what it can be filtered by."""
    return {hdrs.LINK: queryables_header(reading.base, reading.collection)}


async def get_export(request: web.Request) -> web.StreamResponse:
    """All features that match, as a download."""
    reading = await parse_reading(request, EXPORT_TYPES, reading_rules(request, paged=False))
    page = select_items(reading.collection, reading.wanted, reading.media_type)
    encoder = make_encoder(reading.media_type, page.header)
    batches = stream_features(request.app[DATABASE], page, batch_size(request, reading.collection))
    pieces = encode_batches(batches, encoder, PageEnd(None), dict)
    return await send_stream(
        request,
        pieces,
        {
            hdrs.CONTENT_TYPE: reading.media_type.content_type,
            hdrs.CONTENT_DISPOSITION: content_disposition(reading.collection.id, reading.media_type),
            **content_crs(reading.wanted),
            **filterable(reading),
        },
    )


async def get_item(request: web.Request) -> web.Response:
    """One feature."""
    collection = await collection_of(request)
    values = query_of(request)
    wanted = parse_item_request(values, collection, reading_rules(request))
    negotiate_media_type(values.get("f"), request.headers.get(hdrs.ACCEPT), ITEM_TYPES)
    feature_id = request.match_info["featureId"]
    key = parse_feature_id(feature_id, collection)
    feature = await find_feature(request, collection, wanted, key)
    if feature is None or feature.text is None:
        raise NotFound(f"{collection.id} has no feature {feature_id!r}")
    if parse_preconditions(request.headers).is_cached(feature):
        cached = cached_validators(feature, request.headers.get(hdrs.IF_NONE_MATCH))
        return web.Response(status=304, headers={**content_crs(wanted), **cached})
    headers, body = representation(base_url(request), collection, feature_id, feature.text, wanted.geometry.crs)
    return web.Response(body=body, headers={**headers, **validators(feature)})


async def find_feature(
    request: web.Request, collection: Collection, wanted: ItemsRequest, key: Sequence[str]
) -> StoredFeature | None:
    """A feature; None when there is none, or when the key is none that the table could hold."""
    try:
        if len(key) == 1:
            return await request.app[LOOKUPS].get(collection, wanted, key[0])
        return await fetch_item(request.app[DATABASE], select_item(collection, wanted, key))
    except InvalidValue:
        if collection.parameters is not None:
            raise  # the arguments of the function may be what is wrong
        return None
