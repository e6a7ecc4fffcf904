"""The CRS that a GeoJSON text names, in all forms that are in use.

RFC 7946 has no such member. Coordinates are x, y (longitude, latitude) whatever the name is:
section 2.1.1 of 2008 says so, and GDAL reads and writes them so.

Source: the GeoJSON specification of 2008, 3 (the member `crs`); OGC 21-045 (JSON-FG),
`coordRefSys`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pyproj import CRS
from pyproj.exceptions import CRSError

from geosvc.model.crs import WGS84, Srid, crs_uri

MEMBERS = ("crs", "coordRefSys")
_SIGNS = (b'crs"', b'coordRefSys"', b"\\u")
_CODE = re.compile(
    r"(?:urn:(?:x-)?ogc:(?:def:)?crs:|\[?)EPSG:(?:[0-9.]*:)?(?P<urn>[0-9]{1,9})\]?"
    r"|https?://(?:www\.)?opengis\.net/def/crs/EPSG/[0-9.]+/(?P<uri>[0-9]{1,9})"
    r"|https?://(?:www\.)?opengis\.net/gml/srs/epsg\.xml#(?P<gml>[0-9]{1,9})"
    r"|https?://(?:www\.)?(?:epsg\.io/|spatialreference\.org/ref/epsg/)"
    r"(?P<site>[0-9]{1,9})(?:[./].*)?",
    re.ASCII | re.IGNORECASE,
)
_LON_LAT = re.compile(
    r"(?:urn:(?:x-)?ogc:(?:def:)?crs:OGC:(?:[0-9.]*:)?"
    r"|https?://(?:www\.)?opengis\.net/def/crs/OGC/[0-9.]+/|\[?OGC:|\[?CRS:|)"
    r"(?:CRS)?(?P<number>84|83|27)h?\]?",
    re.ASCII | re.IGNORECASE,
)
_LON_LAT_SRIDS = {"84": WGS84, "83": Srid(4269), "27": Srid(4267)}
_ALIASES = {900913: 3857, 102100: 3857, 102113: 3857, 3785: 3857}  # Web Mercator before EPSG had it
_MAX_NAME = 2000  # characters
_MAX_SHOWN_NAME = 80  # characters
_MAX_CODE = 998_999  # the greatest code that PostGIS takes for a CRS of a user


class UnknownCrs(ValueError):
    """A member names an unknown CRS. The text is the name, short enough for a message."""


@dataclass(frozen=True, slots=True)
class NamedCrs:
    """A CRS that a text names.

    Attributes:
        lon_lat: whether the name says that longitude comes first, as CRS84 does.
    """

    srid: Srid
    lon_lat: bool = False

    @property
    def label(self) -> str:
        """A short name for users."""
        if self.lon_lat and self.srid == WGS84:
            return "CRS84"
        return f"EPSG:{self.srid}"

    @property
    def uri(self) -> str:
        """The URI of the EPSG code."""
        return crs_uri(self.srid)


def may_name(text: bytes) -> bool:
    """Whether a JSON text may have one of the members, escaped or not.

    It is a cheap test that saves decoding most texts.
    """
    return any(sign in text for sign in _SIGNS)


def parse_named_crs(member: Any) -> NamedCrs | None:
    """The CRS of a member `crs` or `coordRefSys`; None for null. Raises: UnknownCrs."""
    if member is None:
        return None
    name = _name_of(member)
    if name is None:
        raise UnknownCrs(_shorten(str(member)))
    named = _look_up(name.strip())
    if named is None:
        raise UnknownCrs(_shorten(name))
    return named


def _name_of(member: Any) -> str | None:
    """The name, URN or URL in a member; None for a member of an unknown form."""
    match member:
        case {"type": "EPSG" | "epsg", "properties": {"code": str() | int() as code}}:
            return f"EPSG:{code}"
        case str(name) | {"type": "Reference", "href": str(name)}:
            return name
        case {"properties": dict(properties)}:
            return _name_in(properties)
        case [first, *_]:  # JSON-FG: a compound CRS, whose first part is horizontal
            return _name_of(first)
    return None


def _name_in(properties: dict[str, Any]) -> str | None:
    match properties:
        case {"name": int(number)}:
            return f"EPSG:{number}"
        case {"name": str(number)} if number.strip().isdecimal():
            return f"EPSG:{number}"
        case (
            {"name": str(name)}
            | {"href": str(name)}
            | {"urn": str(name)}
            | {"url": str(name)}
            | {"proj4": str(name)}
        ):
            return name
    return None


@lru_cache(maxsize=256)
def _look_up(name: str) -> NamedCrs | None:
    lon_lat = _LON_LAT.fullmatch(name)
    if lon_lat is not None and not name.isdecimal():
        return NamedCrs(_LON_LAT_SRIDS[lon_lat["number"]], lon_lat=True)
    code = _CODE.fullmatch(name)
    if code is not None:
        number = int(code[code.lastgroup or 0])
        return _of_epsg(_ALIASES.get(number, number))
    return _of_proj(name)


def _of_epsg(number: int) -> NamedCrs | None:
    try:
        crs = CRS.from_epsg(number)
    except CRSError:
        return None
    if crs.is_geographic or crs.is_projected:
        return NamedCrs(Srid(number))
    return None


def _of_proj(name: str) -> NamedCrs | None:
    """The CRS that PROJ finds for a name, WKT or a PROJ string; None for one without a code."""
    if len(name) > _MAX_NAME or not name:
        return None
    try:
        crs = CRS.from_user_input(name)
    except CRSError:
        return None
    if crs.is_compound and crs.sub_crs_list:
        crs = crs.sub_crs_list[0]  # the horizontal one
    esri_code = _esri_code(crs)
    if esri_code is not None:
        if esri_code > _MAX_CODE:
            return None
        return NamedCrs(Srid(_ALIASES.get(esri_code, esri_code)))
    code = crs.to_epsg(min_confidence=90)
    if code is None:
        return None
    return _of_epsg(int(code))


def _esri_code(crs: CRS) -> int | None:
    """The code that Esri has given to a CRS; None for a CRS of another authority."""
    authority = crs.to_authority()
    if authority is None:
        return None
    name, code = authority
    if name != "ESRI" or not code.isdecimal():
        return None
    return int(code)


def _shorten(text: str) -> str:
    printable = "".join(char if char.isprintable() else "?" for char in text)
    if len(printable) > _MAX_SHOWN_NAME:
        return f"{printable[: _MAX_SHOWN_NAME - 3]}..."
    return printable
