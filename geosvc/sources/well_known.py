"""Geometries as texts: WKT, EWKT, hexadecimal WKB or EWKB, and GeoJSON.

Source: OGC 06-103r4 7 and 8; PostGIS for the SRID; RFC 7946.
"""

import re
from binascii import Error as BinasciiError
from binascii import unhexlify
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import shapely
from shapely.errors import ShapelyError

from geosvc.bodies.geometries import MAX_DEPTH, nesting_depth
from geosvc.bodies.geometry_checks import Shapes
from geosvc.bodies.geometry_faults import find_fault
from geosvc.sources.schema import GEOMETRY_TYPES
from geosvc.sources.shapes import LocateFeature, SeenGeometries
from geosvc.sources.source_error import SourceError
from geosvc.values.named_crs import UnknownCrs, parse_named_crs

# GEOS recurses into nested collections, and crashes from some thousands on. No geometry has so many
# side by side.
MAX_COLLECTIONS = 1000
_COLLECTION_IN_WKT = re.compile("COLLECTION", re.IGNORECASE)
_COLLECTION_IN_WKB = re.compile(
    rb"\x01(?:\x07\x00|\xef\x03|\xd7\x07|\xbf\x0b)\x00"
    rb"|\x00[\x00-\xff]\x00(?:\x00\x07|\x03\xef|\x07\xd7|\x0b\xbf)",
    re.DOTALL,
)
_SRID = re.compile(r"\s*SRID\s*=\s*(\d{1,6})\s*;", re.IGNORECASE)
_WKT = re.compile(
    rf"\s*({'|'.join(GEOMETRY_TYPES[:-1])})\s*(ZM|Z|M)?\s*(?:EMPTY|\()", re.IGNORECASE
)
_CURVES = re.compile(
    r"CIRCULARSTRING|COMPOUNDCURVE|CURVEPOLYGON|MULTICURVE|MULTISURFACE", re.IGNORECASE
)
_FIRST_POSITION = re.compile(r"\(\s*[-+0-9.eE]+\s+[-+0-9.eE]+(\s+[-+0-9.eE])?")
# SQL Server writes 0x before it, and bytea has \x
_HEX = re.compile(r"\s*(?:0[xX]|\\x)?(?:00|01)[0-9A-Fa-f]{8}")
_EWKB_SRID = 0x20000000
_JSON = re.compile(r"\s*\{")
_JSON_TYPES = (
    "Point",
    "LineString",
    "Polygon",
    "MultiPoint",
    "MultiLineString",
    "MultiPolygon",
    "GeometryCollection",
)
_GEOJSON = re.compile(
    rf"""\s*\{{(?=[^{{}}]*"type"\s*:\s*"(?:{"|".join(_JSON_TYPES)})")"""
    r"""(?=\s*"(?:type|coordinates|geometries|bbox|crs)"\s*:)"""
)
_JSON_POSITION = re.compile(rb"\[\s*[-+0-9.eE]+\s*,\s*[-+0-9.eE]+\s*(,?)")
_CODES: dict[str, int] = {name: code for code, name in enumerate(GEOMETRY_TYPES[:-1], 1)}
_SHOWN_CHARACTERS = 200  # of an error of GEOS


class _Geometry(msgspec.Struct, gc=False):
    type: str = ""
    coordinates: msgspec.Raw = msgspec.Raw()
    geometries: msgspec.Raw = msgspec.Raw()
    crs: Any = msgspec.UNSET


def is_geojson(text: str) -> bool:
    """Whether a text begins as a geometry in GeoJSON does."""
    return _GEOJSON.match(text) is not None


def may_be_geojson(text: str) -> bool:
    """Whether a geometry is written in JSON, whose default CRS is WGS 84."""
    return _JSON.match(text) is not None


def add_geometry(text: str, seen: SeenGeometries) -> int | None:
    """Adds the type of a geometry, from the beginning of its text.

    Returns: its SRID.
    Raises: ValueError, in words for a person.
    """
    if _HEX.match(text):
        return _add_wkb(text, seen)
    if may_be_geojson(text):
        return _add_geojson(text.encode(), seen)
    return _add_wkt(text, seen)


def _add_wkt(text: str, seen: SeenGeometries) -> int | None:
    if text.count("(") > MAX_COLLECTIONS:
        _check_collections(len(_COLLECTION_IN_WKT.findall(text)))
    srid: int | None = None
    wkt_begin = 0
    prefix = _SRID.match(text)
    if prefix is not None:
        srid = int(prefix[1])
        wkt_begin = prefix.end()
    found = _WKT.match(text, wkt_begin)
    # the parts of a collection may be curves
    may_have_curves = found is None or found[1][0] in "Gg"
    if may_have_curves and _CURVES.search(text):
        raise ValueError("the geometry has curves, which cannot be loaded")
    if found is None:
        raise ValueError("the geometry is neither WKT, hexadecimal WKB nor GeoJSON")
    type_name, dimensions = found.groups()
    seen.add_code(_CODES[type_name.upper()])
    if dimensions:
        dimensions = dimensions.upper()
        seen.has_m |= "M" in dimensions
        seen.has_z |= "Z" in dimensions
    elif not seen.has_z:  # PostGIS writes Z coordinates without a Z in the type
        first = _FIRST_POSITION.search(text)
        seen.has_z = first is not None and first[1] is not None
    return srid


