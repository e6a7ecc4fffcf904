"""Features: a page of them, one of them, all of them. Each handler reads straight down: parse, plan, run, encode, send.

Source: OGC 17-069r4 7.15 and 7.16.
"""

from collections.abc import Mapping, Sequence
from time import perf_counter

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
    describe_page,
    encode_batches,
    is_large,
    reading_rules,
    whole_count,
)
from geosvc.handlers.readings import ITEMS_ASKED, PAGES_ASKED, AskedItem, AskedPage, Place, place_of
from geosvc.handlers.streaming import send_stream
from geosvc.handlers.versions import (
    UNVERSIONED,
    VARY,
    count_at_version,
    is_known,
    is_whole,
    kept_response,
    not_modified,
    page_question,
    question_about,
)
from geosvc.handlers.writing import cached_validators, representation, validators
from geosvc.keys import CACHE, DATABASE, LOOKUPS, SETTINGS, TRACE
from geosvc.links import base_url, queryables_header
from geosvc.live.body import Body
from geosvc.live.cache import Question
from geosvc.model.collection import Collection
from geosvc.model.feature import StoredFeature
from geosvc.model.media_type import EXPORT_TYPES, ITEM_TYPES, ITEMS_TYPES, MediaType
from geosvc.query.features import select_item, select_items
from geosvc.query.paging import PageEnd, check_cursor
from geosvc.requests.feature_id import parse_feature_id
from geosvc.requests.items import ItemsRequest, ReadingRules, parse_item_request, parse_items_request
from geosvc.requests.negotiation import negotiate_media_type
from geosvc.requests.preconditions import parse_preconditions


def parse_reading(request: web.Request, collection: Collection, offered: Sequence[MediaType], rules: ReadingRules) -> Reading:
    """Raises: RequestError."""
    values = query_of(request)
    wanted = parse_items_request(values, collection, rules)
    media_type = negotiate_media_type(values.get("f"), request.headers.get(hdrs.ACCEPT), offered)
    check_cursor(collection, wanted)
    return Reading(collection, values, wanted, media_type, base_url(request))


def recall(request: web.Request, collection: Collection) -> AskedPage | None:
    """What a request for a page asks for, if it was asked before."""
    return request.app[PAGES_ASKED].find(place_of(request, collection, request.raw_path))


def read_asked(request: web.Request, collection: Collection) -> AskedPage:
    """The same for one that comes for the first time. Raises: RequestError."""
    reading = parse_reading(request, collection, ITEMS_TYPES, reading_rules(request))
    headers = {**page_headers(reading), **UNVERSIONED}
    large = is_large(reading, request.app[SETTINGS].stream_above_rows)
    asked = AskedPage(reading, headers, large, page_question(request, reading))
    request.app[PAGES_ASKED].keep(place_of(request, collection, request.raw_path), asked)
    return asked


async def send_items(request: web.Request, asked: AskedPage) -> web.StreamResponse:
    """A page of features: of a published table with the ETag of its version, from memory if it is there."""
    question, cache = asked.question, request.app[CACHE]
    token = await cache.versions.current(question.publication) if question is not None else None
    if question is None or token is None:
        return await send_page(request, asked.reading, asked.headers)
    etag = asked.etag(token)
    if is_known(request.headers, etag):
        return not_modified(etag)
    body = cache.find(question, token)
    if body is None:
        headers = {**asked.headers, "ETag": etag}
        if asked.large:
            return await send_page(request, asked.reading, headers, token)
        headers |= VARY
        asked_at = perf_counter()
        body = await cache.share(question, token, lambda: make_page(request, asked.reading, headers, token), weigh_page)
        request[TRACE].take_waiting(asked_at)
    return kept_response(request, question, body)


def weigh_page(body: Body) -> int | None:
    """The bytes of a page; None when it is not to be kept."""
    return body.size_bytes if body.lasting else None


async def send_page(
    request: web.Request, reading: Reading, headers: Mapping[str, str], token: int | None = None
) -> web.StreamResponse:
    """The features that were asked for: a small page in one piece, a large one as a stream.

    Args:
        token: the version of the table, if it is known.
    """
    if not is_large(reading, request.app[SETTINGS].stream_above_rows):
        body = await make_page(request, reading, headers, token)
        return web.Response(body=body.plain, headers=headers)
    page = select_items(reading.collection, reading.wanted, reading.media_type)
    encoder = make_encoder(reading.media_type, page.header)
    end = PageEnd(reading.wanted.limit)
    # counted first: a request that holds one connection must not wait for another
    count = await count_at_version(request, reading, token)
    batches = stream_features(request.app[DATABASE], page, batch_size(request, reading.collection))
    pieces = encode_batches(batches, encoder, end, lambda: describe_page(reading, end, whole_count(reading, end) or count))
    return await send_stream(request, pieces, headers)


