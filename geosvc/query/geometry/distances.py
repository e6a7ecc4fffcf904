"""Distances between the features and the geometry of a search: metres on the spheroid."""

from geosvc.model.bbox import Bbox
from geosvc.model.collection import Collection, GeometryColumn
from geosvc.model.crs import UNKNOWN, WGS84, area_of_use
from geosvc.model.spatial import FARTHEST_METRES, SpatialFilter, expand_bounds
from geosvc.query.geometry.envelopes import EDGE_PARTS, envelope, longitude_shifts
from geosvc.query.geometry.expressions import (
    PLAIN_AND_COLLECTION_NAMES,
    PLAIN_TYPE_NAMES,
    RID_OF_EMPTIES,
    GeometryTest,
    bound_name,
    column_value,
    evaluate_once,
    in_degrees,
    linear,
    stored_value,
)
from geosvc.query.geometry.search_geometry import (
    Area,
    area_around,
    is_nearest,
    search_geometry_of,
)
from geosvc.query.sql_parts import any_of, comma_list, row_column
from geosvc.sql.compose import SQL, Composable, Param

_CURVATURE = 0.002  # relative: by this much a box is enlarged, as its edges become curves
# The operator && is false for NaN.
_ON_EARTH = SQL(
    "{g} && ST_MakeEnvelope(-540, -90, 540, 90, 4326)"
    " AND {g} @ ST_MakeEnvelope(-540, -90, 540, 90, 4326)"
)


def distance_condition(
    collection: Collection,
    spatial: SpatialFilter,
    geometry_test: GeometryTest,
) -> Composable:
    """Write the condition of the predicate `dwithin`."""
    may_be_near = _candidate_condition(collection.geometry, spatial)
    if geometry_test is GeometryTest.BOX_ONLY:
        return may_be_near
    return SQL("({may_be_near} AND {distance} <= {metres})").format(
        may_be_near=may_be_near,
        distance=distance_of(collection, spatial, geometry_test),
        metres=Param(spatial.metres, "float8"),
    )


def _candidate_condition(geometry: GeometryColumn, spatial: SpatialFilter) -> Composable:
    """Write a condition that an index serves and that holds for everything within the distance."""
    metres = spatial.metres
    if metres is None:
        metres = FARTHEST_METRES
    if geometry.geography:
        return _candidates_of_geography(geometry, spatial, metres)
    box = Bbox(*expand_bounds(spatial.bounds, metres))
    if geometry.srid == WGS84:
        return _candidates_in_degrees(geometry, box)
    is_in_one_piece = box.xmin >= -180 and box.xmax <= 180
    if is_in_one_piece and area_around(geometry, box) is not None:
        return _candidates_in_storage_crs(geometry, box)
    return SQL("{} IS NOT NULL").format(row_column(geometry.name))


def _candidates_in_degrees(geometry: GeometryColumn, box: Bbox) -> Composable:
    column = column_value(geometry)
    alternatives = []
    for shift in longitude_shifts(WGS84, box.xmin, box.xmax):
        area = envelope(box, shift)
        alternatives.append(SQL("{} && {}").format(column, area))
    return SQL("({})").format(any_of(alternatives))


def _candidates_in_storage_crs(geometry: GeometryColumn, box: Bbox) -> Composable:
    """Compare with the transformed box, a little enlarged.

    Args:
        box: degrees.
    """
    width = box.xmax - box.xmin
    height = box.ymax - box.ymin
    enlarged = Bbox(
        box.xmin - _CURVATURE * width,
        max(box.ymin - _CURVATURE * height, -90.0),
        box.xmax + _CURVATURE * width,
        min(box.ymax + _CURVATURE * height, 90.0),
    )
    step = max(width, height) / EDGE_PARTS
    return SQL("{column} && ST_Transform(ST_Segmentize({area}, {step}), {srid})").format(
        column=column_value(geometry),
        area=envelope(enlarged),
        step=Param(step, "float8"),
        srid=Param(int(geometry.srid), "int4"),
    )


def _candidates_of_geography(
    geometry: GeometryColumn,
    spatial: SpatialFilter,
    metres: float,
) -> Composable:
    stored = stored_value(geometry)
    distance = Param(metres, "float8")
    alternatives = []
    for part in search_geometry_of(spatial).geodesics:
        expanded = SQL("_ST_Expand({}, {})").format(part, distance)
        alternatives.append(SQL("{} && {}").format(stored, expanded))
    return SQL("({})").format(any_of(alternatives))


