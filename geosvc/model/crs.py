"""Coordinate reference systems. Axis order is x, y (longitude, latitude) everywhere inside geosvc."""

from enum import Enum
from functools import lru_cache
from math import isfinite
from typing import NewType

from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

Srid = NewType("Srid", int)

WGS84 = Srid(4326)
UNKNOWN = Srid(0)
CRS84_URI = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
CRS84H_URI = "http://www.opengis.net/def/crs/OGC/0/CRS84h"


def crs_uri(srid: Srid) -> str:
    """The URI of an EPSG code, http://www.opengis.net/def/crs/EPSG/0/<srid>."""
    return f"http://www.opengis.net/def/crs/EPSG/0/{srid}"


@lru_cache(maxsize=1024)
def _crs(srid: Srid) -> CRS | None:
    try:
        return CRS.from_epsg(srid)
    except CRSError:
        return None


class AxisOrder(Enum):
    """Which coordinate an authority writes first."""

    EAST_NORTH = "x, y"
    NORTH_EAST = "y, x"


def axis_order(srid: Srid) -> AxisOrder:
    """The order of coordinates outside geosvc, as the EPSG registry defines it."""
    crs = _crs(srid)
    first = crs.axis_info[0].direction if crs is not None and crs.axis_info else "east"
    return AxisOrder.NORTH_EAST if first in ("north", "south") else AxisOrder.EAST_NORTH


def is_geographic(srid: Srid) -> bool:
    """Whether coordinates are degrees; an unknown SRID is taken for longitude and latitude."""
    crs = _crs(srid)
    return crs is None or crs.is_geographic


def area_of_use(srid: Srid) -> tuple[float, float, float, float] | None:
    """(west, south, east, north) in degrees, in which coordinates transform both ways; west > east crosses the
    antimeridian. None where PROJ does not know it. Source: the EPSG registry in PROJ's database.
    """
    crs = _crs(srid)
    if crs is None or crs.area_of_use is None:
        return None
    return crs.area_of_use.bounds


@lru_cache(maxsize=256)
def _to_degrees(srid: Srid) -> Transformer | None:
    crs = _crs(srid)
    return None if crs is None else Transformer.from_crs(crs, WGS84, always_xy=True)


def bounds_in_degrees(srid: Srid, bounds: tuple[float, float, float, float]) -> tuple[float, float, float, float] | None:
    """(xmin, ymin, xmax, ymax) of a CRS as longitudes and latitudes; None where they cannot be transformed.

    Bounds of an unknown CRS are taken for degrees.
    """
    if srid in (WGS84, UNKNOWN):
        return bounds
    transformer = _to_degrees(srid)
    if transformer is None:
        return None
    transformed = transformer.transform_bounds(*bounds)
    return transformed if all(map(isfinite, transformed)) else None
