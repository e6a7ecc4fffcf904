"""The condition that a geometry intersects a box, compared in a CRS that is not in degrees."""

from dataclasses import dataclass, replace

from geosvc.model.bbox import Bbox
from geosvc.model.collection import GeometryColumn
from geosvc.model.crs import UNKNOWN, Srid
from geosvc.model.reprojected_bbox import ReprojectedBbox, reproject_bbox, srid_or_wgs84
from geosvc.query.geometry.envelopes import envelope, longitude_shifts
from geosvc.query.geometry.expressions import (
    PLAIN_TYPE_NAMES,
    WITHOUT_EMPTIES,
    GeometryTest,
    bind_once,
    bound_name,
    column_value,
    in_crs,
    in_degrees,
    liblwgeom_intersects,
)
from geosvc.query.sql_parts import row_column
from geosvc.sql.compose import SQL, Composable, Param

_FLOAT4_ERROR = 2.0**-22  # relative: by this much a box of 32-bit floats may be larger


@dataclass(frozen=True, slots=True)
class _Area:
    """A box as a polygon in the CRS of the geometries.

    Attributes:
        inside: a box that lies within the polygon, if one is known.
        is_simple: whether GEOS compares it; else liblwgeom does, which is slower for many points.
    """

    polygon: Composable
    inside: Bbox | None
    is_simple: bool = False


def intersects_box(
    geometry: GeometryColumn,
    value: Composable,
    box: Bbox,
    geometry_test: GeometryTest,
) -> Composable:
    """Compare a value of a column with a box in the same CRS."""
    farthest = max(abs(box.xmin), abs(box.ymin), abs(box.xmax), abs(box.ymax))
    slack = farthest * _FLOAT4_ERROR
    inside = Bbox(
        box.xmin + slack,
        box.ymin + slack,
        box.xmax - slack,
        box.ymax - slack,
        srid=box.srid,
    )
    area = _Area(envelope(box), None)
    if inside.xmin < inside.xmax and inside.ymin < inside.ymax:
        area = _Area(area.polygon, inside)
    return _intersects_area(geometry, value, area, geometry_test)


def intersects_reprojected_box(
    geometry: GeometryColumn,
    box: Bbox,
    geometry_test: GeometryTest,
) -> list[Composable]:
    """Compare the column with a box in another CRS; one of the conditions must hold."""
    column = column_value(geometry)
    is_safe = geometry_test is GeometryTest.SAFE
    reprojected = reproject_bbox(box, srid_or_wgs84(geometry.srid))
    if reprojected is None or (geometry.srid == UNKNOWN and is_safe):
        if is_safe:
            # The comparison needs a transformation, which may fail: all geometries are selected.
            return [SQL("{} IS NOT NULL").format(row_column(geometry.name))]
        transformed = in_crs(geometry, column, box.srid)
        return [intersects_box(geometry, transformed, box, geometry_test)]
    value: Composable = column
    if geometry.srid == UNKNOWN:
        value = in_degrees(geometry, column)
    if reprojected.whole:
        return _intersects_whole(geometry, value, box, reprojected, geometry_test)
    return _intersects_split(geometry, value, box, reprojected, geometry_test)


def _intersects_area(
    geometry: GeometryColumn,
    value: Composable,
    area: _Area,
    geometry_test: GeometryTest,
) -> Composable:
    g = bound_name(value)
    if geometry_test is GeometryTest.BOX_ONLY:
        return bind_once(value, SQL("{g} && {b}"), b=area.polygon)
    within: Composable = SQL("false")
    if area.inside is not None:
        within = SQL("{} @ {}").format(g, envelope(area.inside))
    if geometry.type == "POINT":
        # && and @ compare boxes of 32-bit floats; only a distance is exact for a point
        near = SQL("({g} && {b} AND CASE WHEN {within} THEN true ELSE ST_DWithin({g}, {b}, 0) END)")
        return bind_once(value, near, b=area.polygon, within=within)
    if geometry_test is GeometryTest.SAFE:
        body = SQL(
            "({g} && {b} AND CASE WHEN {within} THEN true WHEN {is_valid} THEN {by_liblwgeom}"
            " ELSE true END)"
        )
    elif area.is_simple:
        body = SQL(
            "({g} && {b} AND CASE WHEN {within} THEN true WHEN {is_valid} THEN {by_geos}"
            " ELSE {by_liblwgeom} END)"
        )
    else:
        body = SQL("({g} && {b} AND CASE WHEN {within} THEN true ELSE {by_liblwgeom} END)")
    is_valid = SQL("GeometryType({g}) IN ({types}) AND ST_IsValid({g})")
    return bind_once(
        value,
        body,
        b=area.polygon,
        within=within,
        is_valid=is_valid.format(g=g, types=PLAIN_TYPE_NAMES),
        by_liblwgeom=liblwgeom_intersects(g, area.polygon),
        by_geos=_intersects_by_geos(g, area.polygon),
    )


