"""Geometries as texts: WKT, EWKT, and hexadecimal WKB or EWKB. Source: OGC 06-103r4 7 and 8; PostGIS for the SRID."""

import re
from binascii import Error as BinasciiError
from binascii import unhexlify
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import shapely
from shapely.errors import ShapelyError

from geosvc.requests.geometries import Shapes
from geosvc.sources.errors import SourceError
from geosvc.sources.schema import GEOMETRY_TYPES
from geosvc.sources.shapes import SeenGeometries, Where

# GEOS follows them one within another, and crashes from some thousands on; nobody has so many beside one another
MAX_COLLECTIONS = 1000
_COLLECTION_IN_WKT = re.compile("COLLECTION", re.IGNORECASE)
_COLLECTION_IN_WKB = re.compile(
    rb"\x01(?:\x07\x00|\xef\x03|\xd7\x07|\xbf\x0b)\x00|\x00[\x00-\xff]\x00(?:\x00\x07|\x03\xef|\x07\xd7|\x0b\xbf)", re.DOTALL
)
_SRID = re.compile(r"\s*SRID\s*=\s*(\d{1,6})\s*;", re.IGNORECASE)
_WKT = re.compile(rf"\s*({'|'.join(GEOMETRY_TYPES[:-1])})\s*(ZM|Z|M)?\s*(?:EMPTY|\()", re.IGNORECASE)
_CURVES = re.compile(r"CIRCULARSTRING|COMPOUNDCURVE|CURVEPOLYGON|MULTICURVE|MULTISURFACE", re.IGNORECASE)
_FIRST_POSITION = re.compile(r"\(\s*[-+0-9.eE]+\s+[-+0-9.eE]+(\s+[-+0-9.eE])?")
_HEX = re.compile("(?:00|01)[0-9A-Fa-f]{8}")
_EWKB_SRID = 0x20000000
_CODES: dict[str, int] = {name: code for code, name in enumerate(GEOMETRY_TYPES[:-1], 1)}


def look_at(text: str, seen: SeenGeometries) -> int | None:
    """Takes note of a geometry by its first words. Returns: its SRID. Raises: ValueError, in words for a person."""
    if _HEX.match(text):
        return _look_at_binary(text, seen)
    if text.count("(") > MAX_COLLECTIONS and len(_COLLECTION_IN_WKT.findall(text)) > MAX_COLLECTIONS:
        raise ValueError(f"the geometry has more than {MAX_COLLECTIONS} collections")
    srid = _SRID.match(text)
    found = _WKT.match(text, srid.end() if srid is not None else 0)
    if (found is None or found[1][0] in "Gg") and _CURVES.search(text):
        raise ValueError("the geometry has curves, which cannot be loaded")
    if found is None:
        raise ValueError("the geometry is neither WKT nor hexadecimal WKB")
    dimensions = (found[2] or "").upper()
    seen.add_code(_CODES[found[1].upper()])
    seen.has_m |= "M" in dimensions
    first = None if dimensions else _FIRST_POSITION.search(text)
    seen.has_z |= "Z" in dimensions or (first is not None and first[1] is not None)
    return int(srid[1]) if srid is not None else None


def _look_at_binary(text: str, seen: SeenGeometries) -> int | None:
    try:
        binary = unhexlify(text.strip())
    except (BinasciiError, ValueError):
        raise ValueError("the geometry is no hexadecimal WKB") from None
    order: Literal["little", "big"] = "little" if binary[0] else "big"
    code = int.from_bytes(binary[1:5], order)
    if not seen.add_code(code):
        raise ValueError("the geometry is of a type that cannot be loaded")
    if len(_COLLECTION_IN_WKB.findall(binary)) > MAX_COLLECTIONS:
        raise ValueError(f"the geometry has more than {MAX_COLLECTIONS} collections")
    return int.from_bytes(binary[5:9], order) if code & _EWKB_SRID else None


def read_geometries(texts: Sequence[str | None], where: Where) -> Shapes:
    """The geometries. Raises: SourceError, naming the first that cannot be read."""
    shapes = np.full(len(texts), None, dtype=object)
    binary = [place for place, text in enumerate(texts) if text is not None and _HEX.match(text)]
    known = set(binary)
    words = [place for place, text in enumerate(texts) if text is not None and place not in known]
    for places, read, given in (
        (binary, shapely.from_wkb, [_text(texts, place).strip() for place in binary]),
        (words, shapely.from_wkt, [_SRID.sub("", _text(texts, place), count=1) for place in words]),
    ):
        if places:
            with np.errstate(over="ignore"):  # infinity is found by `fit`
                shapes[places] = _read_many(read, given)
            for place, text in zip(places, given, strict=True):
                if shapes[place] is None:
                    raise SourceError(f"{where(place)}: the geometry cannot be read: {_reason(read, text)}")
    return shapes


def _read_many(read: Any, given: Sequence[str]) -> Any:
    try:
        return read(np.array(given, dtype=object), on_invalid="ignore")
    except NotImplementedError:  # a curve; which one it is, is for the caller to say
        return np.full(len(given), None, dtype=object)


def _text(texts: Sequence[str | None], place: int) -> str:
    return texts[place] or ""


def _reason(read: Any, text: str) -> str:
    try:
        read(text)
    except (ShapelyError, NotImplementedError) as error:
        return str(error)[:200]
    return "it holds what cannot be loaded"
