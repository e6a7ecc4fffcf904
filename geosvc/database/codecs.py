"""Binary codecs: geometry and geography as EWKB to and from shapely, json and jsonb by orjson.

A decoder never raises, since asyncpg would lose the rest of the rows. A stored geometry that GEOS
refuses becomes a `RefusedGeometry` with its bytes.
"""

import json
from dataclasses import dataclass
from decimal import Decimal
from struct import error as struct_error
from struct import unpack_from
from typing import Any

import asyncpg
import orjson
import shapely
from numpy import errstate
from shapely.errors import ShapelyError

MAX_COLLECTION_DEPTH = 64  # nested GeometryCollections crash GEOS from some thousands on
_MAX_INTEGER_DIGITS = 4_000  # Python refuses to make longer integers

# EWKB: the flags of the type, and its values
_HAS_Z, _HAS_M, _HAS_SRID = 0x80000000, 0x40000000, 0x20000000
_KIND_BITS = 0xFF
_POINT = 1
_LINES = frozenset({2, 8})  # linestring, circular string
_RINGED = frozenset({3, 17})  # polygon, triangle
_NESTING = frozenset({7, 9, 10, 11, 12, 15, 16})  # may have members that have members
_LITTLE_ENDIAN = b"\x01"
_ORDER_BYTES, _TYPE_BYTES, _SRID_BYTES, _COUNT_BYTES, _NUMBER_BYTES = 1, 4, 4, 4, 8


@dataclass(frozen=True, slots=True)
class RefusedGeometry:
    """A geometry that PostGIS stores and GEOS refuses.

    Attributes:
        ewkb: as PostGIS sent it.
        reason: the text of the error of GEOS or shapely.
    """

    ewkb: bytes
    reason: str


Geometry = shapely.Geometry | RefusedGeometry


def collection_depth(ewkb: bytes) -> int:
    """How deep collections and multi-geometries are nested; 0 for a geometry without members.

    It is read from the bytes, without GEOS. Reading stops at MAX_COLLECTION_DEPTH + 1.

    Source: EWKB as in PostGIS's doc/ZMSgeoms.txt: byte order, type with the flags Z 0x80000000,
    M 0x40000000 and SRID 0x20000000, then coordinates, rings or members.

    Raises: struct.error when the bytes end too early.
    """
    position = 0
    deepest = 0
    unread_members = [1]  # of each collection that is open, the outermost first
    while unread_members:
        if unread_members[-1] == 0:
            unread_members.pop()
            continue
        unread_members[-1] -= 1
        position, members = _skip_geometry(ewkb, position)
        if members is None:
            continue
        unread_members.append(members)
        deepest = max(deepest, len(unread_members) - 1)
        if deepest > MAX_COLLECTION_DEPTH:
            break
    return deepest


def _skip_geometry(ewkb: bytes, position: int) -> tuple[int, int | None]:
    """Reads over a geometry; of a collection only over what is before its members.

    Returns: the position after it, and the number of members; None if it is not a collection.
    Raises: struct.error when the bytes end too early.
    """
    is_little_endian = ewkb[position : position + _ORDER_BYTES] == _LITTLE_ENDIAN
    number_format = "<I" if is_little_endian else ">I"
    (type_and_flags,) = unpack_from(number_format, ewkb, position + _ORDER_BYTES)
    position += _ORDER_BYTES + _TYPE_BYTES
    if type_and_flags & _HAS_SRID:
        position += _SRID_BYTES
    dimensions = 2 + bool(type_and_flags & _HAS_Z) + bool(type_and_flags & _HAS_M)
    point_bytes = dimensions * _NUMBER_BYTES
    kind = type_and_flags & _KIND_BITS
    if kind == _POINT:
        return position + point_bytes, None
    (members,) = unpack_from(number_format, ewkb, position)
    position += _COUNT_BYTES
    if kind in _LINES:
        return position + members * point_bytes, None
    if kind in _RINGED:
        for _ in range(members):
            (points,) = unpack_from(number_format, ewkb, position)
            position += _COUNT_BYTES + points * point_bytes
        return position, None
    return position, members


def _may_nest(ewkb: bytes) -> bool:
    """Whether its type is one of _NESTING, by the lowest byte of the type."""
    if len(ewkb) < _ORDER_BYTES + _TYPE_BYTES:
        return False
    lowest_byte = _ORDER_BYTES
    if ewkb[:_ORDER_BYTES] != _LITTLE_ENDIAN:
        lowest_byte += _TYPE_BYTES - 1
    return ewkb[lowest_byte] in _NESTING


def decode_ewkb(ewkb: bytes) -> Geometry:
    """Decodes EWKB to a geometry of shapely with its SRID, or to a RefusedGeometry."""
    raw = bytes(ewkb)
    try:
        if _may_nest(raw) and collection_depth(raw) > MAX_COLLECTION_DEPTH:
            reason = f"collections are nested deeper than {MAX_COLLECTION_DEPTH}"
            return RefusedGeometry(raw, reason)
        with errstate(invalid="ignore"):  # numpy warns of NaN, which a coordinate may be
            return shapely.from_wkb(raw)
    except (ShapelyError, NotImplementedError, ValueError, struct_error) as error:
        return RefusedGeometry(raw, str(error))


def encode_ewkb(geometry: Geometry) -> bytes:
    """Encodes a geometry of shapely as EWKB with SRID, Z and M; a RefusedGeometry as it came.

    Raises: TypeError for anything else.
    """
    if isinstance(geometry, RefusedGeometry):
        return geometry.ewkb
    if not isinstance(geometry, shapely.Geometry):
        raise TypeError(f"not a geometry: {type(geometry).__name__}")
    return shapely.to_wkb(geometry, output_dimension=4, include_srid=True, flavor="extended")


def _parse_integer(digits: str) -> int | Decimal:
    if len(digits) > _MAX_INTEGER_DIGITS:
        return Decimal(digits)
    return int(digits)


def _decode_json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass  # PostgreSQL accepts lone surrogates and huge numbers, orjson does not
    try:
        return json.loads(raw, parse_int=_parse_integer)
    except (RecursionError, ValueError):
        return raw.decode("utf-8", "replace")


def _decode_jsonb(raw: bytes) -> Any:
    return _decode_json(bytes(raw)[1:])  # the first byte is the version of the format


def _encode_jsonb(value: object) -> bytes:
    return b"\x01" + orjson.dumps(value)


async def register_codecs(connection: asyncpg.Connection, postgis_schema: str | None) -> None:
    """Sets the codecs of one connection.

    Args:
        postgis_schema: the schema of PostGIS; None when it is not installed.
    """
    await connection.set_type_codec(
        "json", schema="pg_catalog", encoder=orjson.dumps, decoder=_decode_json, format="binary"
    )
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_encode_jsonb, decoder=_decode_jsonb, format="binary"
    )
    if postgis_schema is not None:
        for name in ("geometry", "geography"):
            await connection.set_type_codec(
                name,
                schema=postgis_schema,
                encoder=encode_ewkb,
                decoder=decode_ewkb,
                format="binary",
            )
