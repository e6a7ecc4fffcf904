"""Expressions of a geometry column in SQL.

Real data hold rings of two points, and a read must not fail for them. So no statement calls a
function of GEOS unless the geometry is known to be one that GEOS accepts, and no statement calls a
function that crashes or hangs the server on bad rows (docs/decisions/0005). ST_DWithin(a, b, 0) is
the "intersects" of liblwgeom. It still raises for some unclosed rings; then the page is read again
with GeometryTest.SAFE.
"""

from dataclasses import dataclass
from enum import Enum

from geosvc.model.collection import GeometryColumn
from geosvc.model.crs import UNKNOWN, WGS84, Srid
from geosvc.sql.compose import SQL, Composable, Composed, Identifier, NumberLiteral, Param, Params

PLAIN_TYPES = frozenset(
    {"POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON"}
)
PLAIN_TYPE_NAMES = SQL(
    "'POINT', 'LINESTRING', 'POLYGON', 'MULTIPOINT', 'MULTILINESTRING', 'MULTIPOLYGON'"
)
"""The same types as a list in SQL."""
PLAIN_AND_COLLECTION_NAMES = SQL(
    "'POINT', 'LINESTRING', 'POLYGON', 'MULTIPOINT', 'MULTILINESTRING', 'MULTIPOLYGON',"
    " 'GEOMETRYCOLLECTION'"
)
"""The same types and collections as a list in SQL."""
AREAL_TYPES = frozenset({"POLYGON", "MULTIPOLYGON"})

# An empty hole in a polygon crashes liblwgeom. ST_SnapToGrid drops rings of fewer than four points
# and empty members. A geometry of which nothing is left is replaced by its envelope. Curves raise.
RID_OF_EMPTIES = SQL(
    "(SELECT CASE WHEN NOT ST_IsEmpty(m.s) THEN m.s ELSE ST_Envelope({g}) END"
    " FROM (SELECT ST_SnapToGrid({g}, 1e-10) AS s OFFSET 0) m)"
)

# GEOS 3.13 crashes when it relates a polygon with an empty ring to anything. This grid is one in M
# alone: no position moves, only rings of fewer than four points and empty members are dropped.
# It takes one microsecond for a polygon of 16 points.
WITHOUT_EMPTIES = SQL("ST_SnapToGrid({g}, ST_Point(0, 0), 0, 0, 0, 1)")

IS_WIDE = SQL("(ST_XMax({g}) - ST_XMin({g}) > 180)")
_LEAPS = SQL(
    "EXISTS (SELECT FROM (SELECT ST_X(p.geom) - lag(ST_X(p.geom))"
    " OVER (PARTITION BY p.path[1:cardinality(p.path) - 1]"
    " ORDER BY p.path) AS step FROM ST_DumpPoints({g}) p) steps WHERE abs(step) > 180)"
)


class GeometryTest(Enum):
    """How a stored geometry is compared with a box or with another geometry."""

    EXACT = "exact"
    """By the geometry itself; a bad geometry may fail the statement."""
    SAFE = "safe"
    """By the geometry itself, an invalid one by its bounding box; nothing fails the statement."""
    BOX_ONLY = "box only"
    """By the bounding box, whose selectivity the planner knows."""


@dataclass(frozen=True, slots=True)
class ColumnRef(Composable):
    """A reference to a geometry column, which may be repeated without computing anything twice."""

    name: Composed

    def render(self, params: Params) -> str:
        """Return the column."""
        return self.name.render(params)


def stored_value(geometry: GeometryColumn) -> Composable:
    """Write the column as geometry or geography, with the type and SRID of the catalog.

    PostgreSQL drops a cast to the type that a column has already when it parses the statement, so
    the cast costs nothing. If the column was altered after the catalog was read, the cast raises,
    so that metres are never taken for degrees.
    """
    value = SQL("t.{}").format(Identifier(geometry.name))
    if geometry.modifier is None:
        return value
    template = SQL("{}::geography({}, {})") if geometry.geography else SQL("{}::geometry({}, {})")
    type_name, srid = geometry.modifier
    return template.format(value, Identifier(type_name), NumberLiteral(srid))


def column_value(geometry: GeometryColumn) -> ColumnRef:
    """Write the column as geometry, also where it is geography."""
    template = SQL("{}::geometry") if geometry.geography else SQL("{}")
    return ColumnRef(template.format(stored_value(geometry)))


def bound_name(value: Composable) -> Composable:
    """Return the name of `value` in an expression that is passed to `evaluate_once`."""
    if isinstance(value, ColumnRef):
        return value
    return SQL("v.g")


def evaluate_once(value: Composable, expression: Composable) -> Composable:
    """Write an expression in which `value` is computed once.

    Args:
        expression: may contain `bound_name(value)` any number of times.
    """
    if isinstance(value, ColumnRef):
        return expression
    return SQL("(SELECT {} FROM (SELECT {} AS g OFFSET 0) v)").format(expression, value)


