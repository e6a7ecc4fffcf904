"""The parameters `filter`, `filter-lang` and `filter-crs`. Source: OGC 19-079r2 7 and 8."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from math import isfinite
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geosvc.cql2.building import Caps
from geosvc.cql2.json import parse_json
from geosvc.cql2.text import parse_text
from geosvc.cql2.tree import At, Condition, Geometry, Native
from geosvc.errors import InvalidFilter, InvalidParameter
from geosvc.model.bbox import parse_bbox
from geosvc.model.collection import GeometryColumn
from geosvc.model.crs import WGS84, Crs, to_degrees
from geosvc.requests.antimeridian import look_across
from geosvc.requests.geometries import GeometryRules, read_geometries

PARAMETERS = frozenset({"filter", "filter-lang", "filter-crs"})
_ANY = GeometryColumn("geometry", "GEOMETRY", WGS84, insertable=True)
_COLLECT: Sequence[Callable[..., Any]] = (shapely.multipoints, shapely.multilinestrings, shapely.multipolygons)  # by dimension
_MAX_KEPT = 4_096  # characters of a filter whose tree is kept
_EDGE_PARTS = 64  # pieces an edge is cut into before it is transformed: no straight line in another CRS


class FilterLanguage(StrEnum):
    """The encodings of CQL2."""

    TEXT = "cql2-text"
    JSON = "cql2-json"


@dataclass(frozen=True, slots=True)
class FilterRules:
    """What a filter may be at the most.

    Attributes:
        root: the pointer to it, where it is part of a body.
    """

    caps: Caps = field(default_factory=Caps)
    max_vertices: int = 1_000_000
    root: str = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter: equal to another when it was written alike.

    Attributes:
        condition: what it says.
    """

    text: str
    language: FilterLanguage
    crs: Crs
    condition: Condition = field(compare=False, repr=False)


def parse_filter(values: Mapping[str, str], crs: Crs, rules: FilterRules) -> Filter | None:
    """The filter of a query; None without one.

    Args:
        crs: of its geometries.
    Raises: InvalidFilter, InvalidParameter.
    """
    try:
        language = FilterLanguage(values.get("filter-lang", FilterLanguage.TEXT))
    except ValueError:
        known = ", ".join(FilterLanguage)
        raise InvalidParameter(f"filter-lang takes one of: {known}", parameter="filter-lang") from None
    text = values.get("filter")
    if text is None:
        return None
    parse = _parse_again if len(text) <= _MAX_KEPT else _parse
    return Filter(text, language, crs, parse(text, language, crs, rules))


def _parse(text: str, language: FilterLanguage, crs: Crs, rules: FilterRules) -> Condition:
    reader = _GeometryReader(crs, rules.max_vertices)
    if language is FilterLanguage.JSON:
        return parse_json(text.encode(), rules.caps, reader, rules.root)
    return parse_text(text, rules.caps, reader)


# Filters repeat: maps ask for box after box with the same one. Long ones would take much memory.
_parse_again = lru_cache(maxsize=256)(_parse)


