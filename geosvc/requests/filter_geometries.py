"""The geometries and boxes of a filter, in degrees and in their own CRS."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geosvc.bodies.antimeridian import make_whole
from geosvc.bodies.geometries import GeometryRules, read_geometries
from geosvc.bodies.stated_crs import check_stated_crs
from geosvc.cql2.tree import At, Geometry, Native
from geosvc.errors import InvalidFeature, InvalidFilter, InvalidParameter
from geosvc.model.bbox import Bbox, parse_bbox
from geosvc.model.bounds import Bounds
from geosvc.model.collection import GeometryColumn
from geosvc.model.crs import WGS84, Crs, transformer_to_degrees
from geosvc.values.named_crs import may_name

_ANY = GeometryColumn("geometry", "GEOMETRY", WGS84, insertable=True)
_COLLECT_BY_DIMENSION: Sequence[Callable[..., Any]] = (
    shapely.multipoints,
    shapely.multilinestrings,
    shapely.multipolygons,
)
# The longest edges are cut into this many pieces before the transformation, since a straight line
# becomes a curve in another CRS.
_EDGE_PIECES = 64

Positions = NDArray[np.float64]
"""x and y of each position, in two columns."""


@dataclass(frozen=True, slots=True)
class FilterGeometryReader:
    """Reads the geometry literals of a filter.

    Attributes:
        crs: of the literals, which are in its axis order.
        max_vertices: the most positions of a geometry.
    """

    crs: Crs
    max_vertices: int

    def geometry(self, geojson: bytes, at: At) -> Geometry:
        """Reads a GeoJSON geometry. Raises: InvalidFilter."""
        self._check_crs(geojson, at)
        column = replace(_ANY, srid=self.crs.srid)
        rules = GeometryRules(column, self.crs, self.max_vertices)
        read = read_geometries([geojson], rules)
        if 0 in read.faults:
            raise InvalidFilter(f"the geometry {read.faults[0].detail}", at)
        ewkb = read.ewkb[0]
        if ewkb is None:
            raise _empty(at)
        shape = shapely.force_2d(shapely.from_wkb(ewkb))
        parts = shapely.get_parts(shape)
        if shape.is_empty or shapely.is_empty(parts).any():
            raise _empty(at)
        return self._to_literal(_one_geometry_per_dimension(shape), at)

    def box(self, numbers: Sequence[float], at: At) -> Geometry:
        """Reads a box of four or six numbers. Raises: InvalidFilter."""
        text = ",".join(map(repr, numbers))
        try:
            bbox = parse_bbox(text, self.crs)
        except InvalidParameter as error:
            raise InvalidFilter(error.detail, at) from None
        boxes = [_shape_of_box(part) for part in bbox.parts()]
        shape = boxes[0]
        if len(boxes) > 1:
            shape = shapely.union_all(boxes)
        return replace(self._to_literal(shape, at), box=bbox)

    def _check_crs(self, geojson: bytes, at: At) -> None:
        if not may_name(geojson):
            return
        geometry = orjson.loads(geojson)
        try:
            check_stated_crs(geometry, self.crs, cure="name it in filter-crs, {}")
        except InvalidFeature as error:
            raise InvalidFilter(error.detail, at) from None

    def _to_literal(self, shape: BaseGeometry, at: At) -> Geometry:
        """A geometry of `crs` as a literal in degrees."""
        parts: list[Geometry] = []
        if isinstance(shape, shapely.GeometryCollection):
            for part in shapely.get_parts(shape):
                parts.append(self._to_literal(part, at))
        native = None
        srid = self.crs.srid
        if srid != WGS84:
            native = Native(srid, _ewkb(shape, srid))
            in_degrees = _transform_to_degrees(shape, self.crs)
            if in_degrees is None:
                raise InvalidFilter(
                    "the geometry has a position outside the domain of its reference system", at
                )
            shape = in_degrees
        ewkb = _ewkb(shape, WGS84)
        literal = Geometry(ewkb, _bounds(shape), native, tuple(parts), at=at)
        whole = make_whole(shape)
        if whole is None:
            return literal
        return replace(literal, bounds=whole.bounds, across=whole.images)


def _empty(at: At) -> InvalidFilter:
    return InvalidFilter("the geometry is empty, or has an empty part", at)


def _one_geometry_per_dimension(shape: BaseGeometry) -> BaseGeometry:
    """A collection with one geometry for each dimension; this geometry alone if there is one."""
    if not isinstance(shape, shapely.GeometryCollection):
        return shape
    leaves = np.array(_leaves(shape), dtype=object)
    dimensions = shapely.get_dimensions(leaves)
    parts: list[BaseGeometry] = []
    for dimension, collect in enumerate(_COLLECT_BY_DIMENSION):
        of_dimension = leaves[dimensions == dimension]
        if len(of_dimension) == 0:
            continue
        whole: BaseGeometry = collect(of_dimension)
        if not whole.is_valid:
            whole = shapely.union_all(of_dimension)
        parts.append(whole)
    if len(parts) == 1:
        return parts[0]
    return shapely.GeometryCollection(parts)


def _leaves(shape: BaseGeometry) -> list[BaseGeometry]:
    """The points, lines and polygons of a geometry."""
    if not hasattr(shape, "geoms"):
        return [shape]
    leaves: list[BaseGeometry] = []
    for part in shapely.get_parts(shape):
        leaves += _leaves(part)
    return leaves


def _shape_of_box(box: Bbox) -> BaseGeometry:
    """A polygon; a line or a point if the box has no width or no height."""
    lower, upper = (box.xmin, box.ymin), (box.xmax, box.ymax)
    if lower == upper:
        return shapely.Point(lower)
    if box.width == 0 or box.height == 0:
        return shapely.LineString([lower, upper])
    return shapely.box(*lower, *upper)


def _bounds(shape: BaseGeometry) -> Bounds:
    xmin, ymin, xmax, ymax = map(float, shapely.bounds(shape))
    return xmin, ymin, xmax, ymax


def _ewkb(shape: BaseGeometry, srid: int) -> bytes:
    shape = shapely.set_srid(shape, srid)
    return shapely.to_wkb(shape, include_srid=True, flavor="extended")


def _transform_to_degrees(shape: BaseGeometry, crs: Crs) -> BaseGeometry | None:
    """The geometry with additional positions along its edges; None outside the domain of `crs`."""
    transformer = transformer_to_degrees(crs.srid)
    if transformer is None:
        return None
    xmin, ymin, xmax, ymax = _bounds(shape)
    longest = max(xmax - xmin, ymax - ymin)
    dense = shape
    if longest > 0:
        dense = shapely.segmentize(shape, longest / _EDGE_PIECES)

    def transform(positions: Positions) -> Positions:
        xs, ys = positions[:, 0], positions[:, 1]
        return np.column_stack(transformer.transform(xs, ys))

    def transform_back(positions: Positions) -> Positions:
        xs, ys = positions[:, 0], positions[:, 1]
        return np.column_stack(transformer.transform(xs, ys, direction="INVERSE"))

    transformed: BaseGeometry = shapely.transform(dense, transform)
    is_finite = all(map(isfinite, _bounds(transformed)))
    if not is_finite or not transformed.is_valid:
        return None
    # PROJ wraps positions outside the domain around the world. The inverse transformation then
    # returns other positions.
    original = shapely.get_coordinates(dense)
    restored = transform_back(shapely.get_coordinates(transformed))
    if not np.allclose(original, restored, rtol=1e-6, atol=0.1):
        return None
    return transformed
