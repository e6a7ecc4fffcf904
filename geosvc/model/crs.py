"""Coordinate reference systems: their names, axis orders and units.

Inside geosvc the axis order is always x, y (longitude, latitude). A `Crs` has the axis order that
clients use. Source: OGC 18-058r1 (Features Part 2) and the EPSG registry in PROJ's database.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from math import ceil, isfinite, log10, pi
from typing import Any, NewType, ParamSpec, TypeVar, cast

from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from geosvc.errors import InvalidParameter
from geosvc.model.bounds import Bounds

Srid = NewType("Srid", int)

WGS84 = Srid(4326)
WEB_MERCATOR = Srid(3857)
UNKNOWN = Srid(0)
"""PostGIS's SRID of a geometry without a CRS."""
CRS84_URI = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
CRS84H_URI = "http://www.opengis.net/def/crs/OGC/0/CRS84h"

_DECIMALS_OF_DEGREES = 7  # 11 mm
_DECIMALS_OF_METRES = 4
_MAX_NAME_LENGTH = 200
_OGC_NAME = re.compile(
    r"https?://www\.opengis\.net/def/crs/OGC/(?:0|1\.3)/(CRS84h?)"
    r"|urn:ogc:def:crs:OGC:(?:|0|1\.3):(CRS84h?)"
    r"|\[OGC:(CRS84h?)\]",
    re.ASCII,
)
_AUTHORITY_NAME = re.compile(
    r"https?://www\.opengis\.net/def/crs/([A-Za-z]\w{0,19})/[0-9.]{1,9}/(\w{1,9})"
    r"|urn:ogc:def:crs:([A-Za-z]\w{0,19}):[0-9.]{0,9}:(\w{1,9})"
    r"|\[([A-Za-z]\w{0,19}):(\w{1,9})\]",
    re.ASCII,
)

CustomDefinition = tuple[Srid, str]
"""(SRID, the text that defines it)."""
_custom_crs: dict[Srid, CRS] = {}
_custom_texts: dict[Srid, str] = {}
_clear_caches: list[Callable[[], None]] = []
_P = ParamSpec("_P")
_T = TypeVar("_T")


