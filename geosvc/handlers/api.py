"""The description of the API. Source: OGC 17-069r4 7.3."""

from aiohttp import hdrs, web

from geosvc.handlers.documents import query_of
from geosvc.handlers.html import html_response
from geosvc.handlers.pages import reading_rules
from geosvc.handlers.validators import validated
from geosvc.keys import CATALOG
from geosvc.links import base_url
from geosvc.model.media_type import JSON, OPENAPI
from geosvc.openapi import ApiWriter
from geosvc.openapi.operations import OPERATIONS
from geosvc.requests.items import refuse_unknown
from geosvc.requests.negotiation import negotiate_media_type

API_TYPES = (OPENAPI, JSON)
_writer = ApiWriter()


@validated
async def get_api(request: web.Request) -> web.Response:
    """What can be asked for, as OpenAPI 3.0."""
    values = query_of(request)
    refuse_unknown(values)
    media_type = negotiate_media_type(values.get("f"), request.headers.get(hdrs.ACCEPT), API_TYPES)
    body = _writer.write(base_url(request), request.app[CATALOG].catalog, reading_rules(request))
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: media_type.content_type})


async def get_api_page(request: web.Request) -> web.Response:
    """The description for people: Swagger UI, and a plain list where there is no JavaScript."""
    refuse_unknown(query_of(request))
    return html_response(request, "api.html", ((OPENAPI, "api"),), operations=OPERATIONS)
