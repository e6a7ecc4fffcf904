"""Geometries of a file: their types, and their conversion to EWKB that fits a column."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, reduce

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import CRSError

from geosvc.bodies.geometry_checks import Shapes, not_finite, promote
from geosvc.model.crs import WGS84, Srid, half_turn, is_known
from geosvc.sources.schema import (
    GEOMETRY_TYPES,
    MULTI_OF,
    GeometryType,
    SourceSchema,
    widen_geometry,
)
from geosvc.sources.source_error import SourceError

LocateFeature = Callable[[int], str]
"""Names the feature at an index of a batch, for a person, such as `a.csv, line 7`."""

_MIN_RING_POSITIONS = 4
_ROUNDING_DEGREES = 1e-6  # of coordinates that are written with few digits
_EWKB_Z = 0x80000000
_EWKB_M = 0x40000000
_EWKB_FLAGS = 0xF0000000
# by the type ids of shapely, where 2 is a ring; the last is for None, whose id is -1
_SHAPELY_TYPES = ("POINT", "LINESTRING", "LINEARRING", *GEOMETRY_TYPES[2:-1], "")
_SINGLE_OF = {multi: single for single, multi in MULTI_OF.items()}


@dataclass(slots=True)
class SeenGeometries:
    """The types of the geometries of a file."""

    types: set[GeometryType] = field(default_factory=set)
    has_z: bool = False
    has_m: bool = False

    def add_code(self, code: int) -> bool:
        """Adds a type by its code in WKB, ISO's or EWKB's. Returns: whether shapely knows it."""
        dimensions, number = divmod(code & ~_EWKB_FLAGS, 1000)
        self.has_z |= bool(code & _EWKB_Z) or dimensions in (1, 3)
        self.has_m |= bool(code & _EWKB_M) or dimensions in (2, 3)
        if not 1 <= number < len(GEOMETRY_TYPES) or dimensions > 3:
            return False
        self.types.add(GEOMETRY_TYPES[number - 1])
        return True

    @property
    def type(self) -> GeometryType:
        """The type that takes all of them."""
        if not self.types:
            return "GEOMETRY"
        return reduce(widen_geometry, self.types)


def fit(
    shapes: Shapes, srid: int | None, into: SourceSchema, locate: LocateFeature
) -> list[bytes | None]:
    """EWKB of the type, the Z and the SRID of a schema.

    Args:
        srid: of the coordinates; None: that of the schema.
    Raises: SourceError, naming the first geometry that does not fit.
    """
    _check_finite(shapes, locate, "has a coordinate that is not a finite number")
    _check_degrees(shapes, srid or into.srid or WGS84, locate)
    if srid is not None and into.srid is not None and srid != into.srid:
        shapes = transform(shapes, _transformer(srid, into.srid))
        _check_finite(shapes, locate, f"cannot be transformed to EPSG:{into.srid}")
    shapes = _fit_type(shapes, into.geometry_type, locate)
    shapes = _fit_dimensions(shapes, into.has_z)
    shapes = shapely.set_srid(shapes, into.srid or srid or 0)
    array = shapely.to_wkb(shapes, include_srid=True, flavor="extended")
    ewkb: list[bytes | None] = array.tolist()
    return ewkb


def _check_finite(shapes: Shapes, locate: LocateFeature, problem: str) -> None:
    wrong = np.flatnonzero(not_finite(shapes))
    if wrong.size:
        raise SourceError(f"{locate(int(wrong[0]))}: the geometry {problem}")


def _check_degrees(shapes: Shapes, srid: int, locate: LocateFeature) -> None:
    """Refuses coordinates that cannot be degrees.

    Longitudes are up to a whole turn, not half of one: maps of the Pacific have them.
    """
    half = half_turn(Srid(srid))
    if half is None or not is_known(Srid(srid)):
        return
    max_x = 2 * half
    max_y = half / 2 + _ROUNDING_DEGREES
    limits = (max_x, max_y, max_x, max_y)
    is_beyond = np.abs(shapely.bounds(shapes)) > limits
    beyond = np.flatnonzero(is_beyond.any(axis=1))
    if beyond.size:
        index = int(beyond[0])
        x_min, y_min, x_max, y_max = shapely.bounds(shapes[index]).tolist()
        x = max(x_min, x_max, key=abs)
        y = max(y_min, y_max, key=abs)
        raise SourceError(
            f"{locate(index)}: {x:.10g}, {y:.10g} is no longitude and latitude (EPSG:{srid}): "
            "name the CRS with --srid"
        )


def find_ring_fault(ewkb: bytes | None) -> str | None:
    """Why PostGIS refused a geometry, where that is a ring that is too short; else None."""
    shape = shapely.from_wkb(ewkb, on_invalid="ignore")
    rings = shapely.get_rings(shapely.get_parts(shape))
    if (shapely.get_num_coordinates(rings) < _MIN_RING_POSITIONS).any():
        return "has a ring of fewer than 4 positions"
    return None


def flip(shapes: Shapes) -> Shapes:
    """The shapes with x and y exchanged."""
    has_z = bool(shapely.has_z(shapes).any())
    order = [1, 0]
    if has_z:
        order.append(2)

    def exchanged(positions: NDArray[np.float64]) -> NDArray[np.float64]:
        return positions[:, order]

    flipped: Shapes = shapely.transform(shapes, exchanged, include_z=has_z)
    return flipped


@lru_cache(maxsize=64)
def _transformer(srid: int, target_srid: int) -> Transformer:
    try:
        return Transformer.from_crs(srid, target_srid, always_xy=True)
    except CRSError:
        raise SourceError(
            f"coordinates of EPSG:{srid} cannot be transformed to EPSG:{target_srid}"
        ) from None


def transform(shapes: Shapes, transformer: Transformer) -> Shapes:
    """The shapes in another CRS: x and y are transformed, Z is kept."""

    def transformed(positions: NDArray[np.float64]) -> NDArray[np.float64]:
        old_x = positions[:, 0]
        old_y = positions[:, 1]
        z = positions[:, 2:]
        x, y = transformer.transform(old_x, old_y)
        return np.column_stack((x, y, z))

    shapes = shapes.copy()
    has_z = shapely.has_z(shapes)
    for part, include_z in ((has_z, True), (~has_z, False)):
        if part.any():
            shapes[part] = shapely.transform(shapes[part], transformed, include_z=include_z)
    return shapes


def _fit_type(shapes: Shapes, geometry_type: GeometryType, locate: LocateFeature) -> Shapes:
    """The shapes, of one type: single geometries become multi geometries where that is needed."""
    if geometry_type == "GEOMETRY":
        return shapes
    found = np.array(_SHAPELY_TYPES)[shapely.get_type_id(shapes)]
    single = np.flatnonzero(found == _SINGLE_OF.get(geometry_type))
    if single.size:
        shapes = shapes.copy()
        shapes[single] = promote(shapes[single], geometry_type)
        found[single] = geometry_type
    wrong = np.flatnonzero((found != geometry_type) & (found != ""))
    if wrong.size:
        index = int(wrong[0])
        raise SourceError(
            f"{locate(index)}: the geometry is a {found[index]}, expected: {geometry_type}"
        )
    return shapes


def _fit_dimensions(shapes: Shapes, has_z: bool) -> Shapes:
    """The shapes without M, and with or without Z; a Z that is added is 0."""
    with_z = shapely.has_z(shapes)
    wrong = (with_z != has_z) | shapely.has_m(shapes)
    wrong &= ~shapely.is_missing(shapes)
    if not wrong.any():
        return shapes
    shapes = shapes.copy()
    keeps_z = with_z & has_z
    flat = wrong & ~keeps_z  # GEOS 3.14 adds no Z to a geometry that has M
    shapes[flat] = shapely.force_2d(shapes[flat])
    if has_z:
        shapes[wrong] = shapely.force_3d(shapes[wrong])
    return shapes