def cached_until_redefined(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """A decorator that caches the results of a function until `define_crs` changes an SRID."""
    cached = lru_cache(maxsize=1024)(function)
    _clear_caches.append(cached.cache_clear)
    return cast("Callable[_P, _T]", cached)


def define_crs(srid: Srid, definitions: Sequence[str]) -> None:
    """Sets what an SRID of the database means (docs/decisions/0026).

    The first definition that PROJ understands is used, as in PostGIS.

    Args:
        definitions: each is an authority and a code, WKT, a PROJ string, or empty.
    """
    for text in definitions:
        if not text:
            continue
        try:
            crs = CRS.from_user_input(text)
        except CRSError:
            continue
        if _custom_crs.get(srid) != crs:
            _custom_crs[srid] = crs
            _custom_texts[srid] = text
            for clear in _clear_caches:
                clear()
        return


def custom_definitions() -> tuple[CustomDefinition, ...]:
    """All definitions that `define_crs` has set. A child process sets them again."""
    return tuple(_custom_texts.items())


def is_well_known(srid: Srid) -> bool:
    """Whether an SRID is an EPSG code that `define_crs` has not changed; true for `UNKNOWN`."""
    if srid == UNKNOWN:
        return True
    return srid not in _custom_crs and _crs_by_code("EPSG", srid) is not None


def is_known(srid: Srid) -> bool:
    """Whether PROJ knows the CRS of an SRID."""
    return _crs_of(srid) is not None


@cached_until_redefined
def _crs_of(srid: Srid) -> CRS | None:
    return _custom_crs.get(srid) or _crs_by_code("EPSG", srid) or _crs_by_code("ESRI", srid)


def _crs_by_code(authority: str, code: int) -> CRS | None:
    try:
        return CRS.from_authority(authority, code)
    except CRSError:
        return None


def crs_uri(srid: Srid) -> str:
    """The URI of an EPSG code, http://www.opengis.net/def/crs/EPSG/0/<srid>."""
    return _uri("EPSG", str(srid))


def _uri(authority: str, code: str) -> str:
    return f"http://www.opengis.net/def/crs/{authority}/0/{code}"


class AxisOrder(Enum):
    """The order of coordinates in a CRS."""

    EAST_NORTH = "x, y"
    NORTH_EAST = "y, x"


# The (direction, meridian) of both axes, where PROJ with always_xy swaps them. It swaps no others.
_SWAPPED_AXES = (
    (("north", None), ("east", None)),
    (("south", 180), ("south", 90)),  # such as EPSG:32661, UPS North
    (("north", 0), ("north", 90)),  # such as EPSG:32761, UPS South
)


@cached_until_redefined
def axis_order(srid: Srid) -> AxisOrder:
    """The axis order that clients use, as the EPSG registry defines it."""
    crs = _crs_of(srid)
    if crs is None:
        return AxisOrder.EAST_NORTH
    directions = tuple(_direction(axis) for axis in _horizontal_axes(crs))
    if directions in _SWAPPED_AXES:
        return AxisOrder.NORTH_EAST
    return AxisOrder.EAST_NORTH


def _horizontal_axes(crs: CRS) -> list[dict[str, Any]]:
    """The first two axes in PROJJSON; of a compound CRS those of its first component."""
    horizontal = crs.to_json_dict()
    if "components" in horizontal:
        horizontal = horizontal["components"][0]
    if "coordinate_system" not in horizontal:
        return []
    axes: list[dict[str, Any]] = horizontal["coordinate_system"]["axis"]
    return axes[:2]


def _direction(axis: dict[str, Any]) -> tuple[str, float | None]:
    """The direction of an axis, and the meridian along which it runs, if it has one."""
    meridian = axis.get("meridian", {}).get("longitude")
    if isinstance(meridian, dict):
        meridian = meridian["value"]
    return axis["direction"], meridian


@dataclass(frozen=True, slots=True)
class Crs:
    """A CRS as clients name and use it.

    Attributes:
        uri: in lists of CRSs and in the header Content-Crs.
        srid: next to SQL, where coordinates are x, y.
        axis_order: of coordinates in requests and responses.
    """

    uri: str
    srid: Srid
    axis_order: AxisOrder

    @property
    def has_y_first(self) -> bool:
        """Whether requests and responses have y before x."""
        return self.axis_order is AxisOrder.NORTH_EAST

    @property
    def content_crs(self) -> str:
        """The value of the header Content-Crs."""
        return f"<{self.uri}>"


CRS84 = Crs(CRS84_URI, WGS84, AxisOrder.EAST_NORTH)
CRS84H = Crs(CRS84H_URI, WGS84, AxisOrder.EAST_NORTH)


@cached_until_redefined
def known_crs(srid: Srid) -> Crs | None:
    """The CRS of an SRID as clients name it; None if clients cannot name it.

    It must be known to PROJ, have two horizontal axes, and have a name from an authority.
    """
    crs = _crs_of(srid)
    if crs is None or not (crs.is_geographic or crs.is_projected):
        return None
    # with less confidence, PROJ also returns the names of CRSs that are only similar
    name = crs.to_authority(min_confidence=100)
    if name is None:
        return None
    authority, code = name
    return Crs(_uri(authority, code), srid, axis_order(srid))


def crs_with_x_first(srid: Srid) -> Crs:
    """The CRS of coordinates in files, which have x before y in every CRS."""
    return Crs(crs_uri(srid), srid, AxisOrder.EAST_NORTH)


def parse_crs(text: str, listed: Sequence[Crs], parameter: str) -> Crs:
    """Finds one of the listed CRSs by its URI, URN or safe CURIE.

    Raises: InvalidParameter.
    """
    uri = _normalised_uri(text)
    for crs in listed:
        if crs.uri == uri:
            return crs
    names = ", ".join(crs.uri for crs in listed)
    raise InvalidParameter(f"{parameter} takes one of: {names}", parameter=parameter)


def _normalised_uri(text: str) -> str | None:
    """The URI as geosvc writes it, of any form of the name of a CRS; None if it is no name."""
    if len(text) > _MAX_NAME_LENGTH:
        return None
    match = _OGC_NAME.fullmatch(text)
    if match is not None:
        name = match[match.lastindex or 0]
        return CRS84H_URI if name == "CRS84h" else CRS84_URI
    match = _AUTHORITY_NAME.fullmatch(text)
    if match is None:
        return None
    authority, code = [group for group in match.groups() if group is not None]
    if code.isdecimal():
        code = str(int(code))  # without leading zeros
    return _uri(authority.upper(), code)


def is_geographic(srid: Srid) -> bool:
    """Whether coordinates are angles. An unknown SRID is taken as longitude and latitude."""
    crs = _crs_of(srid)
    return crs is None or crs.is_geographic


@cached_until_redefined
def half_turn(srid: Srid) -> float | None:
    """The largest longitude, in the unit of the CRS: 180 degrees, 200 grads.

    None if coordinates are not angles. An unknown SRID is taken as longitude and latitude.
    """
    crs = _crs_of(srid)
    if crs is None or not crs.axis_info:
        return 180.0
    if not crs.is_geographic:
        return None
    radians_per_unit = crs.axis_info[0].unit_conversion_factor
    return round(pi / radians_per_unit, 9)


@cached_until_redefined
def metres_of_unit(srid: Srid) -> float:
    """The length of a unit of projected coordinates in metres; 1 if it is not known."""
    crs = _crs_of(srid)
    if crs is None or not crs.axis_info or not crs.is_projected:
        return 1.0
    metres: float = crs.axis_info[0].unit_conversion_factor
    return metres


@cached_until_redefined
def digits_of(srid: Srid) -> int:
    """The decimals of written coordinates: 11 mm in degrees, below 1 mm in other units."""
    crs = _crs_of(srid)
    if crs is None or crs.is_geographic or not crs.axis_info:
        return _DECIMALS_OF_DEGREES
    metres = crs.axis_info[0].unit_conversion_factor
    return max(0, ceil(_DECIMALS_OF_METRES + log10(metres)))


def area_of_use(srid: Srid) -> Bounds | None:
    """(west, south, east, north) in degrees, in which coordinates can be transformed both ways.

    With west > east it crosses the antimeridian. None if PROJ does not know it.
    Source: the EPSG registry in PROJ's database.
    """
    crs = _crs_of(srid)
    if crs is None or crs.area_of_use is None:
        return None
    return crs.area_of_use.bounds


@cached_until_redefined
def transformer_of(source: Srid, target: Srid) -> Transformer | None:
    """A transformer of coordinates in the order x, y; None if PROJ knows no transformation."""
    source_crs, target_crs = _crs_of(source), _crs_of(target)
    if source_crs is None or target_crs is None:
        return None
    try:
        return Transformer.from_crs(source_crs, target_crs, always_xy=True)
    except ProjError:
        return None


def transformer_to_degrees(srid: Srid) -> Transformer | None:
    """A transformer from x, y to longitude, latitude; None if the CRS is not known."""
    return transformer_of(srid, WGS84)


def bounds_in_degrees(srid: Srid, bounds: Bounds) -> Bounds | None:
    """Bounds in a CRS transformed to degrees; None if they cannot be transformed.

    Bounds in an unknown CRS are taken as degrees.
    """
    if srid in (WGS84, UNKNOWN):
        return bounds
    transformer = transformer_to_degrees(srid)
    if transformer is None:
        return None
    transformed = transformer.transform_bounds(*bounds)
    if not all(map(isfinite, transformed)):
        return None
    return transformed
