"""Distances between the features and a posted geometry: metres on the spheroid."""

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
from geosvc.query.geometry.search_geometry import area_around, search_geometry_of
from geosvc.sql.compose import SQL, Composable, Identifier, Param

_CURVATURE = 0.002  # relative: by this much a box is enlarged, as its edges become curves
# The operator && is false for NaN.
_ON_EARTH = SQL(
    "{g} && ST_MakeEnvelope(-540, -90, 540, 90, 4326)"
    " AND {g} @ ST_MakeEnvelope(-540, -90, 540, 90, 4326)"
)


def select_within_distance(
    collection: Collection, spatial: SpatialFilter, geometry_test: GeometryTest
) -> Composable:
    """Write the condition of the predicate `dwithin`."""
    candidates = _select_candidates(collection.geometry, spatial)
    if geometry_test is GeometryTest.BOX_ONLY:
        return candidates
    distance = distance_of(collection, spatial, geometry_test)
    return SQL("({} AND {} <= {})").format(candidates, distance, Param(spatial.metres, "float8"))


def _select_candidates(geometry: GeometryColumn, spatial: SpatialFilter) -> Composable:
    """Write a condition that an index serves and that holds for everything within the distance."""
    metres = FARTHEST_METRES if spatial.metres is None else spatial.metres
    if geometry.geography:
        return _candidates_of_geography(geometry, spatial, metres)
    bounds = expand_bounds(spatial.bounds, metres)
    west, south, east, north = bounds
    column = column_value(geometry)
    if geometry.srid == WGS84:
        tests = []
        for shift in longitude_shifts(WGS84, west, east):
            box = envelope(Bbox(west, south, east, north), shift)
            tests.append(SQL("{} && {}").format(column, box))
        return SQL("({})").format(SQL(" OR ").join(tests))
    is_in_one_piece = west >= -180 and east <= 180
    if is_in_one_piece and area_around(geometry, Bbox(*bounds)) is not None:
        width, height = east - west, north - south
        enlarged = Bbox(
            west - _CURVATURE * width,
            max(south - _CURVATURE * height, -90.0),
            east + _CURVATURE * width,
            min(north + _CURVATURE * height, 90.0),
        )
        step = Param(max(width, height) / EDGE_PARTS, "float8")
        return SQL("{} && ST_Transform(ST_Segmentize({}, {}), {})").format(
            column, envelope(enlarged), step, Param(int(geometry.srid), "int4")
        )
    return SQL("t.{} IS NOT NULL").format(Identifier(geometry.name))


def _candidates_of_geography(
    geometry: GeometryColumn, spatial: SpatialFilter, metres: float
) -> Composable:
    stored = stored_value(geometry)
    distance = Param(metres, "float8")
    tests = []
    for part in search_geometry_of(spatial).geodesics:
        tests.append(SQL("{} && _ST_Expand({}, {})").format(stored, part, distance))
    return SQL("({})").format(SQL(" OR ").join(tests))


def distance_of(
    collection: Collection,
    spatial: SpatialFilter,
    geometry_test: GeometryTest = GeometryTest.EXACT,
) -> Composable:
    """Write the distance between the row `t` and the posted geometry, metres on the spheroid.

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
        _, south, _, north = area
        first_part = Bbox(*area).parts()[0]
        box = envelope(Bbox(first_part.xmin, south, first_part.xmax, north))
        is_transformable = SQL("{} @ ST_Transform(ST_Segmentize({}, 1), {})").format(
            column, box, Param(int(geometry.srid), "int4")
        )
        value = SQL("ST_Transform({}, 4326)").format(column)
    distance = _measure(geometry, value, spatial, GeometryTest.SAFE)
    return SQL("CASE WHEN {} THEN {} END").format(is_transformable, distance)


def _measure(
    geometry: GeometryColumn,
    value: Composable,
    spatial: SpatialFilter,
    geometry_test: GeometryTest,
) -> Composable:
    """Measure the distance of a value in degrees."""
    g = bound_name(value)
    if geometry.type == "POINT":
        on_earth = SQL("ST_X({g}) BETWEEN -540 AND 540 AND ST_Y({g}) BETWEEN -90 AND 90")
        distance = _to_nearest_part(SQL("{}::geography").format(g), spatial)
        measured = SQL("CASE WHEN {} THEN {} END").format(on_earth.format(g=g), distance)
        return evaluate_once(value, measured)
    # The edges of geography are geodesics, those of geometry are straight in degrees.
    template = SQL("ST_Segmentize({}, 0.1)::geography")
    if geometry.geography:
        template = SQL("{}::geography")
    geography = template.format(RID_OF_EMPTIES.format(g=g))
    distance = evaluate_once(geography, _to_nearest_part(bound_name(geography), spatial))
    types = PLAIN_TYPE_NAMES
    if geometry_test is GeometryTest.EXACT:
        types = PLAIN_AND_COLLECTION_NAMES
    measured = SQL("CASE WHEN GeometryType({}) IN ({}) AND {} THEN {} END").format(
        g, types, _ON_EARTH.format(g=g), distance
    )
    return evaluate_once(value, measured)


def _to_nearest_part(geography: Composable, spatial: SpatialFilter) -> Composable:
    distances = []
    for part in search_geometry_of(spatial).geodesics:
        distances.append(SQL("ST_Distance({}, {})").format(geography, part))
    if len(distances) == 1:
        return distances[0]
    return SQL("least({})").format(SQL(", ").join(distances))
