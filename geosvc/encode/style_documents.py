"""MapLibre styles of tilesets. Source: the MapLibre style specification, version 8.

A style has no texts and no icons, so that a map needs neither glyphs nor sprites.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from geosvc.encode.style_colours import Colouring
from geosvc.encode.tileset_documents import Bounds, promotes_key
from geosvc.model.collection import Collection

_LINES = frozenset(
    {"LINESTRING", "MULTILINESTRING", "CIRCULARSTRING", "COMPOUNDCURVE", "MULTICURVE"}
)
_POINTS = frozenset({"POINT", "MULTIPOINT"})
_AREAS = frozenset({"POLYGON", "MULTIPOLYGON", "CURVEPOLYGON", "MULTISURFACE"})
_TYPE = ["geometry-type"]
_IS_POINT = ["match", _TYPE, ["Point", "MultiPoint"], True, False]
_IS_LINE = ["match", _TYPE, ["LineString", "MultiLineString"], True, False]
_IS_AREA = ["match", _TYPE, ["Polygon", "MultiPolygon"], True, False]
_KINDS = ("fill", "outline", "line", "circle")
"""The layers of a collection, from the lowest to the highest."""

_COUNT = "point_count"
_MANY = 5  # the logarithm of a number of points whose circle is the largest
_MAX_ZOOM = 14.0
_MERCATOR_DEGREES = 85.0
_SCREEN_TILES = 0.6  # of 512 pixels each, in which the whole extent shall be seen


@dataclass(frozen=True, slots=True)
class StyledLayer:
    """A collection on a map, and its colours."""

    collection: Collection
    colouring: Colouring


@dataclass(frozen=True, slots=True)
class StyledSource:
    """The tileset that a style shows.

    Attributes:
        id: of the source within the style.
        url: of its TileJSON, absolute.
        bounds: of the features.
    """

    id: str
    url: str
    bounds: Bounds


def write_style(
    title: str, source: StyledSource, layers: Sequence[StyledLayer], metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """A style that shows a tileset.

    Its member `metadata` has the legend: `geosvc:legend`, a list of `label` and `color`.

    Args:
        metadata: what else the member has.
    """
    legend = [entry for each in layers for entry in each.colouring.legend]
    style: dict[str, Any] = {
        "version": 8,
        "name": title,
        "metadata": {**metadata, "geosvc:legend": legend},
        **_camera(source.bounds),
        "sources": {},
        "layers": [],
    }
    if layers:
        style["sources"][source.id] = _describe_source(source, layers)
    for kind in _KINDS:
        for each in layers:
            style["layers"] += _layers_of(kind, each, source.id)
    return style


def _describe_source(source: StyledSource, layers: Iterable[StyledLayer]) -> dict[str, Any]:
    described: dict[str, Any] = {"type": "vector", "url": source.url}
    collections = [each.collection for each in layers]
    if any(promotes_key(collection) for collection in collections):
        # MapLibre takes the ids of no other layer then
        keyed = [collection for collection in collections if len(collection.key) == 1]
        described["promoteId"] = {collection.id: collection.key[0] for collection in keyed}
    return described


def _camera(bounds: Bounds) -> dict[str, Any]:
    """The centre and the zoom at which all features are seen; empty where nothing is known."""
    if bounds is None:
        return {}
    west, south, east, north = bounds
    low, high = _mercator(south), _mercator(north)
    widest = max(east - west, high - low, 1e-9)
    zoom = min(max(math.log2(360 * _SCREEN_TILES / widest), 0.0), _MAX_ZOOM)
    middle = math.degrees(math.atan(math.sinh(math.radians((low + high) / 2))))
    return {"center": [round((west + east) / 2, 6), round(middle, 6)], "zoom": round(zoom, 2)}


def _mercator(latitude: float) -> float:
    """A latitude in Web Mercator, in units of a degree of longitude."""
    limited = min(max(latitude, -_MERCATOR_DEGREES), _MERCATOR_DEGREES)
    return math.degrees(math.asinh(math.tan(math.radians(limited))))


def _layers_of(kind: str, layer: StyledLayer, source_id: str) -> list[dict[str, Any]]:
    """The layer of a kind of a collection, as a list; empty where it needs none."""
    collection = layer.collection
    colour = layer.colouring.colour
    geometry_type = collection.geometry.type
    described: dict[str, Any] = {
        "id": f"{collection.id}/{kind}",
        "type": "line" if kind == "outline" else kind,
        "source": source_id,
        "source-layer": collection.id,
    }
    if kind in ("fill", "outline"):
        condition, types = _IS_AREA, _AREAS
    elif kind == "line":
        condition, types = _IS_LINE, _LINES
    else:
        condition, types = _IS_POINT, _POINTS
    is_mixed = geometry_type not in _LINES | _POINTS | _AREAS
    # a tile has small lines and areas as points
    may_be_points = kind == "circle" and geometry_type not in _POINTS
    if is_mixed or may_be_points:
        described["filter"] = condition
    elif geometry_type not in types:
        return []
    if described["type"] == "line":
        described["layout"] = {"line-join": "round"}
    described["paint"] = _paint(kind, colour, has_count=_COUNT not in collection.by_name)
    return [described]


def _paint(kind: str, colour: object, *, has_count: bool) -> dict[str, Any]:
    if kind == "fill":
        return {"fill-color": colour, "fill-opacity": 0.4, "fill-antialias": False}
    if kind == "outline":
        return {"line-color": colour, "line-width": _by_zoom(0.6, 1.8)}
    if kind == "line":
        return {"line-color": colour, "line-width": _by_zoom(1.2, 3)}
    # a cell of a crowded tile is about eight pixels wide
    radius = _by_zoom(1.5, 5)
    if has_count:
        radius = _by_zoom(_by_count(1.5, 4.5), _by_count(5, 12))
    return {
        "circle-color": colour,
        "circle-opacity": 0.85,
        "circle-radius": radius,
        "circle-stroke-color": "#ffffff",
        "circle-stroke-opacity": 0.7,
        "circle-stroke-width": _by_zoom(0.4, 1.2),
    }


def _by_zoom(far: object, near: object) -> list[Any]:
    return ["interpolate", ["linear"], ["zoom"], 0, far, 13, near]


def _by_count(radius: float, most: float) -> list[Any]:
    """The radius of a circle that stands for `point_count` points, or for one."""
    count = ["max", 1, ["to-number", ["get", _COUNT], 1]]
    return ["interpolate", ["linear"], ["log10", count], 0, radius, _MANY, most]