async def make_page(request: web.Request, reading: Reading, headers: Mapping[str, str], token: int | None) -> Body:
    """A page of features in one piece. Raises: RequestError."""
    page = select_items(reading.collection, reading.wanted, reading.media_type)
    encoder = make_encoder(reading.media_type, page.header)
    end = PageEnd(reading.wanted.limit)
    rows = end.take(await fetch_features(request.app[DATABASE], page))
    count = await count_at_version(request, reading, token, end)
    features = encoder.batch(rows) if rows else b""
    plain = encoder.begin() + features + encoder.end(describe_page(reading, end, count))
    return Body(plain, headers, lasting=is_whole(reading.wanted, count))


def page_headers(reading: Reading) -> dict[str, str]:
    """The headers of a page: what it is, what its coordinates are in, and what it can be filtered by."""
    return {hdrs.CONTENT_TYPE: reading.media_type.content_type, **content_crs(reading.wanted), **filterable(reading)}


def filterable(reading: Reading) -> dict[str, str]:
    """The header that leads from what can be filtered to what it can be filtered by."""
    return {hdrs.LINK: queryables_header(reading.base, reading.collection)}


async def get_export(request: web.Request) -> web.StreamResponse:
    """All features that match, as a download."""
    collection = await collection_of(request)
    reading = parse_reading(request, collection, EXPORT_TYPES, reading_rules(request, paged=False))
    page = select_items(reading.collection, reading.wanted, reading.media_type)
    encoder = make_encoder(reading.media_type, page.header)
    batches = stream_features(request.app[DATABASE], page, batch_size(request, reading.collection))
    pieces = encode_batches(batches, encoder, PageEnd(None), dict)
    return await send_stream(
        request,
        pieces,
        {
            **page_headers(reading),
            hdrs.CONTENT_DISPOSITION: content_disposition(reading.collection.id, reading.media_type),
        },
    )


async def get_item(request: web.Request) -> web.Response:
    """One feature."""
    collection = await collection_of(request)
    place = place_of(request, collection, request.rel_url.raw_query_string)
    asked = request.app[ITEMS_ASKED].find(place) or read_asked_item(request, collection, place)
    feature_id = request.match_info["featureId"]
    question = asked.question(feature_id)
    token = None
    if question is not None:
        kept = await find_kept(request, question)
        if kept is not None:
            return item_response(request, question, kept)
        token = request.app[CACHE].versions.last_known(question.publication)  # a change since then is no harm: see `offer`
    feature = await find_feature(request, collection, asked.wanted, parse_feature_id(feature_id, collection))
    if feature is None or feature.text is None:
        raise NotFound(f"{collection.id} has no feature {feature_id!r}")
    headers, text = representation(asked.base, collection, feature_id, feature.text, asked.wanted.geometry.crs)
    headers = {**headers, **validators(feature), **UNVERSIONED, **(VARY if question is not None else {})}
    body = Body(text, headers, StoredFeature(None, feature.version, feature.modified))
    if question is not None:
        request.app[CACHE].offer(question, token, body, body.size_bytes + len(feature_id))
    return item_response(request, question, body)


def read_asked_item(request: web.Request, collection: Collection, place: Place) -> AskedItem:
    """What a request for one feature asks for. Raises: RequestError."""
    values = query_of(request)
    wanted = parse_item_request(values, collection, reading_rules(request))
    negotiate_media_type(values.get("f"), request.headers.get(hdrs.ACCEPT), ITEM_TYPES)
    base = base_url(request)
    asked = AskedItem(collection, wanted, base, question_about(request, "item", collection, wanted, base))
    request.app[ITEMS_ASKED].keep(place, asked)
    return asked


async def find_kept(request: web.Request, question: Question) -> Body | None:
    """A feature from memory. The version is asked for only where there is something that could be of it."""
    cache = request.app[CACHE]
    if not cache.holds(question):
        return None
    token = await cache.versions.current(question.publication)
    kept: Body | None = cache.find(question, token) if token is not None else None
    return kept


def item_response(request: web.Request, question: Question | None, body: Body) -> web.Response:
    """The answer with a feature, or that the client has it. Raises: InvalidParameter."""
    if body.feature is not None and parse_preconditions(request.headers).is_cached(body.feature):
        cached = cached_validators(body.feature, request.headers.get(hdrs.IF_NONE_MATCH))
        return web.Response(status=304, headers={"Content-Crs": body.headers["Content-Crs"], **cached, **UNVERSIONED})
    if question is None:
        return web.Response(body=body.plain, headers=body.headers)
    return kept_response(request, question, body)


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
