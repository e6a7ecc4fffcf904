"""All features of a collection as a download."""

from aiohttp import hdrs, web

from geosvc.handlers.cached_answer import CACHE_CONTROL_HEADER
from geosvc.handlers.feature_query import parse_feature_query, reading_rules
from geosvc.handlers.page_answer import read_pieces_of_body
from geosvc.handlers.page_members import content_disposition, page_headers
from geosvc.http.documents import collection_of, negotiate, query_of
from geosvc.http.keys import FORMATS
from geosvc.http.streaming import send_stream
from geosvc.http.validators import refuse_preconditions
from geosvc.query.paging import PageEnd


async def get_export(request: web.Request) -> web.StreamResponse:
    """All features that match, as a download."""
    collection = await collection_of(request)
    values = query_of(request)
    media_type = negotiate(request, values, request.app[FORMATS].export_types)
    rules = reading_rules(request, paged=False)
    feature_query = await parse_feature_query(request, collection, values, media_type, rules)
    refuse_preconditions(request)
    end = PageEnd(None)
    pieces = await read_pieces_of_body(request, feature_query, end, _no_members)
    headers = {
        **page_headers(feature_query),
        **CACHE_CONTROL_HEADER,
        hdrs.CONTENT_DISPOSITION: content_disposition(collection.id, media_type),
    }
    return await send_stream(request, pieces, headers)


def _no_members() -> dict[str, object]:
    """An export has no members beside its features."""
    return {}
