"""The schemas of a collection: its properties, and those to filter and sort by.

Source: OGC 23-058r2 10 to 12.
"""

from aiohttp import web

from geosvc.encode.collection_schema import describe_schemas
from geosvc.encode.feature_schema import describe_feature
from geosvc.http.documents import (
    FALLBACK_TEMPLATE,
    collection_of,
    document_response,
    negotiate,
    query_of,
)
from geosvc.http.keys import CATALOG
from geosvc.http.links import base_url, collection_url
from geosvc.http.validators import validated
from geosvc.model.media_type import HTML, SCHEMA, SCHEMA_TYPES
from geosvc.requests.parameter_values import refuse_unknown

TITLES = {
    "schema": "schema of the properties",
    "schema/feature": "schema of a GeoJSON feature",
    "queryables": "queryables",
    "sortables": "sortables",
}


@validated
async def get_schema(request: web.Request) -> web.Response:
    """The properties, and which of them can be written."""
    return await _answer_schema(request, "schema")


@validated
async def get_queryables(request: web.Request) -> web.Response:
    """The properties that a filter may name."""
    return await _answer_schema(request, "queryables")


@validated
async def get_sortables(request: web.Request) -> web.Response:
    """The properties that `sortby` may name."""
    return await _answer_schema(request, "sortables")


@validated
async def get_feature_schema(request: web.Request) -> web.Response:
    """A feature as GeoJSON."""
    return await _answer_schema(request, "schema/feature")


async def _answer_schema(request: web.Request, path: str) -> web.Response:
    """A schema.

    Args:
        path: of the schema below the collection.
    """
    values = query_of(request)
    refuse_unknown(values)
    media_type = negotiate(request, values, SCHEMA_TYPES)
    collection = await collection_of(request)
    schemas = describe_schemas(request.app[CATALOG].collections())
    describe = {
        "schema": schemas.schema,
        "queryables": schemas.queryables,
        "sortables": schemas.sortables,
        "schema/feature": describe_feature,
    }[path]
    url = f"{collection_url(base_url(request), collection)}/{path}"
    template = FALLBACK_TEMPLATE if path == "schema/feature" else "schema.html"
    json_type = SCHEMA if media_type is HTML else media_type
    title = f"{collection.title}: {TITLES[path]}"
    return document_response(request, describe(url, collection), template, json_type, title=title)