def bind_once(value: Composable, body: SQL, **parts: Composable) -> Composable:
    """Fill a template in which `{g}` is the value, which is computed once."""
    return evaluate_once(value, body.format(g=bound_name(value), **parts))


def liblwgeom_intersects(g: Composable, area: Composable) -> Composable:
    """Write whether a geometry intersects an area, by liblwgeom without empty rings.

    Args:
        g: the name of the geometry.
        area: a polygon in its CRS.
    """
    return SQL(
        "CASE WHEN GeometryType({g}) IN ('POLYGON', 'MULTIPOLYGON', 'GEOMETRYCOLLECTION')"
        " THEN ST_DWithin({whole}, {b}, 0)"
        " ELSE ST_DWithin({g}, {b}, 0) END"
    ).format(g=g, whole=RID_OF_EMPTIES.format(g=g), b=area)


def may_cross(geometry: GeometryColumn) -> bool:
    """Whether edges may cross the antimeridian: in geography an edge is the shortest way."""
    return geometry.geography and geometry.type not in ("POINT", "MULTIPOINT")


def short_way(value: Composable) -> Composable:
    """Write a geography as a geometry whose parts are not torn apart at the antimeridian.

    A part that crosses the antimeridian gets longitudes beyond 180 degrees. A part around a pole
    stays as it is: no ring in degrees can go around a pole.
    """
    part, moved = SQL("d.geom"), SQL("ST_ShiftLongitude(d.geom)")
    parts = SQL(
        "SELECT d.path, CASE WHEN {leaps} AND NOT {still} THEN {moved} ELSE d.geom END AS geom FROM"
    ).format(leaps=_LEAPS.format(g=part), still=_LEAPS.format(g=moved), moved=moved)
    return bind_once(
        value,
        SQL(
            "CASE WHEN ST_XMax({g}) - ST_XMin({g}) > 180 THEN"
            " (SELECT CASE WHEN GeometryType({g}) IN ('LINESTRING', 'POLYGON')"
            " THEN (array_agg(m.geom))[1] ELSE ST_Collect(m.geom ORDER BY m.path) END"
            " FROM ({parts} ST_Dump({g}) d) m)"
            " ELSE {g} END"
        ),
        parts=parts,
    )


def in_degrees(geometry: GeometryColumn, value: Composable) -> Composable:
    """Write a value of this column in longitude and latitude, SRID 4326."""
    if geometry.srid == WGS84:
        return value
    if geometry.srid == UNKNOWN:
        return bind_once(
            value,
            SQL(
                "CASE ST_SRID({g}) WHEN 4326 THEN {g} WHEN 0 THEN ST_SetSRID({g}, 4326)"
                " ELSE ST_Transform({g}, 4326) END"
            ),
        )
    return SQL("ST_Transform({}, 4326)").format(value)


def in_crs(
    geometry: GeometryColumn,
    value: Composable,
    srid: Srid,
) -> Composable:
    """Write a value of this column in another CRS, x before y.

    A value that is in this CRS is not transformed: a transformation takes longer than the encoding.
    """
    if srid == WGS84:
        return in_degrees(geometry, value)
    if geometry.srid == srid:
        return value
    target = Param(int(srid), "int4")
    if geometry.srid == UNKNOWN:
        return bind_once(
            value,
            SQL(
                "CASE ST_SRID({g}) WHEN {srid} THEN {g}"
                " WHEN 0 THEN ST_Transform(ST_SetSRID({g}, 4326), {srid})"
                " ELSE ST_Transform({g}, {srid}) END"
            ),
            srid=target,
        )
    return SQL("ST_Transform({}, {})").format(value, target)


def linear(geometry: GeometryColumn, value: Composable) -> Composable:
    """Write a value as a type that readers of GeoJSON and WKT know.

    Arcs become segments. TINs and polyhedral surfaces become multipolygons.
    """
    if geometry.type in PLAIN_TYPES:
        return value
    return bind_once(
        value,
        SQL(
            "CASE WHEN GeometryType({g}) IN ('POINT', 'LINESTRING', 'POLYGON', 'MULTIPOINT',"
            " 'MULTILINESTRING', 'MULTIPOLYGON') THEN {g}"
            " WHEN ST_HasArc({g}) THEN ST_CurveToLine({g})"
            " WHEN GeometryType({g}) IN ('TIN', 'POLYHEDRALSURFACE', 'TRIANGLE', 'TRIANGLEZ')"
            " THEN (SELECT ST_Multi(ST_Collect(CASE GeometryType(d.geom) WHEN 'TRIANGLE'"
            " THEN ST_SetSRID(ST_MakePolygon(ST_ExteriorRing(d.geom)), ST_SRID({g}))"
            " ELSE d.geom END)) FROM ST_Dump({g}) d)"
            " ELSE {g} END"
        ),
    )