@dataclass(frozen=True, slots=True)
class _GeometryReader:
    """Geometry literals, in the axis order of their CRS until they are read."""

    crs: Crs
    max_vertices: int

    def geometry(self, geojson: bytes, at: At) -> Geometry:
        """Raises: InvalidFilter."""
        column = replace(_ANY, srid=self.crs.srid)
        read = read_geometries([geojson], GeometryRules(column, self.crs, self.max_vertices))
        if 0 in read.faults:
            raise InvalidFilter(f"the geometry {read.faults[0].detail}", at)
        shape = shapely.force_2d(shapely.from_wkb(read.ewkb[0])) if read.ewkb[0] is not None else None
        if shape is None or shape.is_empty or any(part.is_empty for part in shapely.get_parts(shape)):
            raise InvalidFilter("the geometry is empty, or has an empty part", at)
        return self._made(_flattened(shape), at)

    def box(self, numbers: Sequence[float], at: At) -> Geometry:
        """Raises: InvalidFilter."""
        try:
            whole = parse_bbox(",".join(map(repr, numbers)), self.crs)
        except InvalidParameter as error:
            raise InvalidFilter(error.detail, at) from None
        boxes = [_box(part.xmin, part.ymin, part.xmax, part.ymax) for part in whole.parts()]
        return replace(self._made(boxes[0] if len(boxes) == 1 else shapely.union_all(boxes), at), box=whole)

    def _made(self, shape: BaseGeometry, at: At) -> Geometry:
        parts: tuple[Geometry, ...] = ()
        if isinstance(shape, shapely.GeometryCollection):
            parts = tuple(self._made(part, at) for part in shapely.get_parts(shape))
        if self.crs.srid == WGS84:
            return self._in_degrees(shape, None, parts, at)
        there = Native(self.crs.srid, _ewkb(shape, self.crs.srid))
        here = _transformed(shape, self.crs)
        if here is None:
            raise InvalidFilter("the geometry has a place that its reference system does not reach", at)
        return self._in_degrees(here, there, parts, at)

    def _in_degrees(self, shape: BaseGeometry, native: Native | None, parts: tuple[Geometry, ...], at: At) -> Geometry:
        across = look_across(shape)
        if across is None:
            return Geometry(_ewkb(shape, WGS84), _bounds(shape), native, parts, at=at)
        return Geometry(_ewkb(shape, WGS84), across.bounds, native, parts, across=across.images, at=at)


def _flattened(shape: BaseGeometry) -> BaseGeometry:
    """A collection as one geometry of each dimension that it has, and as that geometry where it is one."""
    if not isinstance(shape, shapely.GeometryCollection):
        return shape
    leaves = np.array(_leaves(shape), dtype=object)
    dimensions = shapely.get_dimensions(leaves)
    parts: list[BaseGeometry] = []
    for dimension, collect in enumerate(_COLLECT):
        alike = leaves[dimensions == dimension]
        if len(alike):
            whole: BaseGeometry = collect(alike)
            parts.append(whole if whole.is_valid else shapely.union_all(alike))
    return parts[0] if len(parts) == 1 else shapely.GeometryCollection(parts)


def _leaves(shape: BaseGeometry) -> list[BaseGeometry]:
    if not hasattr(shape, "geoms"):
        return [shape]
    return [leaf for part in shapely.get_parts(shape) for leaf in _leaves(part)]


def _box(xmin: float, ymin: float, xmax: float, ymax: float) -> BaseGeometry:
    """A box, which may be as thin as a line or a point."""
    if xmin == xmax and ymin == ymax:
        return shapely.Point(xmin, ymin)
    if xmin == xmax or ymin == ymax:
        return shapely.LineString([(xmin, ymin), (xmax, ymax)])
    return shapely.box(xmin, ymin, xmax, ymax)


def _bounds(shape: BaseGeometry) -> tuple[float, float, float, float]:
    west, south, east, north = map(float, shapely.bounds(shape))
    return west, south, east, north


def _ewkb(shape: BaseGeometry, srid: int) -> bytes:
    return shapely.to_wkb(shapely.set_srid(shape, srid), include_srid=True, flavor="extended")


def _transformed(shape: BaseGeometry, crs: Crs) -> BaseGeometry | None:
    """With positions along its edges; None where it cannot be transformed."""
    west, south, east, north = _bounds(shape)
    longest = max(east - west, north - south)
    dense = shapely.segmentize(shape, longest / _EDGE_PARTS) if longest > 0 else shape
    transformer = to_degrees(crs.srid)

    def transform(positions: NDArray[np.float64]) -> NDArray[np.float64]:
        if transformer is None:
            return positions * np.nan
        return np.column_stack(transformer.transform(positions[:, 0], positions[:, 1]))

    there: BaseGeometry = shapely.transform(dense, transform)
    if transformer is None or not all(map(isfinite, _bounds(there))) or not there.is_valid:
        return None
    # PROJ goes round the world with what lies beyond it
    given, places = shapely.get_coordinates(dense), shapely.get_coordinates(there)
    back = np.column_stack(transformer.transform(places[:, 0], places[:, 1], direction="INVERSE"))
    return there if np.allclose(given, back, rtol=1e-6, atol=0.1) else None
