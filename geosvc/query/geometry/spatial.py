"""Spatial predicates between the features and a posted geometry.

A bounding box finds candidates by the index; then each candidate is compared: in degrees, where the
lines of GeoJSON are straight, or in the storage CRS. No stored geometry may fail a statement or
crash the server (docs/decisions/0005). So GEOS compares only what ST_IsValid accepts, and empty
rings and members are removed before liblwgeom compares, as they crash it.
"""

from dataclasses import dataclass

from geosvc.model.bbox import Bbox
from geosvc.model.collection import Collection, GeometryColumn
from geosvc.model.crs import WGS84
from geosvc.model.spatial import Predicate, SpatialFilter
from geosvc.query.geometry.boxes import WIDEST_GEOGRAPHY_PREFILTER
from geosvc.query.geometry.distances import select_within_distance
from geosvc.query.geometry.envelopes import EDGE_PARTS, curved_envelope, longitude_shifts
from geosvc.query.geometry.expressions import (
    PLAIN_AND_COLLECTION_NAMES,
    PLAIN_TYPE_NAMES,
    RID_OF_EMPTIES,
    WITHOUT_EMPTIES,
    GeometryTest,
    bind_once,
    bound_name,
    column_value,
    evaluate_once,
    in_degrees,
    linear,
    stored_value,
)
from geosvc.query.geometry.search_geometry import area_around, ewkb_geometry, search_geometry_of
from geosvc.sql.compose import SQL, Composable, Identifier, Param

_TESTS = {
    Predicate.INTERSECTS: SQL("ST_Intersects({g}, {q})"),
    Predicate.DISJOINT: SQL("ST_Intersects({g}, {q})"),
    Predicate.EQUALS: SQL("ST_Equals({g}, {q})"),
    Predicate.WITHIN: SQL("ST_Within({g}, {q})"),
    Predicate.CONTAINS: SQL("ST_Contains({g}, {q})"),
    Predicate.CROSSES: SQL("ST_Crosses({g}, {q})"),
    Predicate.OVERLAPS: SQL("ST_Overlaps({g}, {q})"),
    Predicate.TOUCHES: SQL("ST_Touches({g}, {q})"),
}
# liblwgeom can evaluate these without GEOS.
_OF_LIBLWGEOM = (Predicate.INTERSECTS, Predicate.DISJOINT)
_MIN_STEP = 1e-6


@dataclass(frozen=True, slots=True)
class _Relation:
    """What is compared and how: a column, a spatial filter and a geometry test."""

    geometry: GeometryColumn
    spatial: SpatialFilter
    geometry_test: GeometryTest

    @property
    def has_liblwgeom(self) -> bool:
        """Whether liblwgeom can evaluate the predicate."""
        return self.spatial.predicate in _OF_LIBLWGEOM


def select_by_geometry(
    collection: Collection, spatial: SpatialFilter, geometry_test: GeometryTest
) -> Composable:
    """Write the condition of a spatial filter; it is never true without a geometry.

    For the predicate `nearest` the condition is true; see `query.geometry.nearest`.

    Args:
        geometry_test: BOX_ONLY compares boxes. With SAFE a geometry that is invalid or cannot be
            compared fulfils `intersects` and no other predicate.
    """
    if spatial.predicate is Predicate.NEAREST:
        return SQL("true")
    if spatial.predicate is Predicate.DWITHIN:
        return select_within_distance(collection, spatial, geometry_test)
    geometry = collection.geometry
    tests = _tests(_Relation(geometry, spatial, geometry_test))
    condition = SQL("({})").format(SQL(" OR ").join(tests))
    west, _, east, _ = spatial.bounds
    is_narrow = east - west <= WIDEST_GEOGRAPHY_PREFILTER
    if geometry.geography and geometry.type == "POINT" and is_narrow:
        # Only for points: the index of geography holds other boxes of lines and polygons
        # (docs/decisions/0007).
        box = curved_envelope(Bbox(*spatial.bounds))
        indexed = SQL("{} && {}::geography").format(stored_value(geometry), box)
        condition = SQL("({} AND {})").format(indexed, condition)
    if spatial.predicate is Predicate.DISJOINT:
        name = Identifier(geometry.name)
        return SQL("(t.{} IS NOT NULL AND NOT {})").format(name, condition)
    return condition


