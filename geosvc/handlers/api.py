"""The description of the API. Source: OGC 17-069r4 7.3."""

from aiohttp import hdrs, web

from geosvc.handlers.feature_query import reading_rules
from geosvc.http.documents import parse_document_query, query_of
from geosvc.http.html import html_response
from geosvc.http.keys import CATALOG, PRINCIPAL, SETTINGS
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
    query = parse_document_query(request, offered=API_TYPES)
    follower = request.app[CATALOG]
    catalog = follower.catalog_for(request[PRINCIPAL])
    about = request.app[SETTINGS].about
    rules = reading_rules(request)
    base = base_url(request)
    body = request.app[API_WRITER].write(base, catalog, rules, about)
    headers = {hdrs.CONTENT_TYPE: query.media_type.content_type}
    return web.Response(body=body, headers=headers)


@validated
async def get_api_page(request: web.Request) -> web.Response:
    """The description as a page: Swagger UI, and a plain list where there is no JavaScript."""
    refuse_unknown(query_of(request))
    others = ((OPENAPI, "api"),)
    added_operations = request.app[API_WRITER].parts.operations
    operations = (*OPERATIONS, *added_operations)
    return html_response(request, "api.html", others, operations=operations)
