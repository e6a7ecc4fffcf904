"""MapLibre styles of the tiles of a collection, and of several."""

from collections.abc import Mapping

from aiohttp import web

from geosvc.database.reads.value_divisions import find_value_classes
from geosvc.encode.style_colours import COLOURS, Colouring, colour_by, distinct_colours, one_colour
from geosvc.encode.style_documents import StyledLayer, StyledSource, write_style
from geosvc.handlers.feature_query import reading_rules
from geosvc.handlers.tiles import chosen_collections
from geosvc.handlers.tilesets import known_bounds
from geosvc.http.documents import collection_of, json_response, negotiate, query_of
from geosvc.http.keys import CATALOG, DATABASE, PRINCIPAL, SETTINGS, TILE_MATRIX_SETS
from geosvc.http.links import base_url
from geosvc.http.tile_links import STYLE_MATRIX_SET, tilejson_url
from geosvc.http.validators import validated
from geosvc.model.collection import Collection
from geosvc.model.media_type import STYLE_TYPES
from geosvc.requests.style_parameters import StyleQuery, parse_style_query
from geosvc.requests.tile_parameters import parse_dataset_tile

_DATASET_SOURCE = "dataset"


@validated
async def get_collection_style(request: web.Request) -> web.Response:
    """A style of the tiles of a collection."""
    collection = await collection_of(request)
    values = query_of(request)
    media_type = negotiate(request, values, STYLE_TYPES)
    most = request.app[SETTINGS].tile_max_features
    rules = reading_rules(request, paged=False)
    style_query = parse_style_query(values, collection, rules, most)
    source = StyledSource(
        collection.id,
        _tilejson_url(request, collection, style_query.tile_values),
        await known_bounds(request, [collection]),
    )
    layer = StyledLayer(collection, await _colouring(request, collection, style_query))
    metadata = {}
    if style_query.colour is not None:
        metadata["geosvc:color"] = style_query.colour.name
    return json_response(write_style(collection.title, source, [layer], metadata), media_type)


@validated
async def get_dataset_style(request: web.Request) -> web.Response:
    """A style of tiles with several collections, each in its colour."""
    values = query_of(request)
    media_type = negotiate(request, values, STYLE_TYPES)
    parse_dataset_tile(values, request.app[SETTINGS].tile_max_features)
    collections = chosen_collections(request, values)
    places = [_place(request, collection) for collection in collections]
    layers = []
    for collection, colour in zip(collections, distinct_colours(places), strict=True):
        layers.append(StyledLayer(collection, one_colour(collection.title, colour)))
    url = _tilejson_url(request, None, values)
    source = StyledSource(_DATASET_SOURCE, url, await known_bounds(request, collections))
    title = request.app[SETTINGS].about.title
    return json_response(write_style(title, source, layers, {}), media_type)


def _tilejson_url(
    request: web.Request, collection: Collection | None, values: Mapping[str, str]
) -> str:
    """Raises: NotFound where the service has no tiles in Web Mercator."""
    matrix_set = request.app[TILE_MATRIX_SETS].find(STYLE_MATRIX_SET)
    return tilejson_url(base_url(request), collection, matrix_set, values)


def _place(request: web.Request, collection: Collection) -> int:
    """The place of a collection among all; that of the first for one that was made just now."""
    ids = list(request.app[CATALOG].catalog_for(request[PRINCIPAL]).collections)
    return ids.index(collection.id) if collection.id in ids else 0


async def _colouring(
    request: web.Request, collection: Collection, style_query: StyleQuery
) -> Colouring:
    """Raises: RequestError."""
    if style_query.colour is not None:
        classes = await find_value_classes(
            request.app[DATABASE],
            collection,
            style_query.colour,
            style_query.tile_query,
            request.app[SETTINGS].count_seconds,
        )
        if classes is not None:
            is_crowded = (collection.rows or 0) > request.app[SETTINGS].tile_max_features
            return colour_by(style_query.colour.name, classes, is_crowded=is_crowded)
    colour = COLOURS[_place(request, collection) % len(COLOURS)]
    return one_colour(collection.title, colour)
