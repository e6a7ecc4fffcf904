"""The condition that a geometry intersects a box.

The box is compared in the storage CRS, so that the index serves. If the CRS of the box is another
one, the box is transformed with as many points along its edges as these need to be straight in the
storage CRS. Around a pole and across the antimeridian the transformed edges enclose nothing; then
the geometries that may be near are transformed into the CRS of the box (docs/decisions/0017). No
stored geometry may fail a read (docs/decisions/0005).
"""

from geosvc.model.bbox import Bbox
from geosvc.model.collection import GeometryColumn
from geosvc.model.crs import UNKNOWN, WEB_MERCATOR, WGS84
from geosvc.model.reprojected_bbox import reproject_bbox
from geosvc.query.geometry.envelopes import curved_envelope, envelope, longitude_shifts
from geosvc.query.geometry.expressions import (
    IS_WIDE,
    GeometryTest,
    bind_once,
    bound_name,
    column_value,
    in_degrees,
    liblwgeom_intersects,
    may_cross,
    short_way,
    stored_value,
)
from geosvc.query.geometry.projected_boxes import intersects_box, intersects_reprojected_box
from geosvc.query.sql_parts import any_of, row_column
from geosvc.sql.compose import SQL, Composable, Param

WIDEST_GEOGRAPHY_PREFILTER = 170.0  # degrees; a wider ring on the sphere is ambiguous


def bbox_condition(
    geometry: GeometryColumn,
    box: Bbox,
    geometry_test: GeometryTest,
    *,
    matches_null: bool,
) -> Composable:
    """Write the condition that the geometry intersects the box.

    Args:
        geometry_test: how geometries are compared; with others than EXACT the condition may select
            a little more.
        matches_null: whether a feature without a geometry fulfils the condition, as it does that
            of the parameter `bbox`. Source: OGC 17-069r4 7.15.3, requirement C.
    """
    needs_degrees = geometry.srid != WEB_MERCATOR or box.exceeds_web_mercator
    if box.srid == WEB_MERCATOR and needs_degrees:
        box = box.web_mercator_to_degrees()
    alternatives: list[Composable] = []
    for part in box.parts():
        alternatives += _intersects_part(geometry, part, geometry_test)
    condition: Composable = any_of(alternatives)
    if box.covers_the_world:
        condition = SQL("NOT ST_IsEmpty({})").format(column_value(geometry))
    if box.zmin is not None:
        condition = SQL("({}) AND {}").format(condition, _at_height(geometry, box))
    if matches_null and not geometry.not_null:
        return SQL("({} OR {} IS NULL)").format(condition, row_column(geometry.name))
    return SQL("({})").format(condition)


def _at_height(geometry: GeometryColumn, box: Bbox) -> Composable:
    """Compare heights; a feature without heights is at every height."""
    return SQL(
        "(ST_Zmflag({g}) NOT IN (2, 3) OR (ST_ZMax({g}) >= {low} AND ST_ZMin({g}) <= {high}))"
    ).format(
        g=column_value(geometry),
        low=Param(box.zmin, "float8"),
        high=Param(box.zmax, "float8"),
    )


def _intersects_part(
    geometry: GeometryColumn,
    box: Bbox,
    geometry_test: GeometryTest,
) -> list[Composable]:
    """Compare with a box that does not cross the antimeridian; one of the conditions must hold."""
    column = column_value(geometry)
    if box.srid == WGS84:
        if geometry.geography:
            return [_intersects_geography(geometry, column, box, geometry_test)]
        if geometry.srid == WGS84:
            return _intersects_degrees(geometry, column, box, geometry_test)
        if geometry.srid == WEB_MERCATOR:
            box = box.degrees_to_web_mercator()
        elif geometry.srid == UNKNOWN or reproject_bbox(box, geometry.srid) is None:
            return _intersects_in_degrees(geometry, box, geometry_test)
    if box.srid == geometry.srid and not geometry.geography:
        return [intersects_box(geometry, column, box, geometry_test)]
    return intersects_reprojected_box(geometry, box, geometry_test)