def distance_of(
    collection: Collection,
    spatial: SpatialFilter,
    geometry_test: GeometryTest = GeometryTest.EXACT,
) -> Composable:
    """Write the distance between the row `t` and the geometry of a search, metres on the spheroid.

    It is NULL where there is no distance: for a geometry that is empty, not on Earth, or of a type
    that cannot be measured.

    Args:
        geometry_test: with SAFE no geometry fails the statement.
    """
    geometry = collection.geometry
    value: Composable = column_value(geometry)
    if geometry_test is GeometryTest.EXACT:
        value = in_degrees(geometry, linear(geometry, value))
    elif geometry.srid != WGS84:
        return _safe_distance(geometry, spatial)
    return _measure(geometry, value, spatial, geometry_test)


def _safe_distance(geometry: GeometryColumn, spatial: SpatialFilter) -> Composable:
    """Measure only geometries that can be transformed into degrees without fail."""
    column = column_value(geometry)
    if geometry.srid == UNKNOWN:
        is_transformable: Composable = SQL("ST_SRID({}) IN (0, 4326)").format(column)
        value = SQL("ST_SetSRID({}, 4326)").format(column)
    else:
        area = area_of_use(geometry.srid)
        if area is None:
            return SQL("NULL::float8")
        is_transformable = SQL("{column} @ ST_Transform(ST_Segmentize({box}, 1), {srid})").format(
            column=column,
            box=envelope(_first_part(area)),
            srid=Param(int(geometry.srid), "int4"),
        )
        value = SQL("ST_Transform({}, 4326)").format(column)
    distance = _measure(geometry, value, spatial, GeometryTest.SAFE)
    return SQL("CASE WHEN {} THEN {} END").format(is_transformable, distance)


def _first_part(area: Area) -> Bbox:
    """Return the area, or its part on one side of the antimeridian."""
    return Bbox(*area).parts()[0]


def _measure(
    geometry: GeometryColumn,
    value: Composable,
    spatial: SpatialFilter,
    geometry_test: GeometryTest,
) -> Composable:
    """Measure the distance of a value in degrees."""
    if geometry.type == "POINT":
        return _measure_point(value, spatial)
    g = bound_name(value)
    # The edges of geography are geodesics, those of geometry are straight in degrees.
    template = SQL("ST_Segmentize({}, 0.1)::geography")
    if geometry.geography:
        template = SQL("{}::geography")
    without_empties = RID_OF_EMPTIES.format(g=g)
    geography = template.format(without_empties)
    distance = _to_nearest_part(bound_name(geography), spatial)
    types = PLAIN_TYPE_NAMES
    if geometry_test is GeometryTest.EXACT:
        types = PLAIN_AND_COLLECTION_NAMES
    measured = SQL(
        "CASE WHEN GeometryType({g}) IN ({types}) AND {on_earth} THEN {distance} END"
    ).format(
        g=g,
        types=types,
        on_earth=_ON_EARTH.format(g=g),
        distance=evaluate_once(geography, distance),
    )
    return evaluate_once(value, measured)


def _measure_point(value: Composable, spatial: SpatialFilter) -> Composable:
    g = bound_name(value)
    geography = SQL("{}::geography").format(g)
    measured = SQL(
        "CASE WHEN ST_X({g}) BETWEEN -540 AND 540 AND ST_Y({g}) BETWEEN -90 AND 90"
        " THEN {distance} END"
    ).format(
        g=g,
        distance=_to_nearest_part(geography, spatial),
    )
    return evaluate_once(value, measured)


def _to_nearest_part(geography: Composable, spatial: SpatialFilter) -> Composable:
    distances = []
    for part in search_geometry_of(spatial).geodesics:
        distances.append(SQL("ST_Distance({}, {})").format(geography, part))
    if len(distances) == 1:
        return distances[0]
    return SQL("least({})").format(comma_list(distances))


def distance_text(
    collection: Collection,
    spatial: SpatialFilter | None,
    geometry_test: GeometryTest,
) -> Composable | None:
    """Write the distance to the geometry of a search as text, to millimetres; None without one."""
    if spatial is None or not spatial.has_distances:
        return None
    metres: Composable = SQL("d.metres")
    if not is_nearest(spatial):
        metres = distance_of(collection, spatial, geometry_test)
    return SQL("trim_scale(round(({})::numeric, 3))::text").format(metres)