def _check_collections(count: int) -> None:
    if count > MAX_COLLECTIONS:
        raise ValueError(f"the geometry has more than {MAX_COLLECTIONS} collections")


def _add_wkb(text: str, seen: SeenGeometries) -> int | None:
    try:
        binary = unhexlify(_hex_digits(text))
    except (BinasciiError, ValueError):
        raise ValueError("the geometry is not hexadecimal WKB") from None
    order: Literal["little", "big"] = "little" if binary[0] else "big"
    code = int.from_bytes(binary[1:5], order)
    if not seen.add_code(code):
        raise ValueError("the geometry is of a type that cannot be loaded")
    _check_collections(len(_COLLECTION_IN_WKB.findall(binary)))
    if not code & _EWKB_SRID:
        return None
    return int.from_bytes(binary[5:9], order)


def _add_geojson(text: bytes, seen: SeenGeometries) -> int | None:
    if nesting_depth(text) > MAX_DEPTH:
        raise ValueError(f"the geometry is nested deeper than {MAX_DEPTH} brackets")
    try:
        geometry = msgspec.json.decode(text, type=_Geometry)
    except msgspec.DecodeError:
        raise ValueError("the geometry is not valid GeoJSON") from None
    if geometry.type not in _JSON_TYPES:
        raise ValueError("the geometry has no type of GeoJSON")
    seen.add_code(_JSON_TYPES.index(geometry.type) + 1)
    positions = bytes(geometry.coordinates) or bytes(geometry.geometries)
    first = _JSON_POSITION.search(positions)
    seen.has_z |= first is not None and first[1] == b","
    if geometry.crs is msgspec.UNSET:
        return None
    try:
        named = parse_named_crs(geometry.crs)
    except UnknownCrs as error:
        raise ValueError(f"the geometry names an unknown CRS, {error}") from None
    if named is None:
        return None
    return int(named.srid)


def parse_geometries(texts: Sequence[str | None], locate: LocateFeature) -> Shapes:
    """The geometries; None for None.

    Raises: SourceError, naming the first geometry that cannot be parsed.
    """
    wkb: dict[int, str] = {}  # by index in the texts
    geojson: dict[int, str] = {}
    wkt: dict[int, str] = {}
    for index, text in enumerate(texts):
        if text is None:
            continue
        if _HEX.match(text):
            wkb[index] = _hex_digits(text)
        elif _JSON.match(text):
            geojson[index] = text
        else:
            wkt[index] = _SRID.sub("", text, count=1)
    shapes: Shapes = np.full(len(texts), None, dtype=object)
    _parse_into(shapes, wkb, shapely.from_wkb, locate)
    _parse_into(shapes, geojson, shapely.from_geojson, locate)
    _parse_into(shapes, wkt, shapely.from_wkt, locate)
    return shapes


def _parse_into(
    shapes: Shapes, texts: dict[int, str], parse: Callable[..., Any], locate: LocateFeature
) -> None:
    """Parses texts of one format into the shapes at their indexes."""
    if not texts:
        return
    indexes = list(texts)
    with np.errstate(over="ignore"):  # `fit` finds infinity
        shapes[indexes] = _parse_many(parse, list(texts.values()))
    for index, text in texts.items():
        if shapes[index] is None:
            reason = _reason(parse, text)
            raise SourceError(f"{locate(index)}: the geometry cannot be read: {reason}")


def _parse_many(parse: Callable[..., Any], texts: Sequence[str]) -> Any:
    try:
        return parse(np.array(texts, dtype=object), on_invalid="ignore")
    except NotImplementedError:  # one of them is a curve; `_reason` finds which one
        return np.full(len(texts), None, dtype=object)


def _hex_digits(text: str) -> str:
    """The digits without the prefixes that other programs write."""
    digits = text.strip()
    for prefix in ("\\x", "0x", "0X"):
        digits = digits.removeprefix(prefix)
    return digits


def _reason(parse: Callable[..., Any], text: str) -> str:
    if parse is shapely.from_geojson:
        fault = find_fault(text.encode())
        if not fault.pointer:
            return fault.detail
        return f"at {fault.pointer} {fault.detail}"
    try:
        parse(text)
    except (ShapelyError, NotImplementedError) as error:
        return str(error)[:_SHOWN_CHARACTERS]
    return "it has parts that cannot be loaded"
