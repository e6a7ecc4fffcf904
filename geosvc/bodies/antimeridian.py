"""Geometries that reach the antimeridian from both sides.

Such a geometry may be stored whole on either side of the antimeridian, or in two parts.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from geosvc.model.bounds import Bounds
from geosvc.model.crs import WGS84
from geosvc.model.spatial import AntimeridianImages


@dataclass(frozen=True, slots=True)
class WholeGeometry:
    """A geometry on both sides of the antimeridian, made whole.

    Attributes:
        bounds: of the eastern image, degrees.
    """

    images: AntimeridianImages
    bounds: Bounds


def make_whole(shape: shapely.Geometry) -> WholeGeometry | None:
    """Makes a geometry whole that reaches the antimeridian from both sides; None for any other.

    Args:
        shape: in longitude and latitude, degrees.
    """
    eastern = _join_halves(shape)
    if eastern is None:
        return None
    western = _shift(eastern, -360.0)
    both = shapely.union(eastern, western)
    images = AntimeridianImages(_ewkb(eastern), _ewkb(western), _ewkb(both))
    west, south, east, north = map(float, shapely.bounds(eastern))
    return WholeGeometry(images, (west, south, east, north))


def _join_halves(shape: shapely.Geometry) -> shapely.Geometry | None:
    """The geometry in one piece, with longitudes from 0 to 360 degrees."""
    west, _, east, _ = map(float, shapely.bounds(shape))
    if west > -180 or east < 180 or isinstance(shape, shapely.GeometryCollection):
        return None
    western = shapely.intersection(shape, shapely.box(-180, -90, 0, 90))
    eastern = shapely.intersection(shape, shapely.box(0, -90, 180, 90))
    whole: shapely.Geometry = shapely.union(_shift(western, 360.0), eastern)
    return whole


def _shift(shape: shapely.Geometry, degrees: float) -> shapely.Geometry:
    offset = np.array((degrees, 0.0))

    def shift(positions: NDArray[np.float64]) -> NDArray[np.float64]:
        shifted: NDArray[np.float64] = positions + offset
        return shifted

    moved: shapely.Geometry = shapely.transform(shape, shift)
    return moved


def _ewkb(shape: shapely.Geometry) -> bytes:
    return shapely.to_wkb(shapely.set_srid(shape, WGS84), include_srid=True, flavor="extended")