def _intersects_by_geos(g: Composable, polygon: Composable) -> Composable:
    without_empties = WITHOUT_EMPTIES.format(g=g)
    return SQL("ST_Intersects({}, {})").format(without_empties, polygon)


def _intersects_whole(
    geometry: GeometryColumn,
    value: Composable,
    box: Bbox,
    reprojected: ReprojectedBbox,
    geometry_test: GeometryTest,
) -> list[Composable]:
    """Compare with a box whose transformed edges enclose it."""
    storage = srid_or_wgs84(geometry.srid)
    area = SQL("ST_Transform(ST_Segmentize({box}, {step}), {srid})").format(
        box=envelope(box),
        step=Param(reprojected.step, "float8"),
        srid=Param(int(storage), "int4"),
    )
    west, _, east, _ = reprojected.bounds[0]
    alternatives = []
    for shift in longitude_shifts(storage, west, east):
        polygon: Composable = area
        if shift:
            distance = Param(shift, "float8")
            polygon = SQL("ST_Translate({}, {}, 0)").format(area, distance)
        inside = _inside_of(reprojected, shift, storage)
        shifted = _Area(polygon, inside, reprojected.simple)
        alternatives.append(_intersects_area(geometry, value, shifted, geometry_test))
    return alternatives


def _inside_of(
    reprojected: ReprojectedBbox,
    shift: float,
    srid: Srid,
) -> Bbox | None:
    """Return the known box within the transformed one, shifted; None without one."""
    if reprojected.inside is None:
        return None
    xmin, ymin, xmax, ymax = reprojected.inside
    return Bbox(xmin + shift, ymin, xmax + shift, ymax, srid=srid)


def _intersects_split(
    geometry: GeometryColumn,
    value: Composable,
    box: Bbox,
    reprojected: ReprojectedBbox,
    geometry_test: GeometryTest,
) -> list[Composable]:
    """Compare with a box around a pole or across the antimeridian, in the CRS of the box.

    A geometry that reaches far beyond the box is cut first, as its far parts may have no
    coordinates in that CRS.
    """
    storage = srid_or_wgs84(geometry.srid)
    alternatives = []
    for bounds in reprojected.bounds:
        near = Bbox(*bounds, srid=storage)
        surroundings = _enlarged(near)
        for shift in longitude_shifts(storage, near.xmin, near.xmax):
            areas = _Neighbourhood(envelope(near, shift), envelope(surroundings, shift))
            alternatives.append(_intersects_near(geometry, value, areas, box, geometry_test))
    return alternatives


def _enlarged(box: Bbox) -> Bbox:
    """Return a box of twice the width and height around a box."""
    half_width = (box.xmax - box.xmin) / 2
    half_height = (box.ymax - box.ymin) / 2
    return Bbox(
        box.xmin - half_width,
        box.ymin - half_height,
        box.xmax + half_width,
        box.ymax + half_height,
        srid=box.srid,
    )


@dataclass(frozen=True, slots=True)
class _Neighbourhood:
    """Two polygons in the storage CRS: around the box, and around that as far as it is not cut."""

    near: Composable
    surroundings: Composable


def _intersects_near(
    geometry: GeometryColumn,
    value: Composable,
    areas: _Neighbourhood,
    box: Bbox,
    geometry_test: GeometryTest,
) -> Composable:
    """Transform the geometries near the box into its CRS and compare them there."""
    if geometry_test is not GeometryTest.EXACT:
        return bind_once(value, SQL("{g} && {near}"), near=areas.near)
    cut = SQL(
        "CASE WHEN {g} @ {around} OR NOT (GeometryType({g}) IN ({types}) AND ST_IsValid({g}))"
        " THEN {g} ELSE ST_ClipByBox2D({g}, {around}::box2d) END"
    ).format(
        g=bound_name(value),
        around=areas.surroundings,
        types=PLAIN_TYPE_NAMES,
    )
    srid = Param(int(box.srid), "int4")
    transformed = SQL("ST_Transform({}, {})").format(cut, srid)
    any_geometry = replace(geometry, type="GEOMETRY")
    return bind_once(
        value,
        SQL("({g} && {near} AND CASE WHEN {g} && {near} THEN {exact} ELSE false END)"),
        near=areas.near,
        exact=intersects_box(any_geometry, transformed, box, geometry_test),
    )
