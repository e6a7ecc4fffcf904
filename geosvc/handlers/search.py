"""Features by a posted geometry."""

from aiohttp import hdrs, web

from geosvc.errors import InvalidFilter
from geosvc.handlers.bodies import media_type_of, read_body
from geosvc.handlers.documents import collection_of, query_of
from geosvc.handlers.features import page_headers, send_page
from geosvc.handlers.pages import Reading, reading_rules
from geosvc.keys import SETTINGS
from geosvc.links import base_url
from geosvc.model.media_type import EXPORT_TYPES, GEOJSON
from geosvc.query.paging import check_cursor
from geosvc.requests.items import refuse_unknown
from geosvc.requests.negotiation import negotiate_media_type
from geosvc.requests.search import parse_search


async def search_items(request: web.Request) -> web.StreamResponse:
    """A page of the features that lie to the posted geometry as its body says."""
    settings = request.app[SETTINGS]
    collection = await collection_of(request)
    values = query_of(request)
    refuse_unknown(values)
    media_type = negotiate_media_type(values.get("f"), request.headers.get(hdrs.ACCEPT), EXPORT_TYPES)
    media_type_of(request, (GEOJSON,))
    body = await read_body(request, settings.max_feature_bytes)
    wanted = parse_search(body, collection, reading_rules(request), settings.max_vertices)
    check_cursor(collection, wanted)
    try:
        reading = Reading(collection, values, wanted, media_type, base_url(request), posted=True)
        return await send_page(request, reading, page_headers(reading))
    except InvalidFilter as error:
        error.pointer = error.pointer or "/filter"  # one in text knows its own places only
        raise
