"""Binary codecs: geometry and geography as EWKB to and from shapely, json and jsonb by orjson.

Decoders never raise: asyncpg would lose the rest of the rows. A stored geometry that GEOS refuses comes back as a
`RefusedGeometry` with its bytes.
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
_POINT = 1
_LINES = frozenset({2, 8})  # linestring, circular string
_RINGED = frozenset({3, 17})  # polygon, triangle
_NESTING = frozenset({7, 9, 10, 11, 12, 15, 16})  # the others hold only points, lines and rings


@dataclass(frozen=True, slots=True)
class RefusedGeometry:
    """A geometry that PostGIS stores and GEOS refuses.

    Attributes:
        ewkb: as PostGIS sent it.
        reason: GEOS's or shapely's words.
    """

    ewkb: bytes
    reason: str


Geometry = shapely.Geometry | RefusedGeometry


def collection_depth(ewkb: bytes) -> int:
    """How deep collections are nested, read from the bytes alone; stops one beyond MAX_COLLECTION_DEPTH.

    Source: EWKB as in PostGIS's doc/ZMSgeoms.txt: byte order, type with the flags Z 0x80000000, M 0x40000000 and SRID
    0x20000000, then coordinates, rings or members.

    Raises: struct.error when the bytes end too early.
    """
    position, deepest, open_members = 0, 0, [1]
    while open_members:
        if open_members[-1] == 0:
            open_members.pop()
            continue
        open_members[-1] -= 1
        order = "<" if ewkb[position : position + 1] == b"\x01" else ">"
        (kind,) = unpack_from(f"{order}I", ewkb, position + 1)
        position += 9 if kind & 0x20000000 else 5
        point_bytes = 8 * (2 + bool(kind & 0x80000000) + bool(kind & 0x40000000))
        shape = kind & 0xFF
        if shape == _POINT:
            position += point_bytes
            continue
        (members,) = unpack_from(f"{order}I", ewkb, position)
        position += 4
        if shape in _LINES:
            position += members * point_bytes
        elif shape in _RINGED:
            for _ in range(members):
                (points,) = unpack_from(f"{order}I", ewkb, position)
                position += 4 + points * point_bytes
        else:
            open_members.append(members)
            deepest = max(deepest, len(open_members) - 1)
            if deepest > MAX_COLLECTION_DEPTH:
                break
    return deepest


def _may_nest(ewkb: bytes) -> bool:
    return len(ewkb) > 4 and ewkb[1 if ewkb[0] == 1 else 4] in _NESTING


def decode_ewkb(ewkb: bytes) -> Geometry:
    """EWKB to shapely with its SRID, or a RefusedGeometry."""
    raw = bytes(ewkb)
    try:
        if _may_nest(raw) and collection_depth(raw) > MAX_COLLECTION_DEPTH:
            return RefusedGeometry(
                raw, f"collections are nested deeper than {MAX_COLLECTION_DEPTH}"
            )
        with errstate(invalid="ignore"):  # NaN is a coordinate like any other here
            return shapely.from_wkb(raw)
    except (ShapelyError, NotImplementedError, ValueError, struct_error) as error:
        return RefusedGeometry(raw, str(error))


def encode_ewkb(geometry: Geometry) -> bytes:
    """Shapely to EWKB with SRID, Z and M; a RefusedGeometry as it came.

    Raises: TypeError for anything else.
    """
    if isinstance(geometry, RefusedGeometry):
        return geometry.ewkb
    if not isinstance(geometry, shapely.Geometry):
        raise TypeError(f"not a geometry: {type(geometry).__name__}")
    return shapely.to_wkb(geometry, output_dimension=4, include_srid=True, flavor="extended")


def _parse_whole(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= _MAX_INTEGER_DIGITS else Decimal(digits)


def _decode_json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass  # lone surrogates and huge numbers, which PostgreSQL takes and orjson does not
    try:
        return json.loads(raw, parse_int=_parse_whole)
    except (RecursionError, ValueError):
        return raw.decode("utf-8", "replace")


def _decode_jsonb(raw: bytes) -> Any:
    return _decode_json(bytes(raw)[1:])  # the first byte is jsonb's version


def _encode_jsonb(value: object) -> bytes:
    return b"\x01" + orjson.dumps(value)


async def register_codecs(connection: asyncpg.Connection, postgis_schema: str | None) -> None:
    """Sets the codecs of one connection.

    Args:
        postgis_schema: where PostGIS lives; None when it is not installed.
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
