"""Vector tiles of a collection, and of several. Source: OGC 20-057 7, 8.6 and 10."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from aiohttp import hdrs, web

from geosvc.caching.cache_key import CacheKey
from geosvc.caching.response import CachedResponse
from geosvc.database.reads.tile_layers import Layer
from geosvc.errors import InvalidParameter
from geosvc.handlers.area_answer import AreaRequest, answer_about_area, fresh_part
from geosvc.handlers.cached_answer import (
    CACHE_CONTROL_HEADER,
    cache_key_of,
    plain_response,
)
from geosvc.handlers.feature_query import reading_rules
from geosvc.handlers.parsed_requests import ParsedRequestCache, request_key
from geosvc.http.documents import collection_of, negotiate, query_of
from geosvc.http.keys import CATALOG, OFFLOAD, PRINCIPAL, SETTINGS, TILE_LAYERS, TILE_MATRIX_SETS
from geosvc.http.validators import with_validators
from geosvc.live.area_versions import answer_area
from geosvc.model.collection import Collection
from geosvc.model.media_type import MVT, TILE_TYPES
from geosvc.model.tile_matrix_set import Tile
from geosvc.query.tiles.layer import DEFAULT_STYLE, LayerPlan, LayerStyle
from geosvc.query.tiles.tile_area import tile_bounds, world_width
from geosvc.requests.parameter_values import split_names
from geosvc.requests.query_string import Values
from geosvc.requests.tile_parameters import parse_dataset_tile, parse_tile_query
from geosvc.settings import Settings

HINT = "OATiles-hint"
CONTENTS = "Geosvc-Tile"
"""The header with what a tile has: `features=812, matched=171000, thinned, sampled=0.05`."""

_EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class ParsedTileRequest:
    """A request for a tile of a collection, parsed.

    Attributes:
        area: what its answer depends on; None when it has no version.
    """

    plan: LayerPlan
    area: AreaRequest | None


PARSED_TILES = web.AppKey("parsed_tiles", ParsedRequestCache[ParsedTileRequest])
TileFinder = Callable[[web.Request], Tile]
"""Finds the tile in a path. Raises: InvalidParameter, NotFound."""


async def get_collection_tile(request: web.Request) -> web.StreamResponse:
    """One tile of a collection, by tile matrix, row and column."""
    return await _answer_collection_tile(request, _tile_of)


async def get_collection_tile_by_xyz(request: web.Request) -> web.StreamResponse:
    """The same tile, by zoom, column and row."""
    return await _answer_collection_tile(request, _xyz_tile_of)


async def get_dataset_tile(request: web.Request) -> web.StreamResponse:
    """One tile with a layer for each of several collections."""
    return await _answer_dataset_tile(request, _tile_of(request))


async def get_dataset_tile_by_xyz(request: web.Request) -> web.StreamResponse:
    """The same tile, by zoom, column and row."""
    return await _answer_dataset_tile(request, _xyz_tile_of(request))


def _tile_of(request: web.Request) -> Tile:
    """The tile in the path. Raises: InvalidParameter, NotFound."""
    path = request.match_info
    matrix_set = request.app[TILE_MATRIX_SETS].find(path["tileMatrixSetId"])
    return matrix_set.tile(path["tileMatrix"], path["tileRow"], path["tileCol"])


def _xyz_tile_of(request: web.Request) -> Tile:
    """The tile in a path with z, x and y. Raises: InvalidParameter, NotFound."""
    path = request.match_info
    matrix_set = request.app[TILE_MATRIX_SETS].find(path["tileMatrixSetId"])
    return matrix_set.tile(path["z"], path["y"], path["x"])


async def _answer_collection_tile(
    request: web.Request, find_tile: TileFinder
) -> web.StreamResponse:
    collection = await collection_of(request)
    key = request_key(request, collection, request.raw_path)
    parsed_tiles = request.app[PARSED_TILES]
    parsed = parsed_tiles.find(key)
    if parsed is None:
        parsed = await _parse(request, collection, find_tile(request))
        parsed_tiles.keep(key, parsed)
    build = partial(_build, request, parsed.plan)
    if parsed.area is None:
        return _marked(with_validators(request, plain_response(await build(None))))
    return _marked(await answer_about_area(request, parsed.area, build))


async def _parse(request: web.Request, collection: Collection, tile: Tile) -> ParsedTileRequest:
    """Raises: RequestError."""
    values = query_of(request)
    negotiate(request, values, TILE_TYPES)
    rules = reading_rules(request, paged=False)
    most = request.app[SETTINGS].tile_max_features
    weight = len(request.rel_url.raw_query_string)
    offload = request.app[OFFLOAD]
    query = await offload.run(weight, parse_tile_query, values, collection, rules, most)
    return _planned(request, LayerPlan(collection, query, tile, _style_of(request, collection)))


def _planned(request: web.Request, plan: LayerPlan) -> ParsedTileRequest:
    """A layer, with what it depends on."""
    key = _cache_key(request, plan)
    if key is None:
        return ParsedTileRequest(plan, None)
    bounds = tile_bounds(plan.collection, plan.tile)
    area = answer_area(bounds, world_width(plan.collection.geometry.srid))
    return ParsedTileRequest(plan, AreaRequest(key, area))


def _style_of(request: web.Request, collection: Collection) -> LayerStyle:
    return layer_style(request.app[SETTINGS], collection)


def layer_style(settings: Settings, collection: Collection) -> LayerStyle:
    """What the settings say of the tiles of a collection."""
    configured = settings.collections.get(collection.id)
    if configured is None:
        return DEFAULT_STYLE
    importance = configured.tiles_importance
    if importance not in collection.by_name:
        importance = None
    return LayerStyle(configured.tiles, configured.tiles_single_from_zoom, importance)


def _cache_key(request: web.Request, plan: LayerPlan) -> CacheKey | None:
    """The cache key of a tile; None when it has no version, as that of a page."""
    query = plan.query
    if query.filter is not None and not query.filter.is_immutable:
        return None
    tile = plan.tile
    address = (tile.matrix_set.id, tile.matrix.id, tile.row, tile.column)
    return cache_key_of(request, "tile", plan.collection, query, address)


async def _answer_dataset_tile(request: web.Request, tile: Tile) -> web.StreamResponse:
    """A tile of several layers, which are kept each by itself. Source: MVT 2.1 4.1."""
    values = query_of(request)
    negotiate(request, values, TILE_TYPES)
    query = parse_dataset_tile(values, request.app[SETTINGS].tile_max_features)
    parts: list[CachedResponse] = []
    for collection in chosen_collections(request, values):
        plan = LayerPlan(collection, query, tile, _style_of(request, collection))
        parts.append(await _layer_of(request, _planned(request, plan)))
    headers = {hdrs.CONTENT_TYPE: MVT.content_type, **CACHE_CONTROL_HEADER}
    body = b"".join(part.plain for part in parts)
    return _marked(with_validators(request, web.Response(body=body, headers=headers)))


async def _layer_of(request: web.Request, parsed: ParsedTileRequest) -> CachedResponse:
    """A tile of one layer, from memory where it is fresh."""
    build = partial(_build, request, parsed.plan)
    if parsed.area is None:
        return await build(None)
    return await fresh_part(request, parsed.area, build)


def chosen_collections(request: web.Request, values: Values) -> Sequence[Collection]:
    """The collections that the parameter `collections` names; without it all.

    Raises: InvalidParameter for an unknown one, one that is named twice, and too many.
    """
    catalog = request.app[CATALOG].catalog_for(request[PRINCIPAL])
    most = request.app[SETTINGS].tile_max_collections
    chosen: list[Collection] = []
    if "collections" not in values:
        chosen += [each for each in catalog.collections.values() if each.may_be_layer]
    else:
        for name in split_names("collections", values["collections"]):
            found = catalog.collections.get(name)
            if found is None or not found.may_be_layer or found in chosen:
                raise InvalidParameter(
                    f"collections takes different ids of collections, not {name!r}",
                    parameter="collections",
                )
            chosen.append(found)
    if len(chosen) > most:
        raise InvalidParameter(
            f"collections takes at most {most} ids of collections", parameter="collections"
        )
    return chosen


async def _build(request: web.Request, plan: LayerPlan, _: int | None) -> CachedResponse:
    """A tile of one layer."""
    layer = await request.app[TILE_LAYERS].read(plan)
    headers = {
        hdrs.CONTENT_TYPE: MVT.content_type,
        **CACHE_CONTROL_HEADER,
        CONTENTS: _describe(layer),
    }
    return CachedResponse(layer.body, headers)


def _describe(layer: Layer) -> str:
    """How many features a tile shows, and of how many. Source: RFC 9651 3.2."""
    described = f"features={layer.features}, matched={layer.matched}"
    if layer.is_thinned:
        described += ", thinned"
    if layer.share < 1:
        described += f", sampled={layer.share:.4f}"
    return described


def _marked(response: web.StreamResponse) -> web.StreamResponse:
    """An answer without a body is 204 and says that the tile is empty. Source: OGC 20-057 7.1."""
    if isinstance(response, web.Response) and response.status == 200 and not response.body:
        response.set_status(204)
        response.headers.pop(hdrs.CONTENT_TYPE, None)
        response.headers[HINT] = _EMPTY
    return response
