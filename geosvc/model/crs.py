"""Coordinate reference systems. Axis order is x, y (longitude, latitude) everywhere inside geosvc; a `Crs` says what it is
outside. Source: OGC 18-058r1 (Features Part 2) and the EPSG registry as PROJ has it.
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

Srid = NewType("Srid", int)

WGS84 = Srid(4326)
UNKNOWN = Srid(0)
CRS84_URI = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
CRS84H_URI = "http://www.opengis.net/def/crs/OGC/0/CRS84h"
WEB_MERCATOR = Srid(3857)
_DIGITS_OF_A_DEGREE = 7  # 11 mm
_DIGITS_OF_A_METRE = 4
_NAMED = re.compile(
    r"https?://www\.opengis\.net/def/crs/([A-Za-z]\w{0,19})/[0-9.]{1,9}/(\w{1,9})"
    r"|urn:ogc:def:crs:([A-Za-z]\w{0,19}):[0-9.]{0,9}:(\w{1,9})|\[([A-Za-z]\w{0,19}):(\w{1,9})\]",
    re.ASCII,
)
_OGC = re.compile(
    r"https?://www\.opengis\.net/def/crs/OGC/(?:0|1\.3)/(CRS84h?)|urn:ogc:def:crs:OGC:(?:|0|1\.3):(CRS84h?)|\[OGC:(CRS84h?)\]",
    re.ASCII,
)


_caches: list[Callable[[], None]] = []
Definition = tuple[Srid, str]
_defined: dict[Srid, CRS] = {}
_texts: dict[Srid, str] = {}
_P = ParamSpec("_P")
_T = TypeVar("_T")


def cached_until_redefined(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """A function of SRIDs whose results are kept until one of them is defined anew."""
    cached = lru_cache(maxsize=1024)(function)
    _caches.append(cached.cache_clear)
    return cast("Callable[_P, _T]", cached)


def define_crs(srid: Srid, definitions: Sequence[str]) -> None:
    """Tells what an SRID of the database means that no authority knows by this number (docs/decisions/0026).

    Args:
        definitions: an authority and its code, WKT, or a PROJ string: as in PostGIS the first counts that PROJ understands.
    """
    for text in filter(None, definitions):
        try:
            crs = CRS.from_user_input(text)
        except CRSError:
            continue
        if _defined.get(srid) != crs:
            _defined[srid] = crs
            _texts[srid] = text
            for clear in _caches:
                clear()
        return


def custom_definitions() -> tuple[Definition, ...]:
    """What was told, for another process."""
    return tuple(_texts.items())


def is_well_known(srid: Srid) -> bool:
    """Whether EPSG knows the number."""
    return srid == UNKNOWN or (srid not in _defined and _by_code("EPSG", srid) is not None)


def crs_uri(srid: Srid) -> str:
    """The URI of an EPSG code, http://www.opengis.net/def/crs/EPSG/0/<srid>."""
    return f"http://www.opengis.net/def/crs/EPSG/0/{srid}"


def _by_code(authority: str, code: int) -> CRS | None:
    try:
        return CRS.from_authority(authority, code)
    except CRSError:
        return None


@cached_until_redefined
def _crs(srid: Srid) -> CRS | None:
    return _defined.get(srid) or _by_code("EPSG", srid) or _by_code("ESRI", srid)


def _authority(crs: CRS) -> tuple[str, str] | None:
    # less confidence is for systems that are only alike
    named: tuple[str, str] | None = crs.to_authority(min_confidence=100)
    return named


def is_known(srid: Srid) -> bool:
    """Whether PROJ knows what it means."""
    return _crs(srid) is not None


@cached_until_redefined
def transformer_of(srid: Srid, into: Srid) -> Transformer | None:
    """What transforms coordinates, x before y; None where PROJ knows no way."""
    here, there = _crs(srid), _crs(into)
    try:
        return (
            None
            if here is None or there is None
            else Transformer.from_crs(here, there, always_xy=True)
        )
    except ProjError:
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


@cached_until_redefined
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
    def has_y_first(self) -> bool:
        """Whether coordinates outside are y, x."""
        return self.axis_order is AxisOrder.NORTH_EAST

    @property
    def content_crs(self) -> str:
        """The value of the header Content-Crs."""
        return f"<{self.uri}>"


CRS84 = Crs(CRS84_URI, WGS84, AxisOrder.EAST_NORTH)
CRS84H = Crs(CRS84H_URI, WGS84, AxisOrder.EAST_NORTH)


@cached_until_redefined
def known_crs(srid: Srid) -> Crs | None:
    """The reference system of an SRID; None when PROJ does not know it, has no two horizontal axes for it, or no authority
    has a name for it.
    """
    crs = _crs(srid)
    named = _authority(crs) if crs is not None and (crs.is_geographic or crs.is_projected) else None
    if named is None:
        return None
    return Crs(f"http://www.opengis.net/def/crs/{named[0]}/0/{named[1]}", srid, axis_order(srid))


def crs_with_x_first(srid: Srid) -> Crs:
    """The reference system of files, which have x before y whatever the registry says."""
    return Crs(crs_uri(srid), srid, AxisOrder.EAST_NORTH)


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
    match = _OGC.fullmatch(text)
    if match is not None:
        return CRS84H_URI if (match[1] or match[2] or match[3]).endswith("h") else CRS84_URI
    match = _NAMED.fullmatch(text)
    if match is None:
        return None
    authority, code = (each for each in match.groups() if each is not None)
    return f"http://www.opengis.net/def/crs/{authority.upper()}/0/{int(code) if code.isdecimal() else code}"


def is_geographic(srid: Srid) -> bool:
    """Whether coordinates are degrees; an unknown SRID is taken for longitude and latitude."""
    crs = _crs(srid)
    return crs is None or crs.is_geographic


@cached_until_redefined
def half_turn(srid: Srid) -> float | None:
    """The largest longitude in the unit of the CRS: 180 degrees, 200 grads; None where coordinates are no angles."""
    crs = _crs(srid)
    if crs is None or not crs.axis_info:
        return 180.0
    return round(pi / crs.axis_info[0].unit_conversion_factor, 9) if crs.is_geographic else None


@cached_until_redefined
def metres_of_unit(srid: Srid) -> float:
    """How many metres a unit of projected coordinates is; 1 where nobody knows."""
    crs = _crs(srid)
    return (
        crs.axis_info[0].unit_conversion_factor
        if crs is not None and crs.axis_info and crs.is_projected
        else 1.0
    )


@cached_until_redefined
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


def transformer_to_degrees(srid: Srid) -> Transformer | None:
    """Makes longitudes and latitudes of x and y; None where the CRS is not known."""
    return transformer_of(srid, WGS84)


def bounds_in_degrees(
    srid: Srid, bounds: tuple[float, float, float, float]
) -> tuple[float, float, float, float] | None:
    """(xmin, ymin, xmax, ymax) of a CRS as longitudes and latitudes; None where they cannot be transformed.

    Bounds of an unknown CRS are taken for degrees.
    """
    if srid in (WGS84, UNKNOWN):
        return bounds
    transformer = transformer_to_degrees(srid)
    if transformer is None:
        return None
    transformed = transformer.transform_bounds(*bounds)
    return transformed if all(map(isfinite, transformed)) else None
