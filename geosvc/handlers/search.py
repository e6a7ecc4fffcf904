"""Features that match a posted geometry and filter."""

from aiohttp import web

from geosvc.errors import InvalidFilter
from geosvc.handlers.cached_answer import CACHE_CONTROL_HEADER
from geosvc.handlers.feature_query import FeatureQuery, reading_rules
from geosvc.handlers.page_answer import send_page
from geosvc.handlers.page_members import page_headers
from geosvc.http.documents import collection_of, negotiate, query_of
from geosvc.http.keys import FORMATS, OFFLOAD, SETTINGS
from geosvc.http.links import base_url
from geosvc.http.request_body import media_type_of, read_body
from geosvc.model.media_type import GEOJSON
from geosvc.query.paging import check_cursor
from geosvc.requests.filters import WEIGHT
from geosvc.requests.parameter_values import refuse_unknown
from geosvc.requests.search import parse_search


async def search_items(request: web.Request) -> web.StreamResponse:
    """A page of the features that match the posted body."""
    settings = request.app[SETTINGS]
    collection = await collection_of(request)
    values = query_of(request)
    refuse_unknown(values)
    media_type = negotiate(request, values, request.app[FORMATS].export_types)
    media_type_of(request, (GEOJSON,))
    body = await read_body(request, settings.max_search_bytes, "MAX_SEARCH_BYTES")
    offload, rules = request.app[OFFLOAD], reading_rules(request)
    query = await offload.run(
        WEIGHT * len(body), parse_search, body, collection, rules, settings.max_vertices
    )
    check_cursor(collection, query)
    feature_query = FeatureQuery(
        collection,
        values,
        query,
        media_type,
        request.app[FORMATS],
        base_url(request),
        posted=True,
    )
    headers = {**page_headers(feature_query), **CACHE_CONTROL_HEADER}
    try:
        return await send_page(request, feature_query, headers)
    except InvalidFilter as error:
        # a filter in text knows only the positions in its own text
        error.pointer = error.pointer or "/filter"
        raise
