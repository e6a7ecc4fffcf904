"""Geometries of a file: of which type they are, and how they become EWKB that fits a column."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, reduce

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import CRSError

from geosvc.requests.geometries import Shapes, not_finite, promote
from geosvc.sources.errors import SourceError
from geosvc.sources.schema import GEOMETRY_TYPES, MULTI_OF, GeometryType, SourceSchema, widen_geometry

Where = Callable[[int], str]
"""Names the feature at a place in a batch, for a person."""

_EWKB_Z, _EWKB_M = 0x80000000, 0x40000000


@dataclass(slots=True)
class SeenGeometries:
    """Which geometries a file has."""

    types: set[GeometryType] = field(default_factory=set)
    has_z: bool = False
    has_m: bool = False

    def add_code(self, code: int) -> bool:
        """Takes note of a type as WKB writes it, ISO's or EWKB. Returns: whether shapely knows it."""
        self.has_z |= bool(code & _EWKB_Z)
        self.has_m |= bool(code & _EWKB_M)
        dimensions, number = divmod(code & 0x0FFFFFFF, 1000)
        self.has_z |= dimensions in (1, 3)
        self.has_m |= dimensions in (2, 3)
        if not 1 <= number < len(GEOMETRY_TYPES) or dimensions > 3:
            return False
        self.types.add(GEOMETRY_TYPES[number - 1])
        return True

    @property
    def type(self) -> GeometryType:
        """The type that takes all of them."""
        return reduce(widen_geometry, self.types) if self.types else "GEOMETRY"


def fit(shapes: Shapes, srid: int | None, into: SourceSchema, where: Where) -> list[bytes | None]:
    """EWKB that fits.

    Args:
        srid: of the coordinates.
    Raises: SourceError, naming the first that does not fit.
    """
    _check_finite(shapes, where, "has a coordinate that is not a finite number")
    if srid is not None and into.srid is not None and srid != into.srid:
        shapes = transform(shapes, _transformer(srid, into.srid))
        _check_finite(shapes, where, f"cannot be transformed to EPSG:{into.srid}")
    shapes = _fit_heights(_fit_type(shapes, into.geometry_type, where), into.has_z)
    shapes = shapely.set_srid(shapes, into.srid or srid or 0)
    ewkb: list[bytes | None] = shapely.to_wkb(shapes, include_srid=True, flavor="extended").tolist()
    return ewkb


def _check_finite(shapes: Shapes, where: Where, problem: str) -> None:
    wrong = np.flatnonzero(not_finite(shapes))
    if wrong.size:
        raise SourceError(f"{where(int(wrong[0]))}: the geometry {problem}")


@lru_cache(maxsize=64)
def _transformer(srid: int, wanted: int) -> Transformer:
    try:
        return Transformer.from_crs(srid, wanted, always_xy=True)
    except CRSError:
        raise SourceError(f"coordinates of EPSG:{srid} cannot be transformed to EPSG:{wanted}") from None


def transform(shapes: Shapes, transformer: Transformer) -> Shapes:
    """The shapes in another CRS, x and y; heights stay."""

    def moved(positions: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = transformer.transform(positions[:, 0], positions[:, 1])
        return np.column_stack((x, y, positions[:, 2:]))

    shapes = shapes.copy()
    has_z = shapely.has_z(shapes)
    for part, include_z in ((has_z, True), (~has_z, False)):
        if part.any():
            shapes[part] = shapely.transform(shapes[part], moved, include_z=include_z)
    return shapes


def _fit_type(shapes: Shapes, wanted: GeometryType, where: Where) -> Shapes:
    if wanted == "GEOMETRY":
        return shapes
    names = np.array(["POINT", "LINESTRING", "LINEARRING", *GEOMETRY_TYPES[2:-1], ""])  # the last for none: -1
    found = names[shapely.get_type_id(shapes)]
    single = next((one for one, multi in MULTI_OF.items() if multi == wanted), None)
    promoted = np.flatnonzero(found == single)
    if promoted.size:
        shapes = shapes.copy()
        shapes[promoted] = promote(shapes[promoted], wanted)
        found[promoted] = wanted
    wrong = np.flatnonzero((found != wanted) & (found != ""))
    if wrong.size:
        raise SourceError(f"{where(int(wrong[0]))}: the geometry is a {found[wrong[0]]}, and {wanted} is wanted")
    return shapes


def _fit_heights(shapes: Shapes, has_z: bool) -> Shapes:
    """Heights of 0 for those without, where others have heights; measures are left out."""
    with_z, with_m = shapely.has_z(shapes), shapely.has_m(shapes)
    wrong = ((with_z != has_z) | with_m) & ~shapely.is_missing(shapes)
    if not wrong.any():
        return shapes
    shapes = shapes.copy()
    flat = wrong & ~(with_z & has_z)  # GEOS 3.14 adds no heights to what has measures
    shapes[flat] = shapely.force_2d(shapes[flat])
    if has_z:
        shapes[wrong] = shapely.force_3d(shapes[wrong])
    return shapes
