"""The geometry in the body of a search, and how features must lie to it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from math import isfinite
from typing import Any

import msgspec
import shapely

from geosvc.bodies.antimeridian import make_whole
from geosvc.bodies.geodesic import geodesics_of, has_empty_part
from geosvc.bodies.geometries import GeometryRules, read_geometries
from geosvc.bodies.stated_crs import check_stated_crs
from geosvc.errors import InvalidFeature, InvalidParameter
from geosvc.model.collection import GeometryColumn
from geosvc.model.crs import CRS84, WGS84
from geosvc.model.spatial import FARTHEST_METRES, Predicate, SpatialFilter
from geosvc.values.named_crs import may_name

_POSTED = GeometryColumn("geometry", "GEOMETRY", WGS84, insertable=True)


Members = Mapping[str, Any]
"""The members of a search body, decoded; the geometry as a GeometryShell."""

RawMembers = Mapping[str, bytes]
"""The members of a search body as JSON, as they were posted."""


class GeometryShell(msgspec.Struct, gc=False):
    """A geometry or a Feature whose members are not decoded."""

    type: msgspec.Raw = msgspec.Raw(b"null")
    geometry: msgspec.Raw = msgspec.Raw(b"null")


def parse_spatial(members: Members, raws: RawMembers, max_vertices: int) -> SpatialFilter | None:
    """The spatial filter of a search; None without a geometry.

    Raises: InvalidParameter, InvalidFeature.
    """
    if "geometry" not in members:
        _refuse_without_geometry(members)
        return None
    predicate = _parse_predicate(members)
    metres = _parse_metres(members, predicate)
    text, pointer = _posted_geometry(members["geometry"], raws["geometry"])
    shape = _read_geometry(text, pointer, max_vertices)
    xmin, ymin, xmax, ymax = map(float, shapely.bounds(shape))
    bounds = (xmin, ymin, xmax, ymax)
    spatial = SpatialFilter(_ewkb(shape), bounds, predicate, metres)
    if spatial.has_distances:
        return _with_geodesics(spatial, shape, pointer, max_vertices)
    whole = make_whole(shape)
    if whole is None:
        return spatial
    return replace(spatial, bounds=whole.bounds, across=whole.images)


def _refuse_without_geometry(members: Members) -> None:
    for name in ("predicate", "distance"):
        if name in members:
            raise InvalidParameter(
                f"{name} needs a geometry", parameter="geometry", pointer="/geometry"
            )


def _parse_predicate(members: Members) -> Predicate:
    try:
        return Predicate(members.get("predicate", "intersects"))
    except ValueError:
        raise InvalidParameter(
            f"predicate takes one of: {', '.join(Predicate)}",
            parameter="predicate",
            pointer="/predicate",
        ) from None


def _parse_metres(members: Members, predicate: Predicate) -> float | None:
    """The distance in metres; None without one."""
    distance = members.get("distance")
    if distance is None:
        if predicate is Predicate.DWITHIN:
            raise _wrong_distance("dwithin needs a distance in metres")
        return None
    if predicate not in (Predicate.DWITHIN, Predicate.NEAREST):
        raise _wrong_distance("distance is for dwithin and nearest")
    is_number = isinstance(distance, int | float) and not isinstance(distance, bool)
    if not is_number or not isfinite(distance) or distance < 0:
        raise _wrong_distance("distance takes a number of metres from 0")
    return min(float(distance), FARTHEST_METRES)


def _wrong_distance(detail: str) -> InvalidParameter:
    return InvalidParameter(detail, parameter="distance", pointer="/distance")


def _posted_geometry(shell: GeometryShell | Any, text: bytes) -> tuple[bytes, str]:
    """The text of the geometry, which may be that of a Feature, and the pointer to it.

    Raises: InvalidFeature.
    """
    if not isinstance(shell, GeometryShell):
        return text, "/geometry"
    kind = bytes(shell.type).strip()
    if kind == b'"FeatureCollection"':
        raise InvalidFeature(
            "a search takes one geometry or one Feature, not a FeatureCollection: "
            "send one of its features",
            pointer="/geometry/type",
        )
    if may_name(text):
        _check_crs(text)
    if kind == b'"Feature"':
        return bytes(shell.geometry).strip(), "/geometry/geometry"
    return text, "/geometry"


def _check_crs(text: bytes) -> None:
    with suppress(msgspec.DecodeError):  # `read_geometries` reports it
        geometry = msgspec.json.decode(text)
        check_stated_crs(
            {"geometry": geometry}, CRS84, cure="a search takes CRS84, so transform it from <{}>"
        )


def _read_geometry(text: bytes, pointer: str, max_vertices: int) -> shapely.Geometry:
    """A valid geometry in two dimensions, without empty parts; no GeometryCollection."""
    rules = GeometryRules(_POSTED, CRS84, max_vertices)
    geometries = read_geometries([text], rules)
    fault = geometries.faults.get(0)
    if fault is not None:
        raise InvalidFeature(f"the geometry {fault.detail}", pointer=f"{pointer}{fault.pointer}")
    ewkb = geometries.ewkb[0]
    if ewkb is None:
        raise InvalidFeature("the geometry is empty", pointer=pointer)
    shape = shapely.from_wkb(ewkb)
    if shape.is_empty:
        raise InvalidFeature("the geometry is empty", pointer=pointer)
    if isinstance(shape, shapely.Point):
        return shapely.force_2d(shape)
    if has_empty_part(shape):
        raise InvalidFeature("the geometry has an empty part", pointer=f"{pointer}/coordinates")
    if isinstance(shape, shapely.GeometryCollection):
        raise InvalidFeature(
            "a search does not take a GeometryCollection", pointer=f"{pointer}/type"
        )
    return shapely.force_2d(shape)


def _with_geodesics(
    spatial: SpatialFilter, shape: shapely.Geometry, pointer: str, max_vertices: int
) -> SpatialFilter:
    """The filter with the forms of its geometry that distances are measured from."""
    if isinstance(shape, shapely.Point):
        return replace(spatial, geodesics=(spatial.ewkb,), inside=spatial.ewkb)
    try:
        geodesics = geodesics_of(shape, max_vertices)
    except ValueError as error:
        raise InvalidFeature(f"the geometry {error}", pointer=f"{pointer}/coordinates") from None
    parts = tuple(map(_ewkb, geodesics))
    inside = _ewkb(shapely.point_on_surface(shape))
    return replace(spatial, geodesics=parts, inside=inside)


def _ewkb(shape: shapely.Geometry) -> bytes:
    shape = shapely.set_srid(shape, WGS84)
    return shapely.to_wkb(shape, include_srid=True, flavor="extended")
