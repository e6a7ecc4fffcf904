"""Coordinate reference systems. Axis order is x, y (longitude, latitude) everywhere inside geosvc; a `Crs` says what it is
outside. Source: OGC 18-058r1 (Features Part 2) and the EPSG registry as PROJ has it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from math import ceil, isfinite, log10, pi
from typing import TYPE_CHECKING, Any, NewType

from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from geosvc.errors import InvalidParameter

if TYPE_CHECKING:
    from geosvc.model.collection import Collection

Srid = NewType("Srid", int)

WGS84 = Srid(4326)
UNKNOWN = Srid(0)
CRS84_URI = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
CRS84H_URI = "http://www.opengis.net/def/crs/OGC/0/CRS84h"
WEB_MERCATOR = Srid(3857)
_DIGITS_OF_A_DEGREE = 7  # 11 mm
_DIGITS_OF_A_METRE = 4
_EPSG = re.compile(
    r"https?://www\.opengis\.net/def/crs/EPSG/[0-9.]{1,9}/([0-9]{1,9})"
    r"|urn:ogc:def:crs:EPSG:[0-9.]{0,9}:([0-9]{1,9})|\[EPSG:([0-9]{1,9})\]",
    re.ASCII,
)
_OGC = re.compile(
    r"https?://www\.opengis\.net/def/crs/OGC/(?:0|1\.3)/(CRS84h?)|urn:ogc:def:crs:OGC:(?:|0|1\.3):(CRS84h?)|\[OGC:(CRS84h?)\]",
    re.ASCII,
)


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


_EASTINGS_LAST = (
    # PROJ swaps the axes of these, and no others, when it is asked for x before y
    (("north", None), ("east", None)),
    (("south", 180), ("south", 90)),  # such as EPSG:32661, UPS North
    (("north", 0), ("north", 90)),  # such as EPSG:32761, UPS South
)


def _axes(crs: CRS) -> list[dict[str, Any]]:
    described = crs.to_json_dict()
    horizontal = described["components"][0] if "components" in described else described
    return horizontal["coordinate_system"]["axis"][:2] if "coordinate_system" in horizontal else []


def _direction(axis: dict[str, Any]) -> tuple[str, float | None]:
    meridian = axis.get("meridian", {}).get("longitude")
    return axis["direction"], meridian["value"] if isinstance(meridian, dict) else meridian


@lru_cache(maxsize=1024)
def axis_order(srid: Srid) -> AxisOrder:
    """The order of coordinates outside geosvc, as the EPSG registry defines it."""
    crs = _crs(srid)
    directions = tuple(map(_direction, _axes(crs))) if crs is not None else ()
    return AxisOrder.NORTH_EAST if directions in _EASTINGS_LAST else AxisOrder.EAST_NORTH


@dataclass(frozen=True, slots=True)
class Crs:
    """A coordinate reference system as clients name it.

    Attributes:
        uri: as it is listed and as the header Content-Crs has it.
        srid: inside, where coordinates are x, y.
        axis_order: outside.
    """

    uri: str
    srid: Srid
    axis_order: AxisOrder

    @property
    def flipped(self) -> bool:
        """Whether coordinates outside are y, x."""
        return self.axis_order is AxisOrder.NORTH_EAST

    @property
    def content_crs(self) -> str:
        """The value of the header Content-Crs."""
        return f"<{self.uri}>"


CRS84 = Crs(CRS84_URI, WGS84, AxisOrder.EAST_NORTH)
CRS84H = Crs(CRS84H_URI, WGS84, AxisOrder.EAST_NORTH)


@lru_cache(maxsize=1024)
def epsg_crs(srid: Srid) -> Crs | None:
    """The reference system of an EPSG code; None when PROJ does not know it, or has no two horizontal axes for it."""
    crs = _crs(srid)
    if crs is None or not (crs.is_geographic or crs.is_projected) or crs.to_authority() != ("EPSG", str(srid)):
        return None
    return Crs(crs_uri(srid), srid, axis_order(srid))


def in_file_order(srid: Srid) -> Crs:
    """The reference system of files, which have x before y whatever the registry says."""
    return Crs(crs_uri(srid), srid, AxisOrder.EAST_NORTH)


def listed_crs(collection: "Collection", configured: Sequence[Srid]) -> tuple[Crs, ...]:
    """What the features of a collection can be had in; the default first, the storage CRS next.

    Args:
        configured: EPSG codes of the settings.
    """
    return _listed(collection.geometry.srid, collection.geometry.has_z, tuple(configured))


@lru_cache(maxsize=1024)
def _listed(srid: Srid, has_z: bool, configured: tuple[Srid, ...]) -> tuple[Crs, ...]:
    heights = (CRS84H, CRS84) if has_z else (CRS84,)
    codes = dict.fromkeys((srid, WGS84, WEB_MERCATOR, *configured))
    return (*heights, *(crs for crs in map(epsg_crs, codes) if crs is not None))


def default_crs(collection: "Collection") -> Crs:
    """What coordinates are in when nobody says (OGC 18-058r1 6.2.4): longitude and latitude, with heights where there are."""
    return CRS84H if collection.geometry.has_z else CRS84


def storage_crs(collection: "Collection") -> Crs | None:
    """What the features are stored in, x before y and so CRS84 rather than EPSG:4326; None when no URI tells."""
    if collection.geometry.srid in (WGS84, UNKNOWN):
        return default_crs(collection)
    return epsg_crs(collection.geometry.srid)


def parse_crs(text: str, listed: Sequence[Crs], parameter: str) -> Crs:
    """One of the listed, by its URI, its URN or its safe CURIE. Raises: InvalidParameter."""
    uri = _canonical(text)
    for crs in listed:
        if crs.uri == uri:
            return crs
    names = ", ".join(crs.uri for crs in listed)
    raise InvalidParameter(f"{parameter} takes one of: {names}", parameter=parameter)


def _canonical(text: str) -> str | None:
    if len(text) > 200:
        return None
    match = _EPSG.fullmatch(text)
    if match is not None:
        return crs_uri(Srid(int(match[1] or match[2] or match[3])))
    match = _OGC.fullmatch(text)
    if match is None:
        return None
    return CRS84H_URI if (match[1] or match[2] or match[3]).endswith("h") else CRS84_URI


def is_geographic(srid: Srid) -> bool:
    """Whether coordinates are degrees; an unknown SRID is taken for longitude and latitude."""
    crs = _crs(srid)
    return crs is None or crs.is_geographic


@lru_cache(maxsize=1024)
def half_turn(srid: Srid) -> float | None:
    """The largest longitude in the unit of the CRS: 180 degrees, 200 grads; None where coordinates are no angles."""
    crs = _crs(srid)
    if crs is None or not crs.axis_info:
        return 180.0
    return round(pi / crs.axis_info[0].unit_conversion_factor, 9) if crs.is_geographic else None


@lru_cache(maxsize=1024)
def digits_of(srid: Srid) -> int:
    """Digits behind the point that say where something is: to a centimetre in degrees, below a millimetre in all else."""
    crs = _crs(srid)
    if crs is None or crs.is_geographic or not crs.axis_info:
        return _DIGITS_OF_A_DEGREE
    metres = crs.axis_info[0].unit_conversion_factor
    return max(0, ceil(_DIGITS_OF_A_METRE + log10(metres)))


def area_of_use(srid: Srid) -> tuple[float, float, float, float] | None:
    """(west, south, east, north) in degrees, in which coordinates transform both ways; west > east crosses the
    antimeridian. None where PROJ does not know it. Source: the EPSG registry in PROJ's database.
    """
    crs = _crs(srid)
    if crs is None or crs.area_of_use is None:
        return None
    return crs.area_of_use.bounds


@lru_cache(maxsize=256)
def to_degrees(srid: Srid) -> Transformer | None:
    """Makes longitudes and latitudes of x and y; None where the CRS is not known."""
    crs = _crs(srid)
    return None if crs is None else Transformer.from_crs(crs, WGS84, always_xy=True)


def bounds_in_degrees(srid: Srid, bounds: tuple[float, float, float, float]) -> tuple[float, float, float, float] | None:
    """(xmin, ymin, xmax, ymax) of a CRS as longitudes and latitudes; None where they cannot be transformed.

    Bounds of an unknown CRS are taken for degrees.
    """
    if srid in (WGS84, UNKNOWN):
        return bounds
    transformer = to_degrees(srid)
    if transformer is None:
        return None
    transformed = transformer.transform_bounds(*bounds)
    return transformed if all(map(isfinite, transformed)) else None
