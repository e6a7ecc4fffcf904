"""Compares the CRS that a posted body names with the one that the request says.

RFC 7946 has no member for it, but the GeoJSON of 2008 had `crs`, which PostGIS and QGIS still
write, and JSON-FG has `coordRefSys`. Coordinates in another CRS than the request says are refused;
they would be stored with wrong coordinates.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import orjson

from geosvc.errors import InvalidFeature
from geosvc.model.crs import Crs
from geosvc.values.named_crs import MEMBERS, UnknownCrs, may_name, parse_named_crs

CONTENT_CRS = "name it in the header Content-Crs, <{}>"


class Stating(msgspec.Struct, gc=False):
    """The members of a feature or a geometry that name a CRS, not decoded."""

    crs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    coordRefSys: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815 - the member's name


def check_stated_crs(
    members: Mapping[str, Any], crs: Crs, pointer: str = "", *, cure: str = CONTENT_CRS
) -> None:
    """Checks the CRS that an object names, and those that the geometries in it name.

    Args:
        members: of a FeatureCollection, a feature or a geometry, decoded.
        crs: of the coordinates, as the request says.
        pointer: to the object.
        cure: how the sender can name the CRS; {} becomes its URI.
    Raises: InvalidFeature.
    """
    for at, name, member in _stated(members, pointer):
        try:
            named = parse_named_crs(member)
        except UnknownCrs as error:
            raise InvalidFeature(
                f"the member {name} names an unknown CRS, {error}: "
                f"leave it out, and {cure.format('URI')}",
                pointer=at,
            ) from None
        if named is None:
            continue
        other_axis_order = named.lon_lat and crs.has_y_first
        if named.srid != crs.srid or other_axis_order:
            raise InvalidFeature(
                f"the member {name} says {named.label}, and coordinates are read as {crs.uri}: "
                f"{cure.format(named.uri)}",
                pointer=at,
            )


def crs_fault(
    raw_feature: Stating, geometry: bytes, place: bytes, crs: Crs
) -> InvalidFeature | None:
    """What is wrong with the CRS that a feature or its geometry names.

    None for nearly all features, which name none.

    Args:
        geometry, place: the JSON texts of the members.
        crs: of the coordinates, as the request says.
    """
    geometry_may_name = may_name(geometry)
    names_crs = raw_feature.crs is not msgspec.UNSET or raw_feature.coordRefSys is not msgspec.UNSET
    if not geometry_may_name and not names_crs and place == b"null":
        return None
    members = {}
    try:
        for name in MEMBERS:
            raw = getattr(raw_feature, name)
            if raw is not msgspec.UNSET:
                members[name] = orjson.loads(bytes(raw))
        if geometry_may_name:
            members["geometry"] = orjson.loads(geometry)
        check_stated_crs(members, crs)
    except orjson.JSONDecodeError:
        return None  # `read_geometries` reports it
    except InvalidFeature as error:
        return error
    if geometry == b"null" and place != b"null":
        return InvalidFeature(
            "the member place of JSON-FG is not read: send it as geometry", pointer="/place"
        )
    return None


def _stated(members: Mapping[str, Any], pointer: str) -> Iterator[tuple[str, str, Any]]:
    """(pointer, name, value) of each member that names a CRS."""
    for name in MEMBERS:
        if name in members:
            yield f"{pointer}/{name}", name, members[name]
    geometry = members.get("geometry")
    if isinstance(geometry, dict):
        yield from _stated(geometry, f"{pointer}/geometry")
    parts = members.get("geometries")
    if isinstance(parts, list):
        for number, part in enumerate(parts):
            if isinstance(part, dict):
                yield from _stated(part, f"{pointer}/geometries/{number}")
