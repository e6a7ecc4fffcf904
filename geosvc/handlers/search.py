"""Features that match a posted geometry and filter."""

from aiohttp import web

from geosvc.errors import InvalidFilter
from geosvc.handlers.cached_answer import CACHE_CONTROL_HEADER
from geosvc.handlers.feature_query import FeatureQuery, reading_rules
from geosvc.handlers.page_answer import send_page
from geosvc.handlers.page_members import page_headers
from geosvc.http.documents import collection_of, negotiate, query_of
from geosvc.http.keys import FORMATS, OFFLOAD, PLANS, PRINCIPAL, SETTINGS
from geosvc.http.links import base_url
from geosvc.http.request_body import media_type_of, read_body
from geosvc.model.media_type import GEOJSON
from geosvc.requests.filters import WEIGHT
from geosvc.requests.parameter_values import refuse_unknown
from geosvc.requests.search import parse_search


async def search_items(request: web.Request) -> web.StreamResponse:
    """A page of the features that match the posted body."""
    feature_query = await _parse(request)
    headers = {
        **page_headers(feature_query),
        **CACHE_CONTROL_HEADER,
    }
    try:
        return await send_page(request, feature_query, headers)
    except InvalidFilter as error:
        # a filter in text knows only the positions in its own text
        error.pointer = error.pointer or "/filter"
        raise


async def _parse(request: web.Request) -> FeatureQuery:
    """Raises: RequestError."""
    settings = request.app[SETTINGS]
    offload = request.app[OFFLOAD]
    collection = await collection_of(request)
    values = query_of(request)
    refuse_unknown(values)
    formats = request.app[FORMATS]
    media_type = negotiate(request, values, formats.export_types)
    media_type_of(request, (GEOJSON,))
    body = await read_body(request, settings.max_search_bytes, "MAX_SEARCH_BYTES")
    weight = WEIGHT * len(body)
    rules = reading_rules(request)
    max_vertices = settings.max_vertices
    query = await offload.run(weight, parse_search, body, collection, rules, max_vertices)
    feature_query = FeatureQuery(
        request[PRINCIPAL],
        collection,
        values,
        query,
        media_type,
        formats,
        request.app[PLANS],
        base_url(request),
        posted=True,
    )
    feature_query.check_cursor()
    return feature_query
