"""The description of the API. Source: OGC 17-069r4 7.3."""

from aiohttp import hdrs, web

from geosvc.handlers.feature_query import reading_rules
from geosvc.http.documents import negotiate, query_of
from geosvc.http.html import html_response
from geosvc.http.keys import CATALOG, SETTINGS
from geosvc.http.links import base_url
from geosvc.http.validators import validated
from geosvc.model.media_type import JSON, OPENAPI
from geosvc.openapi import ApiWriter
from geosvc.openapi.operations import OPERATIONS
from geosvc.requests.parameter_values import refuse_unknown

API_TYPES = (OPENAPI, JSON)
API_WRITER = web.AppKey("api_writer", ApiWriter)


@validated
async def get_api(request: web.Request) -> web.Response:
    """The OpenAPI 3.0 description."""
    values = query_of(request)
    refuse_unknown(values)
    media_type = negotiate(request, values, API_TYPES)
    catalog, about = request.app[CATALOG].catalog, request.app[SETTINGS].about
    body = request.app[API_WRITER].write(base_url(request), catalog, reading_rules(request), about)
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: media_type.content_type})


@validated
async def get_api_page(request: web.Request) -> web.Response:
    """The description as a page: Swagger UI, and a plain list where there is no JavaScript."""
    refuse_unknown(query_of(request))
    operations = (*OPERATIONS, *request.app[API_WRITER].parts.operations)
    return html_response(request, "api.html", ((OPENAPI, "api"),), operations=operations)
