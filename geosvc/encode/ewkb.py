"""Converts EWKB to GeoJSON without GEOS.

PostGIS stores nested collections and surfaces of patches, but does not write them as GeoJSON.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite, isnan
from struct import error as struct_error
from struct import unpack_from

from geosvc.model.crs import CRS84, UNKNOWN, WGS84, Crs

MAX_DEPTH = 32
LEAST_POSITIONS = 4  # of a ring: RFC 7946 3.1.6
_SRID_FLAG = 0x20000000
_M_FLAG = 0x40000000
_Z_FLAG = 0x80000000
_TYPE_BITS = 0xFF
_POINT = 1
_LINE = 2
_PLAIN = {1: "Point", 2: "LineString", 3: "Polygon"}
_MULTI = {4: "MultiPoint", 5: "MultiLineString", 6: "MultiPolygon"}
_COLLECTION = 7
_TRIANGLE = 17
_PATCHES = (15, 16)  # polyhedral surface, TIN: their members are polygons and triangles
_WITH_MEMBERS = frozenset((*_MULTI, _COLLECTION, *_PATCHES))
_DOUBLE_BYTES = 8


class _Unwritable(ValueError):
    """The geometry has no GeoJSON."""


@dataclass(slots=True)
class _EwkbReader:
    """Reads a geometry and its members from the current position on.

    In its methods, `order` is the byte order as `struct` writes it, and `kind` the type of a
    geometry with the flags of its dimensions.
    """

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
        if "." in text:
            text = text.rstrip("0").rstrip(".")
        if text == "-0":
            return "0"
        return text

    def _positions(self, order: str, count: int, kind: int) -> list[str]:
        """The next positions, as JSON arrays."""
        stored_axes = _count_axes(kind)
        size = count * stored_axes
        values = unpack_from(f"{order}{size}d", self.ewkb, self.position)
        self.position += size * _DOUBLE_BYTES
        written_axes = [0, 1]
        if self.crs.has_y_first:
            written_axes = [1, 0]
        if kind & _Z_FLAG:
            written_axes.append(2)  # GeoJSON has no M
        positions: list[str] = []
        for start in range(0, size, stored_axes):
            coordinates = [self._coordinate(values[start + axis]) for axis in written_axes]
            positions.append(_array(coordinates))
        return positions

    def _coordinates(self, order: str, kind: int) -> str:
        """The coordinates of a point, line, polygon or triangle."""
        geometry_type = kind & _TYPE_BITS
        if geometry_type == _POINT:
            return self._positions(order, 1, kind)[0]
        if geometry_type == _LINE:
            line = self._counted_positions(order, kind)
            if len(line) == 1:
                raise _Unwritable("a line of one position")
            return _array(line)
        rings: list[list[str]] = []
        for _ in range(self._number(order)):
            rings.append(self._counted_positions(order, kind))
        if not any(rings):
            return "[]"
        for ring in rings:
            is_closed = len(ring) >= LEAST_POSITIONS and ring[0] == ring[-1]
            if not is_closed:
                raise _Unwritable("a ring that is not closed, or of less than four positions")
        return _array(map(_array, rings))

    def _counted_positions(self, order: str, kind: int) -> list[str]:
        """The next positions, after their number."""
        count = self._number(order)
        return self._positions(order, count, kind)

    def _skip_empty_point(self) -> bool:
        """Skips POINT EMPTY, which EWKB writes as NaN: GeoJSON leaves it out of a multipoint.

        Returns: whether there was one.
        """
        order = self._byte_order()
        (kind,) = unpack_from(f"{order}I", self.ewkb, self.position + 1)
        if kind & _TYPE_BITS != _POINT:
            return False
        start = self.position + 5
        if kind & _SRID_FLAG:
            start += 4
        axes = _count_axes(kind)
        coordinates = unpack_from(f"{order}{axes}d", self.ewkb, start)
        if not all(map(isnan, coordinates)):
            return False
        self.position = start + axes * _DOUBLE_BYTES
        return True

    def _byte_order(self) -> str:
        return "<" if self.ewkb[self.position] == 1 else ">"

    def _check_srid(self, srid: int) -> None:
        # a geometry without SRID is assumed to be in WGS 84
        if (srid or WGS84) != self.crs.srid:
            raise _Unwritable("in another CRS")

    def _members(self, order: str, geometry_type: int, depth: int) -> list[tuple[str, str]]:
        """The members of a geometry that is neither plain nor a curve."""
        if geometry_type not in _WITH_MEMBERS:
            raise _Unwritable("a curve")
        members: list[tuple[str, str]] = []
        for _ in range(self._number(order)):
            if not self._skip_empty_point():
                members.append(self.geometry(depth + 1))
        return members

    def geometry(self, depth: int = 0) -> tuple[str, str]:
        """(type, coordinates or members) of the geometry at the position."""
        if depth > MAX_DEPTH:
            raise _Unwritable("nested too deeply")
        order = self._byte_order()
        self.position += 1
        kind = self._number(order)
        srid: int = UNKNOWN
        if kind & _SRID_FLAG:
            srid = self._number(order)
        if not depth:  # members have the SRID of the whole
            self._check_srid(srid)
        geometry_type = kind & _TYPE_BITS
        if geometry_type in _PLAIN or geometry_type == _TRIANGLE:
            name = _PLAIN.get(geometry_type, "Polygon")
            return name, self._coordinates(order, kind)
        members = self._members(order, geometry_type, depth)
        if geometry_type == _COLLECTION:
            return "GeometryCollection", _array(_member(name, text) for name, text in members)
        # an empty member is left out, like an empty point of a multipoint
        coordinates = [text for _, text in members if text != "[]"]
        return _MULTI.get(geometry_type, "MultiPolygon"), _array(coordinates)


def _count_axes(kind: int) -> int:
    """The number of coordinates of each position."""
    return 2 + bool(kind & _Z_FLAG) + bool(kind & _M_FLAG)


def _array(elements: Iterable[str]) -> str:
    """A JSON array of JSON texts."""
    return f"[{','.join(elements)}]"


def _member(name: str, text: str) -> str:
    """The members of a GeoJSON geometry, of its type and its coordinates or members."""
    key = "coordinates"
    if name == "GeometryCollection":
        key = "geometries"
    return f'{{"type":"{name}","{key}":{text}}}'


def geojson_of_ewkb(ewkb: bytes, precision: int, crs: Crs = CRS84) -> str | None:
    """The GeoJSON text of a geometry; None when it cannot be written.

    It cannot be written when it is not EWKB, not finite, in another CRS, a curve or nested deeper
    than MAX_DEPTH, when a line or ring has too few positions, or when a ring is not closed.

    Args:
        precision: the number of decimals.
        crs: the CRS of the geometry; its axis order is written.
    """
    try:
        name, text = _EwkbReader(ewkb, precision, crs).geometry()
    except (_Unwritable, struct_error, IndexError):
        return None
    return _member(name, text)
