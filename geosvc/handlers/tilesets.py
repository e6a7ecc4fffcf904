"""Tilesets and tile matrix sets. Source: OGC 20-057 8 and OGC 17-083r4 7."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from geosvc.encode.tileset_documents import (
    Bounds,
    bounds_of,
    describe_bounding_box,
    describe_layers,
    describe_set,
    describe_tileset,
    write_tilejson,
)
from geosvc.handlers.feature_query import reading_rules
from geosvc.handlers.tiles import chosen_collections
from geosvc.http.documents import (
    DocumentQuery,
    collection_of,
    document_response,
    json_response,
    negotiate,
    parse_document_query,
    query_of,
)
from geosvc.http.keys import EXTENTS, PRINCIPAL, SETTINGS, TILE_MATRIX_SETS
from geosvc.http.links import base_url, document_links
from geosvc.http.tile_links import (
    set_links,
    set_url,
    sets_url,
    tiles_url,
    tileset_links,
    tileset_url,
    xyz_template,
)
from geosvc.http.validators import validated
from geosvc.model.collection import Collection
from geosvc.model.media_type import JSON, TILEJSON, TILESET_TYPES
from geosvc.requests.tile_parameters import parse_dataset_tile, parse_tile_query


@validated
async def get_tile_matrix_sets(request: web.Request) -> web.Response:
    """All tile matrix sets."""
    query = parse_document_query(request)
    base = base_url(request)
    described = []
    for matrix_set in request.app[TILE_MATRIX_SETS]:
        described.append({**describe_set(matrix_set), "links": set_links(base, matrix_set)})
    document = {"tileMatrixSets": described, "links": document_links(sets_url(base))}
    return document_response(request, query, document, title="Tile matrix sets")


@validated
async def get_tile_matrix_set(request: web.Request) -> web.Response:
    """The definition of one tile matrix set."""
    query = parse_document_query(request)
    matrix_set = request.app[TILE_MATRIX_SETS].find(request.match_info["tileMatrixSetId"])
    url = set_url(base_url(request), matrix_set)
    document = {**matrix_set.document, "links": document_links(url)}
    return document_response(request, query, document)


@validated
async def get_collection_tilesets(request: web.Request) -> web.Response:
    """The tilesets of a collection."""
    collection = await collection_of(request)
    return _answer_tilesets(request, collection, collection.title)


@validated
async def get_dataset_tilesets(request: web.Request) -> web.Response:
    """The tilesets of the dataset."""
    return _answer_tilesets(request, None, request.app[SETTINGS].about.title)


def _answer_tilesets(
    request: web.Request, collection: Collection | None, title: str
) -> web.Response:
    query = parse_document_query(request)
    base = base_url(request)
    tilesets = []
    for matrix_set in request.app[TILE_MATRIX_SETS]:
        links = tileset_links(base, collection, matrix_set, {})
        tilesets.append({**describe_tileset(title, matrix_set), "links": links})
    document = {"tilesets": tilesets, "links": document_links(tiles_url(base, collection))}
    return document_response(request, query, document, title=f"{title}: tilesets")


@validated
async def get_collection_tileset(request: web.Request) -> web.Response:
    """One tileset of a collection: its layer and the URL of its tiles; also as TileJSON."""
    collection = await collection_of(request)
    values = query_of(request)
    most = request.app[SETTINGS].tile_max_features
    parse_tile_query(values, collection, reading_rules(request, paged=False), most)
    return await _answer_tileset(request, collection, (collection,), values, collection.title)


@validated
async def get_dataset_tileset(request: web.Request) -> web.Response:
    """One tileset of the dataset: its layers and the URL of its tiles; also as TileJSON."""
    values = query_of(request)
    parse_dataset_tile(values, request.app[SETTINGS].tile_max_features)
    collections = chosen_collections(request, values)
    title = request.app[SETTINGS].about.title
    return await _answer_tileset(request, None, collections, values, title)


async def _answer_tileset(
    request: web.Request,
    collection: Collection | None,
    layers: Sequence[Collection],
    values: Mapping[str, str],
    title: str,
) -> web.Response:
    """A tileset.

    Args:
        collection: None for a tileset of the dataset.
        layers: the collections that the tiles have.
        values: the parameters of the request, which each tile gets.
    """
    media_type = negotiate(request, values, TILESET_TYPES)
    matrix_set = request.app[TILE_MATRIX_SETS].find(request.match_info["tileMatrixSetId"])
    base = base_url(request)
    bounds = await known_bounds(request, layers)
    if media_type is TILEJSON:
        template = xyz_template(tileset_url(base, collection, matrix_set), values)
        tilejson = write_tilejson(title, template, layers, matrix_set, bounds)
        return json_response(tilejson, TILEJSON)
    document: dict[str, Any] = {
        **describe_tileset(title, matrix_set),
        **describe_bounding_box(bounds),
        "layers": describe_layers(layers, matrix_set),
        "links": tileset_links(base, collection, matrix_set, values),
    }
    query = DocumentQuery(values, media_type, JSON)
    return document_response(request, query, document)


async def known_bounds(request: web.Request, collections: Sequence[Collection]) -> Bounds:
    """What is known of the extent of some collections, without reading them."""
    extents = await request.app[EXTENTS].estimated(request[PRINCIPAL], collections)
    known = [extent.bbox for extent in extents.values()]
    boxes = [bounds_of(bbox) for bbox in known if bbox is not None]
    if not boxes or len(boxes) < len(known):
        return None
    if any(west > east for west, _, east, _ in boxes):
        return None
    wests, souths, easts, norths = zip(*boxes, strict=True)
    return min(wests), min(souths), max(easts), max(norths)