def _tests(relation: _Relation) -> list[Composable]:
    """Write conditions, of which one must hold."""
    geometry, spatial = relation.geometry, relation.spatial
    column = column_value(geometry)
    if spatial.native is not None and spatial.native[0] == geometry.srid:
        return [_related(relation, column, ewkb_geometry(spatial.native[1]))]
    posted = search_geometry_of(spatial).planar
    if geometry.geography or geometry.srid == WGS84:
        if spatial.across is not None:
            return _tests_across(relation, spatial.across)
        return _tests_in_degrees(relation, posted)
    if area_around(geometry, Bbox(*spatial.bounds)) is not None:
        return [_related(relation, column, _in_storage_crs(relation, posted))]
    if relation.geometry_test is not GeometryTest.SAFE:
        return [_related(relation, in_degrees(geometry, column), posted)]
    # A transformation may fail. So only geometries that need none are compared.
    local = _related(relation, SQL("ST_SetSRID({}, 4326)").format(column), posted)
    foreign: Composable = SQL("false")
    if relation.has_liblwgeom:
        foreign = SQL("{} IS NOT NULL").format(column)
    return [
        SQL("CASE WHEN ST_SRID({}) IN (0, 4326) THEN {} ELSE {} END").format(column, local, foreign)
    ]


def _tests_in_degrees(relation: _Relation, posted: Composable) -> list[Composable]:
    column = column_value(relation.geometry)
    west, _, east, _ = relation.spatial.bounds
    tests = []
    for shift in longitude_shifts(WGS84, west, east):
        shifted = posted
        if shift:
            shifted = SQL("ST_Translate({}, {}, 0)").format(posted, Param(shift, "float8"))
        tests.append(_related(relation, column, shifted))
    return tests


def _in_storage_crs(relation: _Relation, posted: Composable) -> Composable:
    west, south, east, north = relation.spatial.bounds
    step = max((east - west) / EDGE_PARTS, (north - south) / EDGE_PARTS, _MIN_STEP)
    return SQL("ST_Transform(ST_Segmentize({}, {}), {})").format(
        posted, Param(step, "float8"), Param(int(relation.geometry.srid), "int4")
    )


def _tests_across(relation: _Relation, across: tuple[bytes, bytes, bytes]) -> list[Composable]:
    """Compare with a geometry that crosses the antimeridian.

    It may be stored in one piece on either side of the antimeridian, or in two parts.

    Args:
        across: EWKB of the geometry east of the antimeridian, west of it, and both together.
    """
    column = column_value(relation.geometry)
    east, west, both = ewkb_geometry(across[0]), ewkb_geometry(across[1]), ewkb_geometry(across[2])
    if relation.has_liblwgeom:
        return [_related(relation, column, east), _related(relation, column, west)]
    near = SQL("({g} && {a} OR {g} && {b})").format(g=column, a=east, b=west)
    if relation.spatial.predicate not in (Predicate.CONTAINS, Predicate.EQUALS):
        return [SQL("({} AND {})").format(near, _related(relation, column, both))]
    posted = search_geometry_of(relation.spatial).planar
    alternatives = [_related(relation, column, other) for other in (posted, east, west)]
    return [SQL("({} AND ({}))").format(near, SQL(" OR ").join(alternatives))]


def _related(relation: _Relation, value: Composable, posted: Composable) -> Composable:
    """Write whether the predicate holds between a value and a geometry in the same CRS."""
    boxes = SQL("{g} && {q}")
    if relation.geometry_test is GeometryTest.BOX_ONLY:
        return bind_once(value, boxes, q=posted)
    if relation.geometry.type == "POINT":
        g = bound_name(value)
        exact = _TESTS[relation.spatial.predicate].format(g=g, q=posted)
        return evaluate_once(value, SQL("({} AND {})").format(boxes.format(g=g, q=posted), exact))
    compared = value
    if relation.geometry_test is GeometryTest.EXACT:
        compared = linear(relation.geometry, value)
    test = evaluate_once(compared, _valid_related(relation, bound_name(compared), posted))
    return SQL("({} AND {})").format(bind_once(value, boxes, q=posted), test)


def _valid_related(relation: _Relation, g: Composable, posted: Composable) -> Composable:
    """Evaluate the predicate by GEOS where the geometry is valid, else by liblwgeom or by boxes.

    Args:
        g: the name of a geometry whose box intersects the box of the posted geometry.
    """
    by_box = SQL("true") if relation.has_liblwgeom else SQL("false")
    types = PLAIN_TYPE_NAMES
    invalid: Composable = by_box
    if relation.has_liblwgeom and relation.geometry_test is GeometryTest.EXACT:
        types = PLAIN_AND_COLLECTION_NAMES
        invalid = SQL("ST_DWithin({}, {}, 0)").format(RID_OF_EMPTIES.format(g=g), posted)
    test = _TESTS[relation.spatial.predicate]
    return SQL(
        "CASE WHEN GeometryType({g}) NOT IN ({types}) THEN {by_box}"
        " WHEN ST_IsValid({g}) THEN {test} ELSE {invalid} END"
    ).format(
        g=g,
        types=types,
        by_box=by_box,
        test=test.format(g=WITHOUT_EMPTIES.format(g=g), q=posted),
        invalid=invalid,
    )
