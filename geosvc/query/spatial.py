"""Conditions and distances of a posted geometry.

A box finds candidates by the index; then each is looked at, in degrees, as GeoJSON's lines are straight there. GEOS and the
distance on the spheroid are only asked about geometries that ST_IsValid accepts: some of the others crash the server
(fixtures/README.md). Those lie to the posted geometry as liblwgeom's planar distance says, or not at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from geosvc.model.collection import Collection, GeometryColumn
from geosvc.model.crs import UNKNOWN, WGS84
from geosvc.model.spatial import Predicate, SpatialFilter
from geosvc.query.geometry import Bare, Care, column_value, in_degrees, meets_box
from geosvc.sql.compose import SQL, Composable, Identifier, Param

_TESTS = {
    Predicate.INTERSECTS: SQL("ST_Intersects({g}, {q})"),
    Predicate.DISJOINT: SQL("ST_Intersects({g}, {q})"),
    Predicate.WITHIN: SQL("ST_Within({g}, {q})"),
    Predicate.CONTAINS: SQL("ST_Contains({g}, {q})"),
    Predicate.CROSSES: SQL("ST_Crosses({g}, {q})"),
    Predicate.OVERLAPS: SQL("ST_Overlaps({g}, {q})"),
    Predicate.TOUCHES: SQL("ST_Touches({g}, {q})"),
}
_SOUND = SQL(
    "CASE GeometryType({g}) WHEN 'POINT' THEN true WHEN 'LINESTRING' THEN ST_IsValid({g}) WHEN 'POLYGON' THEN ST_IsValid({g})"
    " WHEN 'MULTIPOINT' THEN ST_IsValid({g}) WHEN 'MULTILINESTRING' THEN ST_IsValid({g})"
    " WHEN 'MULTIPOLYGON' THEN ST_IsValid({g}) ELSE false END"
)
_ABOUT_METRES = SQL("ST_Distance({g}, {q}) * 111195")


def _posted(spatial: SpatialFilter) -> Composable:
    return SQL("{}::geometry").format(Param(spatial.ewkb, "bytea"))


def _judged(geometry: GeometryColumn, spatial: SpatialFilter, sound: SQL, otherwise: SQL, **parts: Composable) -> Composable:
    """`sound` of a geometry that GEOS may be asked about, `otherwise` of every other; `{g}` is the row's in degrees, `{q}` the
    posted one.
    """
    place, posted = in_degrees(geometry, column_value(geometry)), _posted(spatial)
    g: Composable = place if isinstance(place, Bare) else SQL("v.g")
    body = sound.format(g=g, q=posted, **parts)
    if geometry.type != "POINT":  # which GEOS takes every time
        body = SQL("CASE WHEN {} THEN {} ELSE {} END").format(
            _SOUND.format(g=g), body, otherwise.format(g=g, q=posted, **parts)
        )
    return body if isinstance(place, Bare) else SQL("(SELECT {} FROM (SELECT {} AS g OFFSET 0) v)").format(body, place)


def select_by_geometry(collection: Collection, spatial: SpatialFilter, care: Care) -> Composable:
    """A condition: the geometry lies to the posted one as the predicate says; never true where there is none.

    Args:
        care: other than exactly, a little more may be selected.
    """
    geometry = collection.geometry
    here = SQL("t.{} IS NOT NULL").format(Identifier(geometry.name))
    if spatial.predicate is Predicate.NEAREST:
        within = _near(geometry, spatial, care) if spatial.metres is not None else SQL("true")
        return SQL("({} AND NOT ST_IsEmpty({}) AND {})").format(here, column_value(geometry), within)
    if spatial.predicate is Predicate.DWITHIN:
        return _near(geometry, spatial, care)
    meets = SQL("({} AND {})").format(meets_box(geometry, spatial.box(), care), _tested(geometry, spatial, care))
    if spatial.predicate is Predicate.DISJOINT:
        return SQL("({} AND ({}) IS NOT TRUE)").format(here, meets)
    return meets


def _tested(geometry: GeometryColumn, spatial: SpatialFilter, care: Care) -> Composable:
    if care is not Care.EXACTLY:
        return SQL("true")
    planar = spatial.predicate in (Predicate.INTERSECTS, Predicate.DISJOINT)
    otherwise = SQL("ST_DWithin({g}, {q}, 0)") if planar else SQL("false")
    return _judged(geometry, spatial, _TESTS[spatial.predicate], otherwise)


def _near(geometry: GeometryColumn, spatial: SpatialFilter, care: Care) -> Composable:
    """Within a distance in metres."""
    close = meets_box(geometry, spatial.box(), care)
    if care is not Care.EXACTLY:
        return close
    metres = Param(spatial.metres, "float8")
    within = SQL("ST_DWithin({g}::geography, {q}::geography, {metres})")
    about = SQL("ST_Distance({g}, {q}) * 111195 <= {metres}")
    return SQL("({} AND {})").format(close, _judged(geometry, spatial, within, about, metres=metres))


def distance_of(collection: Collection, spatial: SpatialFilter) -> Composable:
    """Metres between the row `t` and the posted geometry; of a geometry that is not valid, about."""
    return _judged(collection.geometry, spatial, SQL("ST_Distance({g}::geography, {q}::geography)"), _ABOUT_METRES)


def is_nearest(spatial: SpatialFilter | None) -> bool:
    """Whether features come in the order of their distance."""
    return spatial is not None and spatial.predicate is Predicate.NEAREST


@dataclass(frozen=True, slots=True)
class Candidates:
    """The rows among which the nearest are looked for.

    Attributes:
        source: what follows FROM, without a name.
        tests: the other conditions.
    """

    source: Composable
    tests: Composable


def select_nearest(
    collection: Collection,
    spatial: SpatialFilter,
    columns: Sequence[Composable],
    candidates: Candidates,
    care: Care,
) -> Composable:
    """The nearest rows, in the order of their distance, without a LIMIT; cautiously, of that of their boxes in a plane.

    Args:
        columns: what is selected.
    """
    geometry, posted, source, tests = collection.geometry, _posted(spatial), candidates.source, candidates.tests
    column = SQL("t.{}").format(Identifier(geometry.name))
    if care is Care.CAUTIOUSLY:
        return SQL("SELECT {} FROM {} t WHERE {} ORDER BY {} <#> {}").format(
            SQL(", ").join(columns), source, tests, column_value(geometry), posted
        )
    order = SQL(", ").join(
        [distance_of(collection, spatial), *(SQL("t.{}").format(Identifier(name)) for name in collection.key)]
    )
    wanted = SQL(", ").join(columns)
    if geometry.srid == WGS84 and not geometry.geography:
        return SQL(
            "WITH near (box) AS MATERIALIZED ({box}) SELECT {wanted} FROM {source} t WHERE {tests}"
            " AND {column} && (SELECT box FROM near) ORDER BY {order}"
        ).format(
            box=_box_of_nearest(collection, spatial, source, tests),
            wanted=wanted,
            source=source,
            tests=tests,
            column=column,
            order=order,
        )
    if geometry.geography:
        there: Composable = SQL("{}::geography").format(posted)
    elif geometry.srid == UNKNOWN:
        there = posted
    else:
        there = SQL("ST_Transform({}, {})").format(posted, Param(geometry.srid, "int4"))
    return SQL(
        "SELECT {wanted} FROM (SELECT t.* FROM {source} t WHERE {tests} ORDER BY {column} <-> {there} LIMIT {k}) t"
        " ORDER BY {order}"
    ).format(wanted=wanted, source=source, tests=tests, column=column, there=there, k=_rows(spatial), order=order)


def _rows(spatial: SpatialFilter) -> Param:
    return Param(spatial.rows, "int8")


def _box_of_nearest(collection: Collection, spatial: SpatialFilter, source: Composable, tests: Composable) -> Composable:
    """A box outside of which nothing is among the nearest: the first rows by the index's own distance, which is in degrees,
    bound the distance in metres. One that reaches a pole or the antimeridian goes once around the Earth.
    """
    west, south, east, north = spatial.bounds
    farthest = max(abs(south), abs(north))
    room = min(180 - east, west + 180)
    return SQL(
        "SELECT ST_Expand({posted}, CASE WHEN e.top >= 89.9 OR e.up / cos(radians(e.top)) > {room} THEN 720"
        " ELSE e.up / cos(radians(e.top)) END, e.up)"
        " FROM (SELECT b.metres / 110000 AS up, b.metres / 110000 + {farthest} AS top"
        " FROM (SELECT max(n.d) * 1.001 + 0.001 AS metres"
        " FROM (SELECT {distance} AS d FROM {source} t WHERE {tests} ORDER BY {column} <-> {posted} LIMIT {rows}) n) b) e"
    ).format(
        room=Param(room, "float8"),
        farthest=Param(farthest, "float8"),
        posted=_posted(spatial),
        distance=distance_of(collection, spatial),
        source=source,
        tests=tests,
        column=SQL("t.{}").format(Identifier(collection.geometry.name)),
        rows=_rows(spatial),
    )
