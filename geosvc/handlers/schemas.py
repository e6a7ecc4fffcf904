"""What the features of a collection have, and what they can be filtered and sorted by. Source: OGC 23-058r2 10 to 12."""

from aiohttp import web

from geosvc.encode.feature_schema import describe_feature
from geosvc.encode.schemas import describe_schemas
from geosvc.handlers.documents import FALLBACK_TEMPLATE, collection_of, document_response, negotiate, query_of
from geosvc.handlers.validators import validated
from geosvc.keys import CATALOG
from geosvc.links import base_url, collection_url
from geosvc.model.media_type import HTML, SCHEMA, SCHEMA_TYPES
from geosvc.requests.items import refuse_unknown

TITLES = {
    "schema": "what features have",
    "schema/feature": "what a feature is",
    "queryables": "what a filter may name",
    "sortables": "what sortby may name",
}


@validated
async def get_schema(request: web.Request) -> web.Response:
    """Every property, and which of them can be written."""
    return await _describe(request, "schema")


@validated
async def get_queryables(request: web.Request) -> web.Response:
    """What a filter may name."""
    return await _describe(request, "queryables")


@validated
async def get_sortables(request: web.Request) -> web.Response:
    """What `sortby` may name."""
    return await _describe(request, "sortables")


@validated
async def get_feature_schema(request: web.Request) -> web.Response:
    """What a feature looks like as GeoJSON."""
    return await _describe(request, "schema/feature")


async def _describe(request: web.Request, what: str) -> web.Response:
    values = query_of(request)
    refuse_unknown(values)
    media_type = negotiate(request, values, SCHEMA_TYPES)
    collection = await collection_of(request)
    schemas = describe_schemas(request.app[CATALOG].collections())
    url = f"{collection_url(base_url(request), collection)}/{what}"
    describe = {
        "schema": schemas.schema,
        "queryables": schemas.queryables,
        "sortables": schemas.sortables,
        "schema/feature": describe_feature,
    }[what]
    title = f"{collection.title}: {TITLES[what]}"
    template = FALLBACK_TEMPLATE if what == "schema/feature" else "schema.html"
    json_type = SCHEMA if media_type is HTML else media_type
    return document_response(request, describe(url, collection), template, json_type, title=title)
