"""EWKB to GeoJSON without GEOS, for what PostGIS stores and refuses to write: nested collections, surfaces of patches."""

from dataclasses import dataclass
from math import isfinite, isnan
from struct import error as struct_error
from struct import unpack_from

from geosvc.model.crs import CRS84, UNKNOWN, WGS84, Crs

MAX_DEPTH = 32
_SRID_FLAG, _M_FLAG, _Z_FLAG = 0x20000000, 0x40000000, 0x80000000
_PLAIN = {1: "Point", 2: "LineString", 3: "Polygon"}
_MULTI = {4: "MultiPoint", 5: "MultiLineString", 6: "MultiPolygon"}
_COLLECTION, _TRIANGLE = 7, 17
_PATCHES = (15, 16)  # polyhedral surface, TIN: their members are polygons and triangles


class _Unwritable(ValueError):
    """The geometry has no GeoJSON."""


@dataclass(slots=True)
class _Reader:
    ewkb: bytes
    precision: int
    crs: Crs
    position: int = 0

    def _number(self, order: str) -> int:
        (number,) = unpack_from(f"{order}I", self.ewkb, self.position)
        self.position += 4
        return int(number)

    def _coordinate(self, value: float) -> str:
        if not isfinite(value):
            raise _Unwritable("not finite")
        text = f"{value:.{self.precision}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if text == "-0" else text

    def _positions(self, order: str, count: int, kind: int) -> list[str]:
        axes = 2 + bool(kind & _Z_FLAG) + bool(kind & _M_FLAG)
        written = 2 + bool(kind & _Z_FLAG)  # M has no place in GeoJSON
        values = unpack_from(f"{order}{count * axes}d", self.ewkb, self.position)
        self.position += count * axes * 8
        order_of_axes = (1, 0, 2)[:written] if self.crs.flipped else range(written)
        return [
            "[" + ",".join(self._coordinate(values[start + axis]) for axis in order_of_axes) + "]"
            for start in range(0, count * axes, axes)
        ]

    def _coordinates(self, order: str, kind: int) -> str:
        shape = kind & 0xFF
        if shape == 1:
            return self._positions(order, 1, kind)[0]
        if shape == 2:
            return "[" + ",".join(self._positions(order, self._number(order), kind)) + "]"
        rings = [self._positions(order, self._number(order), kind) for _ in range(self._number(order))]
        return "[" + ",".join("[" + ",".join(ring) + "]" for ring in rings) + "]"

    def _skip_empty_point(self) -> bool:
        """Steps over POINT EMPTY, which EWKB writes as NaN: a multipoint is written without it."""
        order = "<" if self.ewkb[self.position] == 1 else ">"
        (kind,) = unpack_from(f"{order}I", self.ewkb, self.position + 1)
        start = self.position + (9 if kind & _SRID_FLAG else 5)
        axes = 2 + bool(kind & _Z_FLAG) + bool(kind & _M_FLAG)
        if kind & 0xFF != 1 or not all(map(isnan, unpack_from(f"{order}{axes}d", self.ewkb, start))):
            return False
        self.position = start + axes * 8
        return True

    def geometry(self, depth: int = 0) -> tuple[str, str]:
        """(type, coordinates or members) of the geometry at the position."""
        if depth > MAX_DEPTH:
            raise _Unwritable("nested too deeply")
        order = "<" if self.ewkb[self.position] == 1 else ">"
        self.position += 1
        kind = self._number(order)
        srid = self._number(order) if kind & _SRID_FLAG else UNKNOWN
        # members have the SRID of the whole; what has none is taken for degrees
        if not depth and (srid or WGS84) != self.crs.srid:
            raise _Unwritable("in another CRS")
        shape = kind & 0xFF
        if shape in _PLAIN or shape == _TRIANGLE:
            return _PLAIN.get(shape, "Polygon"), self._coordinates(order, kind)
        if shape not in _MULTI and shape != _COLLECTION and shape not in _PATCHES:
            raise _Unwritable("a curve")
        members = [self.geometry(depth + 1) for _ in range(self._number(order)) if not self._skip_empty_point()]
        if shape == _COLLECTION:
            return "GeometryCollection", "[" + ",".join(_member(*member) for member in members) + "]"
        return _MULTI.get(shape, "MultiPolygon"), "[" + ",".join(text for _, text in members) + "]"


def _member(name: str, text: str) -> str:
    key = "geometries" if name == "GeometryCollection" else "coordinates"
    return f'{{"type":"{name}","{key}":{text}}}'


def geojson_of_ewkb(ewkb: bytes, precision: int, crs: Crs = CRS84) -> str | None:
    """The GeoJSON text of a geometry; None when it has none: it is not finite, in another CRS, a curve, nested more than
    MAX_DEPTH deep, or no EWKB.

    Args:
        precision: digits behind the point.
        crs: that it must be in, and whose axis order is written.
    """
    try:
        return _member(*_Reader(ewkb, precision, crs).geometry())
    except (_Unwritable, struct_error, IndexError):
        return None
