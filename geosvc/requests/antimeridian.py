"""What reaches the antimeridian from both sides: such geometries are stored whole, on either side of it, or in two parts."""

from dataclasses import dataclass

import numpy as np
import shapely

from geosvc.model.crs import WGS84

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Across:
    """A geometry on both sides of the antimeridian, made whole.

    Attributes:
        images: EWKB of it with longitudes up to 360 degrees, with longitudes from -360 degrees, and of both of these.
        bounds: (xmin, ymin, xmax, ymax) of the first, degrees.
    """

    images: tuple[bytes, bytes, bytes]
    bounds: Bounds


def look_across(shape: shapely.Geometry) -> Across | None:
    """None for what does not reach the antimeridian from both sides.

    Args:
        shape: in longitude and latitude.
    """
    beyond = _across(shape)
    if beyond is None:
        return None
    before = _moved(beyond, -360.0)
    west, south, east, north = map(float, shapely.bounds(beyond))
    return Across((_ewkb(beyond), _ewkb(before), _ewkb(shapely.union(beyond, before))), (west, south, east, north))


def _ewkb(shape: shapely.Geometry) -> bytes:
    return shapely.to_wkb(shapely.set_srid(shape, WGS84), include_srid=True, flavor="extended")


def _across(shape: shapely.Geometry) -> shapely.Geometry | None:
    """What reaches the antimeridian from both sides, made whole, with longitudes up to 360 degrees."""
    west, _, east, _ = map(float, shapely.bounds(shape))
    if west > -180 or east < 180 or isinstance(shape, shapely.GeometryCollection):
        return None
    western, eastern = (shapely.intersection(shape, shapely.box(x, -90, x + 180, 90)) for x in (-180, 0))
    whole: shapely.Geometry = shapely.union(_moved(western, 360.0), eastern)
    return whole


def _moved(shape: shapely.Geometry, degrees: float) -> shapely.Geometry:
    moved: shapely.Geometry = shapely.transform(shape, lambda positions: positions + np.array((degrees, 0.0)))
    return moved
