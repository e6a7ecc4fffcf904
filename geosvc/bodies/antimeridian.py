"""Geometries that reach the antimeridian from both sides.

Such a geometry may be stored whole on either side of the antimeridian, or in two parts.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from geosvc.model.crs import WGS84

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class AntimeridianParts:
    """A geometry on both sides of the antimeridian, made whole.

    Attributes:
        images: EWKB of it with longitudes up to 360 degrees, with longitudes from -360 degrees,
            and of the union of both.
        bounds: (xmin, ymin, xmax, ymax) of the first, degrees.
    """

    images: tuple[bytes, bytes, bytes]
    bounds: Bounds


def split_at_antimeridian(shape: shapely.Geometry) -> AntimeridianParts | None:
    """None for a geometry that does not reach the antimeridian from both sides.

    Args:
        shape: in longitude and latitude, degrees.
    """
    eastern_image = _make_whole(shape)
    if eastern_image is None:
        return None
    western_image = _shift(eastern_image, -360.0)
    both = shapely.union(eastern_image, western_image)
    west, south, east, north = map(float, shapely.bounds(eastern_image))
    images = (_ewkb(eastern_image), _ewkb(western_image), _ewkb(both))
    return AntimeridianParts(images, (west, south, east, north))


def _make_whole(shape: shapely.Geometry) -> shapely.Geometry | None:
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
