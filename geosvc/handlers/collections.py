"""The collections and each of them. Source: OGC 17-069r4 7.13 and 7.14."""

from typing import Any

from aiohttp import web

from geosvc.database.extents import Extent
from geosvc.errors import InvalidParameter
from geosvc.handlers.documents import collection_of, json_response, read_document_request
from geosvc.keys import CATALOG, EXTENTS
from geosvc.links import base_url, collection_links, collections_links
from geosvc.model.collection import Collection
from geosvc.model.crs import CRS84_URI

_GREGORIAN = "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian"


def describe_extent(extent: Extent) -> dict[str, Any]:
    """An extent object; empty when nothing is known."""
    described: dict[str, Any] = {}
    if extent.bbox is not None:
        described["spatial"] = {"bbox": [extent.bbox], "crs": CRS84_URI}
    if extent.interval is not None:
        described["temporal"] = {"interval": [extent.interval], "trs": _GREGORIAN}
    return described


def describe(base: str, collection: Collection, extent: Extent) -> dict[str, Any]:
    """A collection object."""
    described: dict[str, Any] = {
        "id": collection.id,
        "title": collection.title,
        "itemType": "feature",
        "crs": [CRS84_URI],
        "links": collection_links(base, collection),
    }
    if collection.description:
        described["description"] = collection.description
    if extent_object := describe_extent(extent):
        described["extent"] = extent_object
    return described


async def get_collections(request: web.Request) -> web.Response:
    """Every collection, with extents that cost no scan."""
    read_document_request(request)
    base = base_url(request)
    collections = list(request.app[CATALOG].catalog.collections.values())
    extents = await request.app[EXTENTS].estimated(collections)
    return json_response(
        {
            "collections": [describe(base, collection, extents[collection.id]) for collection in collections],
            "links": collections_links(base),
        }
    )


async def get_collection(request: web.Request) -> web.Response:
    """One collection; `extent=exact` reads every row for its extent."""
    values = read_document_request(request, frozenset({"f", "extent"}))
    collection = await collection_of(request)
    wanted = values.get("extent", "estimated")
    if wanted not in ("estimated", "exact"):
        raise InvalidParameter("extent takes one of: estimated, exact", parameter="extent")
    extents = request.app[EXTENTS]
    extent = await (extents.exact(collection) if wanted == "exact" else extents.best(collection))
    return json_response(describe(base_url(request), collection, extent))
