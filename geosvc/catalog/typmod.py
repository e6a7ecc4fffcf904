"""PostGIS's type modifiers of geometry columns: type, SRID and dimensions in one number.

Source: PostGIS's liblwgeom.h, TYPMOD_GET_SRID and its neighbours.
"""

from typing import Any

from geosvc.model.collection import GeometryColumn
from geosvc.model.crs import UNKNOWN, WGS84, Srid

_GEOMETRY_TYPES = (
    "GEOMETRY",
    "POINT",
    "LINESTRING",
    "POLYGON",
    "MULTIPOINT",
    "MULTILINESTRING",
    "MULTIPOLYGON",
    "GEOMETRYCOLLECTION",
    "CIRCULARSTRING",
    "COMPOUNDCURVE",
    "CURVEPOLYGON",
    "MULTICURVE",
    "MULTISURFACE",
    "POLYHEDRALSURFACE",
    "TRIANGLE",
    "TIN",
)
_SRID_BITS = 0x0FFFFF00
_SRID_SIGN = 0x10000000
_TYPE_BITS = 0xFC
_Z_BIT = 2
_M_BIT = 1


def decode_typmod(name: str, spatial: str, typmod: int, **writing: Any) -> GeometryColumn:
    """A geometry column, described by its type modifier.

    Args:
        name: of the column.
        spatial: "geometry" or "geography".
        typmod: `pg_attribute.atttypmod`; negative when the column has none.
        writing: attributes of GeometryColumn that say how the column is written.
    """
    geography = spatial == "geography"
    srid_by_default = WGS84 if geography else UNKNOWN
    if typmod < 0:
        return GeometryColumn(name, "GEOMETRY", srid_by_default, False, False, geography, **writing)
    srid = ((typmod & _SRID_BITS) - (typmod & _SRID_SIGN)) >> 8
    type_number = (typmod & _TYPE_BITS) >> 2
    geometry_type = "GEOMETRY"
    if type_number < len(_GEOMETRY_TYPES):
        geometry_type = _GEOMETRY_TYPES[type_number]
    return GeometryColumn(
        name=name,
        type=geometry_type,
        srid=Srid(max(srid, 0)) or srid_by_default,
        has_z=bool(typmod & _Z_BIT),
        has_m=bool(typmod & _M_BIT),
        geography=geography,
        **writing,
    )


def modifier_of(spatial: str, typmod: int, declared: str) -> tuple[str, int] | None:
    """The type with its dimensions and the SRID, as `GeometryColumn.modifier`; None without one.

    Args:
        spatial: "geometry" or "geography".
        typmod: `pg_attribute.atttypmod`.
        declared: the type as `format_type` writes it. The name of a domain does not end with a
            parenthesis: its modifier is not the column's own.
    """
    if typmod < 0 or typmod & _SRID_SIGN or not declared.endswith(")"):
        return None
    srid = (typmod & _SRID_BITS) >> 8
    type_number = (typmod & _TYPE_BITS) >> 2
    if type_number >= len(_GEOMETRY_TYPES):
        return None
    if spatial == "geography" and not srid:
        return None
    type_name = _GEOMETRY_TYPES[type_number]
    if typmod & _Z_BIT:
        type_name += "Z"
    if typmod & _M_BIT:
        type_name += "M"
    return type_name, srid
