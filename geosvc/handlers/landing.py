"""The landing page and the conformance declaration. Source: OGC 17-069r4 7.2 and 7.4."""

from collections.abc import Sequence

from aiohttp import web

from geosvc.encode.snippets import Snippet, write_snippets
from geosvc.errors import DatabaseUnavailable
from geosvc.handlers.conformance_classes import conformance
from geosvc.handlers.map_links import MapTiles
from geosvc.handlers.tilesets import known_bounds
from geosvc.http.documents import DocumentQuery, document_response, parse_document_query
from geosvc.http.keys import (
    ADDED_CONFORMANCE,
    CATALOG,
    EXTENTS,
    PRINCIPAL,
    SETTINGS,
    TILE_MATRIX_SETS,
)
from geosvc.http.links import base_url, conformance_links, landing_links, legal_links, query_href
from geosvc.http.tile_links import has_styles, sets_link, tiles_links
from geosvc.http.validators import validated
from geosvc.model.collection import Collection
from geosvc.requests.parameter_values import double_quoted


@validated
async def get_landing_page(request: web.Request) -> web.Response:
    """The landing page, with links to everything else."""
    query = parse_document_query(request)
    base = base_url(request)
    follower = request.app[CATALOG]
    collections = follower.collections_for(request[PRINCIPAL])
    example: Collection | None = None
    snippets: Sequence[Snippet] = ()
    if collections:
        example = collections[0]
        bbox = await _known_bbox(request, query, example)
        matrix_sets = request.app[TILE_MATRIX_SETS]
        snippets = write_snippets(base, example, bbox, has_tiles=has_styles(matrix_sets))
    return document_response(
        request,
        query,
        _describe(request, base),
        "landing.html",
        collections=collections,
        example=example,
        snippets=snippets,
        tiles=await _map_of(request, query, collections),
    )


async def _map_of(
    request: web.Request, query: DocumentQuery, collections: Sequence[Collection]
) -> MapTiles | None:
    """The tiles of all collections, or of as many as a tile may have; only a page shows them."""
    matrix_sets = request.app[TILE_MATRIX_SETS]
    if not query.is_for_page or not has_styles(matrix_sets):
        return None
    layers = [collection for collection in collections if collection.may_be_layer]
    most = request.app[SETTINGS].tile_max_collections
    href = "style"
    if len(layers) > most:
        layers = layers[:most]
        names = ",".join(double_quoted(collection.id) for collection in layers)
        href += query_href({"collections": names})
    if not layers:
        return None
    try:
        extent = await known_bounds(request, layers)
    except DatabaseUnavailable:  # the page does without it
        extent = None
    return MapTiles(href, extent, ())


def _describe(request: web.Request, base: str) -> dict[str, object]:
    about = request.app[SETTINGS].about
    matrix_sets = request.app[TILE_MATRIX_SETS]
    document: dict[str, object] = {
        "title": about.title,
        "description": about.description,
    }
    if about.contact is not None:
        document["contact"] = about.contact.model_dump(exclude_none=True)
    document["links"] = [
        *landing_links(base),
        *tiles_links(base, None, matrix_sets),
        sets_link(base),
        *legal_links(about),
    ]
    return document


async def _known_bbox(
    request: web.Request,
    query: DocumentQuery,
    collection: Collection,
) -> Sequence[float] | None:
    """The extent that is known without reading any row; only a page shows it."""
    if not query.is_for_page:
        return None
    extents = request.app[EXTENTS]
    try:
        found = await extents.estimated(request[PRINCIPAL], [collection])
    except DatabaseUnavailable:  # the page does without it
        return None
    return found[collection.id].bbox


@validated
async def get_conformance(request: web.Request) -> web.Response:
    """The conformance classes that hold."""
    query = parse_document_query(request)
    follower = request.app[CATALOG]
    collections = follower.collections_for(request[PRINCIPAL])
    added = request.app[ADDED_CONFORMANCE]
    document = {
        "conformsTo": conformance(collections, added),
        "links": conformance_links(base_url(request)),
    }
    return document_response(request, query, document, "conformance.html")
