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
    parse_document_query,
)
from geosvc.http.keys import CATALOG, PRINCIPAL
from geosvc.http.links import base_url, collection_url
from geosvc.http.validators import validated
from geosvc.model.media_type import SCHEMA_TYPES

FEATURE_SCHEMA = "schema/feature"
TITLES = {
    "schema": "schema of the properties",
    FEATURE_SCHEMA: "schema of a GeoJSON feature",
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
    return await _answer_schema(request, FEATURE_SCHEMA)


async def _answer_schema(request: web.Request, path: str) -> web.Response:
    """A schema.

    Args:
        path: of the schema below the collection.
    """
    query = parse_document_query(request, offered=SCHEMA_TYPES)
    collection = await collection_of(request)
    follower = request.app[CATALOG]
    collections = follower.collections_for(request[PRINCIPAL])
    schemas = describe_schemas(collections)
    describe_of_path = {
        "schema": schemas.schema,
        "queryables": schemas.queryables,
        "sortables": schemas.sortables,
        FEATURE_SCHEMA: describe_feature,
    }
    describe = describe_of_path[path]
    url = f"{collection_url(base_url(request), collection)}/{path}"
    document = describe(url, collection)
    template = "schema.html"
    if path == FEATURE_SCHEMA:
        template = FALLBACK_TEMPLATE
    title = f"{collection.title}: {TITLES[path]}"
    return document_response(request, query, document, template, title=title)