def _intersects_in_degrees(
    geometry: GeometryColumn,
    box: Bbox,
    geometry_test: GeometryTest,
) -> list[Composable]:
    """Compare in degrees where the box cannot be transformed into the storage CRS."""
    column = column_value(geometry)
    if geometry_test is GeometryTest.SAFE:
        # A transformation may fail. So geometries that need one are selected without comparing.
        foreign = SQL("ST_SRID({}) NOT IN (0, 4326)").format(column)
        local = SQL("ST_SetSRID({}, 4326)").format(column)
        return [foreign, *_intersects_degrees(geometry, local, box, geometry_test)]
    value = in_degrees(geometry, column)
    return _intersects_degrees(geometry, value, box, geometry_test)


def _intersects_degrees(
    geometry: GeometryColumn,
    value: Composable,
    box: Bbox,
    geometry_test: GeometryTest,
) -> list[Composable]:
    """Compare a value in degrees with a box in degrees, shifted for longitudes beyond 180."""
    is_point = geometry.type == "POINT" and geometry_test is not GeometryTest.BOX_ONLY
    alternatives = []
    for shift in longitude_shifts(WGS84, box.xmin, box.xmax):
        area = envelope(box, shift)
        if is_point:
            # && and @ compare boxes of 32-bit floats; only a distance is exact for a point
            template = SQL("({g} && {b} AND ST_DWithin({g}, {b}, 0))")
            condition = bind_once(value, template, b=area)
        else:
            condition = _intersects(value, area, geometry_test)
        alternatives.append(condition)
    return alternatives


def _intersects(
    value: Composable,
    area: Composable,
    geometry_test: GeometryTest,
) -> Composable:
    if geometry_test is GeometryTest.BOX_ONLY:
        return bind_once(value, SQL("{g} && {b}"), b=area)
    intersects = liblwgeom_intersects(bound_name(value), area)
    if geometry_test is GeometryTest.SAFE:
        body = SQL(
            "({g} && {b} AND CASE WHEN {g} @ {b} THEN true"
            " WHEN GeometryType({g}) IN ('LINESTRING', 'POLYGON', 'MULTIPOINT',"
            " 'MULTILINESTRING', 'MULTIPOLYGON') AND ST_IsValid({g}) THEN {intersects}"
            " ELSE true END)"
        )
    else:
        # With OR instead of CASE the planner adds an index scan and estimates badly.
        body = SQL("({g} && {b} AND CASE WHEN {g} @ {b} THEN true ELSE {intersects} END)")
    return bind_once(value, body, b=area, intersects=intersects)


def _intersects_geography(
    geometry: GeometryColumn,
    column: Composable,
    box: Bbox,
    geometry_test: GeometryTest,
) -> Composable:
    """Compare geography in longitude and latitude, where the lines of GeoJSON are straight.

    The index of a geography column serves points only. An index on `(column::geometry)` serves
    the other types.
    """
    intersects = any_of(_intersects_degrees(geometry, column, box, geometry_test))
    if may_cross(geometry) and geometry_test is not GeometryTest.BOX_ONLY:
        moved = _intersects_degrees(geometry, short_way(column), box, geometry_test)
        # Compared as it is written. Every geometry that is so wide reaches the meridian of
        # Greenwich, where an index finds it.
        return bind_once(
            column,
            SQL(
                "((({intersects}) OR {g} && ST_MakeEnvelope(0, -90, 0, 90, 4326))"
                " AND CASE WHEN {is_wide} THEN ({moved}) ELSE ({intersects}) END)"
            ),
            intersects=intersects,
            is_wide=IS_WIDE.format(g=column),
            moved=any_of(moved),
        )
    width = box.xmax - box.xmin
    if geometry.type != "POINT" or width > WIDEST_GEOGRAPHY_PREFILTER:
        return intersects
    return SQL("({geography} && {box}::geography AND ({intersects}))").format(
        geography=stored_value(geometry),
        box=curved_envelope(box),
        intersects=intersects,
    )
