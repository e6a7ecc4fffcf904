"""Spatial predicates between the features and the geometry of a search or a filter.

That geometry is called the query geometry. A bounding box finds candidates by the index; then each
candidate is compared: in degrees, where the lines of GeoJSON are straight, or in the storage CRS.
No stored geometry may fail a statement or crash the server (docs/decisions/0005). So GEOS compares
only what ST_IsValid accepts, and empty rings and members are removed before liblwgeom compares, as
they crash it.
"""

from dataclasses import dataclass

from geosvc.model.bbox import Bbox
from geosvc.model.collection import Collection, GeometryColumn
from geosvc.model.crs import WGS84
from geosvc.model.spatial import AntimeridianImages, Predicate, SpatialFilter
from geosvc.query.geometry.boxes import WIDEST_GEOGRAPHY_PREFILTER
from geosvc.query.geometry.distances import distance_condition
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
from geosvc.query.sql_parts import any_of, row_column
from geosvc.sql.compose import SQL, Composable, Param

_PREDICATES = {
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


def spatial_condition(
    collection: Collection,
    spatial: SpatialFilter,
    geometry_test: GeometryTest,
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
        return distance_condition(collection, spatial, geometry_test)
    geometry = collection.geometry
    relation = _Relation(geometry, spatial, geometry_test)
    condition = SQL("({})").format(any_of(_alternatives(relation)))
    if _has_index_of_points(geometry, spatial):
        # Only for points: the index of geography holds other boxes of lines and polygons
        # (docs/decisions/0007).
        box = Bbox(*spatial.bounds)
        condition = SQL("({geography} && {box}::geography AND {condition})").format(
            geography=stored_value(geometry),
            box=curved_envelope(box),
            condition=condition,
        )
    if spatial.predicate is Predicate.DISJOINT:
        return SQL("({geometry} IS NOT NULL AND NOT {condition})").format(
            geometry=row_column(geometry.name),
            condition=condition,
        )
    return condition


def _has_index_of_points(geometry: GeometryColumn, spatial: SpatialFilter) -> bool:
    """Whether an index of geography can find points in the box of the query geometry."""
    west, _, east, _ = spatial.bounds
    is_narrow = east - west <= WIDEST_GEOGRAPHY_PREFILTER
    return geometry.geography and geometry.type == "POINT" and is_narrow


def _alternatives(relation: _Relation) -> list[Composable]:
    """Write conditions, of which one must hold."""
    geometry = relation.geometry
    spatial = relation.spatial
    column = column_value(geometry)
    native = spatial.native
    if native is not None and native[0] == geometry.srid:
        return [_related(relation, column, ewkb_geometry(native[1]))]
    query_geometry = search_geometry_of(spatial).planar
    if geometry.geography or geometry.srid == WGS84:
        if spatial.across is not None:
            return _alternatives_across(relation, spatial.across)
        return _alternatives_in_degrees(relation, query_geometry)
    box = Bbox(*spatial.bounds)
    if area_around(geometry, box) is not None:
        transformed = _in_storage_crs(relation, query_geometry)
        return [_related(relation, column, transformed)]
    if relation.geometry_test is not GeometryTest.SAFE:
        value = in_degrees(geometry, column)
        return [_related(relation, value, query_geometry)]
    return [_related_without_transformation(relation, query_geometry)]


def _related_without_transformation(relation: _Relation, query_geometry: Composable) -> Composable:
    """Compare only geometries that need no transformation, since a transformation may fail."""
    column = column_value(relation.geometry)
    in_wgs84 = SQL("ST_SetSRID({}, 4326)").format(column)
    other: Composable = SQL("false")
    if relation.has_liblwgeom:
        other = SQL("{} IS NOT NULL").format(column)
    return SQL("CASE WHEN ST_SRID({column}) IN (0, 4326) THEN {related} ELSE {other} END").format(
        column=column,
        related=_related(relation, in_wgs84, query_geometry),
        other=other,
    )


def _alternatives_in_degrees(relation: _Relation, query_geometry: Composable) -> list[Composable]:
    column = column_value(relation.geometry)
    west, _, east, _ = relation.spatial.bounds
    conditions = []
    for shift in longitude_shifts(WGS84, west, east):
        shifted = query_geometry
        if shift:
            degrees = Param(shift, "float8")
            shifted = SQL("ST_Translate({}, {}, 0)").format(query_geometry, degrees)
        conditions.append(_related(relation, column, shifted))
    return conditions


def _in_storage_crs(relation: _Relation, query_geometry: Composable) -> Composable:
    """Transform the query geometry, with points along its edges."""
    west, south, east, north = relation.spatial.bounds
    longest = max(east - west, north - south)
    step = max(longest / EDGE_PARTS, _MIN_STEP)
    return SQL("ST_Transform(ST_Segmentize({geometry}, {step}), {srid})").format(
        geometry=query_geometry,
        step=Param(step, "float8"),
        srid=Param(int(relation.geometry.srid), "int4"),
    )


def _alternatives_across(relation: _Relation, images: AntimeridianImages) -> list[Composable]:
    """Compare with a geometry that crosses the antimeridian.

    A feature may be stored in one piece on either side of the antimeridian, or in two parts.
    """
    column = column_value(relation.geometry)
    east = ewkb_geometry(images.eastern)
    west = ewkb_geometry(images.western)
    both = ewkb_geometry(images.both)
    if relation.has_liblwgeom:
        return [
            _related(relation, column, east),
            _related(relation, column, west),
        ]
    near = SQL("({column} && {east} OR {column} && {west})").format(
        column=column,
        east=east,
        west=west,
    )
    if relation.spatial.predicate not in (Predicate.CONTAINS, Predicate.EQUALS):
        is_related = _related(relation, column, both)
        return [SQL("({} AND {})").format(near, is_related)]
    query_geometry = search_geometry_of(relation.spatial).planar
    alternatives = []
    for other in (query_geometry, east, west):
        alternatives.append(_related(relation, column, other))
    return [SQL("({} AND ({}))").format(near, any_of(alternatives))]


def _related(
    relation: _Relation,
    value: Composable,
    query_geometry: Composable,
) -> Composable:
    """Write whether the predicate holds between a value and a geometry in the same CRS."""
    boxes_intersect = bind_once(value, SQL("{g} && {q}"), q=query_geometry)
    if relation.geometry_test is GeometryTest.BOX_ONLY:
        return boxes_intersect
    if relation.geometry.type == "POINT":
        predicate = _PREDICATES[relation.spatial.predicate]
        g = bound_name(value)
        exact = predicate.format(g=g, q=query_geometry)
        return bind_once(value, SQL("({g} && {q} AND {exact})"), q=query_geometry, exact=exact)
    compared = value
    if relation.geometry_test is GeometryTest.EXACT:
        compared = linear(relation.geometry, value)
    is_related = _valid_related(relation, bound_name(compared), query_geometry)
    return SQL("({} AND {})").format(boxes_intersect, evaluate_once(compared, is_related))


def _valid_related(
    relation: _Relation,
    g: Composable,
    query_geometry: Composable,
) -> Composable:
    """Evaluate the predicate by GEOS where the geometry is valid, else by liblwgeom or by boxes.

    Args:
        g: the name of a geometry whose box intersects the box of the query geometry.
    """
    by_box = SQL("false")
    if relation.has_liblwgeom:
        by_box = SQL("true")
    types = PLAIN_TYPE_NAMES
    if_invalid: Composable = by_box
    if relation.has_liblwgeom and relation.geometry_test is GeometryTest.EXACT:
        types = PLAIN_AND_COLLECTION_NAMES
        without_empties = RID_OF_EMPTIES.format(g=g)
        if_invalid = SQL("ST_DWithin({}, {}, 0)").format(without_empties, query_geometry)
    predicate = _PREDICATES[relation.spatial.predicate]
    by_geos = predicate.format(g=WITHOUT_EMPTIES.format(g=g), q=query_geometry)
    return SQL(
        "CASE WHEN GeometryType({g}) NOT IN ({types}) THEN {by_box}"
        " WHEN ST_IsValid({g}) THEN {by_geos} ELSE {if_invalid} END"
    ).format(
        g=g,
        types=types,
        by_box=by_box,
        by_geos=by_geos,
        if_invalid=if_invalid,
    )
