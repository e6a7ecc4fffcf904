"""The geometries and boxes of a filter, in degrees and in the CRS that they are written in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geosvc.bodies.antimeridian import split_at_antimeridian
from geosvc.bodies.geometries import GeometryRules, read_geometries
from geosvc.bodies.stated_crs import check_stated_crs
from geosvc.cql2.tree import At, Geometry, Native
from geosvc.errors import InvalidFeature, InvalidFilter, InvalidParameter
from geosvc.model.bbox import parse_bbox
from geosvc.model.collection import GeometryColumn
from geosvc.model.crs import WGS84, Crs, transformer_to_degrees
from geosvc.values.named_crs import may_name

_ANY = GeometryColumn("geometry", "GEOMETRY", WGS84, insertable=True)
_COLLECT_BY_DIMENSION: Sequence[Callable[..., Any]] = (
    shapely.multipoints,
    shapely.multilinestrings,
    shapely.multipolygons,
)
# An edge is cut into so many pieces before it is transformed: it is no straight line in
# another CRS.
_EDGE_PIECES = 64


@dataclass(frozen=True, slots=True)
class FilterGeometryReader:
    """Reads the geometry literals of a filter.

    Attributes:
        crs: of the literals, whose axis order they have.
        max_vertices: the most positions of a geometry.
    """

    crs: Crs
    max_vertices: int

    def geometry(self, geojson: bytes, at: At) -> Geometry:
        """Reads a GeoJSON geometry. Raises: InvalidFilter."""
        self._check_crs(geojson, at)
        column = replace(_ANY, srid=self.crs.srid)
        read = read_geometries([geojson], GeometryRules(column, self.crs, self.max_vertices))
        if 0 in read.faults:
            raise InvalidFilter(f"the geometry {read.faults[0].detail}", at)
        ewkb = read.ewkb[0]
        if ewkb is None:
            raise _empty(at)
        shape = shapely.force_2d(shapely.from_wkb(ewkb))
        if shape.is_empty or shapely.is_empty(shapely.get_parts(shape)).any():
            raise _empty(at)
        return self._to_literal(_one_geometry_per_dimension(shape), at)

    def box(self, numbers: Sequence[float], at: At) -> Geometry:
        """Reads a box of four or six numbers. Raises: InvalidFilter."""
        try:
            bbox = parse_bbox(",".join(map(repr, numbers)), self.crs)
        except InvalidParameter as error:
            raise InvalidFilter(error.detail, at) from None
        boxes = [_box(part.xmin, part.ymin, part.xmax, part.ymax) for part in bbox.parts()]
        shape = boxes[0]
        if len(boxes) > 1:
            shape = shapely.union_all(boxes)
        return replace(self._to_literal(shape, at), box=bbox)

    def _check_crs(self, geojson: bytes, at: At) -> None:
        if not may_name(geojson):
            return
        try:
            check_stated_crs(orjson.loads(geojson), self.crs, cure="name it in filter-crs, {}")
        except InvalidFeature as error:
            raise InvalidFilter(error.detail, at) from None

    def _to_literal(self, shape: BaseGeometry, at: At) -> Geometry:
        """A geometry of `crs` as a literal in degrees."""
        parts: tuple[Geometry, ...] = ()
        if isinstance(shape, shapely.GeometryCollection):
            parts = tuple(self._to_literal(part, at) for part in shapely.get_parts(shape))
        native = None
        if self.crs.srid != WGS84:
            native = Native(self.crs.srid, _ewkb(shape, self.crs.srid))
            in_degrees = _transform_to_degrees(shape, self.crs)
            if in_degrees is None:
                raise InvalidFilter(
                    "the geometry has a position outside the domain of its reference system", at
                )
            shape = in_degrees
        bounds, images = _bounds(shape), None
        antimeridian_parts = split_at_antimeridian(shape)
        if antimeridian_parts is not None:
            bounds, images = antimeridian_parts.bounds, antimeridian_parts.images
        return Geometry(_ewkb(shape, WGS84), bounds, native, parts, across=images, at=at)


def _empty(at: At) -> InvalidFilter:
    return InvalidFilter("the geometry is empty, or has an empty part", at)


def _one_geometry_per_dimension(shape: BaseGeometry) -> BaseGeometry:
    """A collection as one geometry of each dimension that it has; as that geometry if it is one."""
    if not isinstance(shape, shapely.GeometryCollection):
        return shape
    leaves = np.array(_leaves(shape), dtype=object)
    dimensions = shapely.get_dimensions(leaves)
    parts: list[BaseGeometry] = []
    for dimension, collect in enumerate(_COLLECT_BY_DIMENSION):
        of_dimension = leaves[dimensions == dimension]
        if len(of_dimension):
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


def _box(xmin: float, ymin: float, xmax: float, ymax: float) -> BaseGeometry:
    """A box, which may be as thin as a line or a point."""
    if xmin == xmax and ymin == ymax:
        return shapely.Point(xmin, ymin)
    if xmin == xmax or ymin == ymax:
        return shapely.LineString([(xmin, ymin), (xmax, ymax)])
    return shapely.box(xmin, ymin, xmax, ymax)


def _bounds(shape: BaseGeometry) -> tuple[float, float, float, float]:
    xmin, ymin, xmax, ymax = map(float, shapely.bounds(shape))
    return xmin, ymin, xmax, ymax


def _ewkb(shape: BaseGeometry, srid: int) -> bytes:
    return shapely.to_wkb(shapely.set_srid(shape, srid), include_srid=True, flavor="extended")


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

    def transform(positions: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(transformer.transform(positions[:, 0], positions[:, 1]))

    transformed: BaseGeometry = shapely.transform(dense, transform)
    if not all(map(isfinite, _bounds(transformed))) or not transformed.is_valid:
        return None
    # PROJ wraps positions beyond the domain around the world: then the way back leads elsewhere
    given = shapely.get_coordinates(dense)
    lon_lat = shapely.get_coordinates(transformed)
    back = transformer.transform(lon_lat[:, 0], lon_lat[:, 1], direction="INVERSE")
    if not np.allclose(given, np.column_stack(back), rtol=1e-6, atol=0.1):
        return None
    return transformed
