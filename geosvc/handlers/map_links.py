"""What a page with a map requests: its features as GeoJSON, all that it selects as tiles, and the
stream of their changes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from aiohttp import web

from geosvc.http.keys import HUB
from geosvc.http.links import base_url, changes_url, query_href
from geosvc.http.tile_links import has_styles
from geosvc.model.collection import Collection
from geosvc.model.tile_matrix_set import TileMatrixSet
from geosvc.requests.declared import DECLARED, TILE_DECLARED
from geosvc.requests.items import ItemsQuery
from geosvc.requests.parameter_values import double_quoted
from geosvc.requests.subscription import select_changes

_NOT_FOR_THE_MAP = ("f", "count", "crs", "skipGeometry", "simplify", "zoom-level", "precision")
_NOT_OF_TILES = frozenset(each.name for each in DECLARED if each not in TILE_DECLARED) | {"f"}
_OF_ANOTHER_FILTER = ("bbox-crs", "filter-crs", "filter-lang")


@dataclass(frozen=True, slots=True)
class LiveStream:
    """The stream of changes that a page follows.

    Attributes:
        href: of the stream.
        after: the id of the event after which it goes on, taken before the page was read.
    """

    href: str
    after: str


@dataclass(frozen=True, slots=True)
class MapTiles:
    """The tiles with all features of a page, for its map.

    Attributes:
        style_href: of their style, relative to the page.
        extent: what the map shows first: (west, south, east, north), degrees; None: the features
            that are on the page.
        colour_choices: the properties that may give the colour.
    """

    style_href: str
    extent: Sequence[float] | None
    colour_choices: Sequence[str]


def map_parameters(values: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a page that its map repeats."""
    repeated = {}
    for name, value in values.items():
        if name not in _NOT_FOR_THE_MAP:
            repeated[name] = value
    return repeated


def live_stream(
    request: web.Request,
    collection: Collection,
    values: Mapping[str, str],
) -> LiveStream | None:
    """The stream of the changes of a collection; None where they are not logged.

    Args:
        values: the parameters of the map.
    """
    if collection.publication is None or not collection.has_change_stream:
        return None
    # numbers keep all their digits, as those of the map
    parameters = {**select_changes(values), "bigint": "string"}
    href = changes_url(base_url(request), collection, parameters)
    position = request.app[HUB].position(collection.publication.id)
    return LiveStream(href, position)


def without_geometry(query: ItemsQuery) -> ItemsQuery:
    """The same query without geometries, which the map reads by itself: so a page stays small."""
    style = replace(query.geometry, skip=True)
    return replace(query, geometry=style)


def style_href(
    collection: Collection, values: Mapping[str, str], matrix_sets: Iterable[TileMatrixSet]
) -> str:
    """The style of the tiles that have all features which a page selects, relative to the page.

    It is empty where tiles cannot have them: without tiles in Web Mercator, and where the box of
    the page cannot become a part of its filter. Tiles have the key alone, which is enough to
    request a feature; without a key they have all properties.

    Args:
        values: the parameters of the page.
        matrix_sets: those of the service.
    """
    if not has_styles(matrix_sets):
        return ""
    parameters = {name: value for name, value in values.items() if name not in _NOT_OF_TILES}
    if "bbox" in values:
        if any(name in values for name in _OF_ANOTHER_FILTER):
            return ""
        parameters["filter"] = _filter_with_box(collection, values)
    if collection.key:
        parameters["properties"] = ",".join(map(double_quoted, collection.key))
    # ids keep all their digits
    parameters["bigint"] = "string"
    return "style" + query_href(parameters)


def _filter_with_box(collection: Collection, values: Mapping[str, str]) -> str:
    geometry = double_quoted(collection.geometry.name)
    within = f"S_INTERSECTS({geometry},BBOX({values['bbox']}))"
    if not values.get("filter"):
        return within
    return f"({values['filter']}) AND {within}"
