"""How a geometry column is filtered and written.

Real data hold rings of two points, and a read must not fail for them. So nothing here calls a function that GEOS answers
unless the geometry is known to be one that GEOS accepts, and none of those that crash or hang the server on bad rows
(docs/decisions/0005). ST_DWithin(a, b, 0) is liblwgeom's own "intersects"; it still raises on some unclosed rings, and then
the page is read again, cautiously.
"""

from dataclasses import dataclass
from enum import Enum

from geosvc.model.collection import GeometryColumn
from geosvc.model.crs import UNKNOWN, WGS84, Srid, half_turn, is_geographic
from geosvc.requests.items import GeometryStyle
from geosvc.sql.compose import SQL, Composable, Composed, Identifier, Param, Params

PLAIN_TYPES = frozenset({"POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON"})
NULL_FREE_TYPES = PLAIN_TYPES - {"MULTIPOINT"}  # whose members are never written as nothing by ST_AsGeoJSON
AREAL_TYPES = frozenset({"POLYGON", "MULTIPOLYGON"})
EQUATOR_METRES = 40_075_016.68557849
TILE_PIXELS = 256
# An empty hole in a polygon crashes liblwgeom. ST_SnapToGrid drops rings of fewer than four points and empty members; what
# nothing is left of is taken for its box. It knows no curves.
RID_OF_EMPTIES = SQL(
    "(SELECT CASE WHEN NOT ST_IsEmpty(m.s) THEN m.s ELSE ST_Envelope({g}) END"
    " FROM (SELECT ST_SnapToGrid({g}, 1e-10) AS s OFFSET 0) m)"
)


@dataclass(frozen=True, slots=True)
class Bare(Composable):
    """A geometry that costs nothing to name twice: a column."""

    name: Composed

    def render(self, params: Params) -> str:
        """The column."""
        return self.name.render(params)


def column_value(geometry: GeometryColumn) -> Bare:
    """The column as a geometry."""
    template = SQL("t.{}::geometry") if geometry.geography else SQL("t.{}")
    return Bare(template.format(Identifier(geometry.name)))


def let(value: Composable, body: SQL, **parts: Composable) -> Composable:
    """`body` with `{g}` for the value, which is computed once however often it is named."""
    if isinstance(value, Bare):
        return body.format(g=value, **parts)
    once = SQL("v.g").format()
    return SQL("(SELECT {} FROM (SELECT {} AS g OFFSET 0) v)").format(body.format(g=once, **parts), value)


def in_degrees(geometry: GeometryColumn, value: Composable) -> Composable:
    """`value` of this column in longitude and latitude, SRID 4326."""
    if geometry.srid == WGS84:
        return value
    if geometry.srid == UNKNOWN:
        return let(
            value,
            SQL("CASE ST_SRID({g}) WHEN 4326 THEN {g} WHEN 0 THEN ST_SetSRID({g}, 4326) ELSE ST_Transform({g}, 4326) END"),
        )
    return SQL("ST_Transform({}, 4326)").format(value)


def in_crs(geometry: GeometryColumn, value: Composable, srid: Srid) -> Composable:
    """`value` of this column in another CRS, x before y. Nothing is transformed that is there already: to transform costs more
    than to write.
    """
    if srid == WGS84:
        return in_degrees(geometry, value)
    if geometry.srid == srid:
        return value
    wanted = Param(int(srid), "int4")
    if geometry.srid == UNKNOWN:
        rows = SQL(
            "CASE ST_SRID({g}) WHEN {srid} THEN {g} WHEN 0 THEN ST_Transform(ST_SetSRID({g}, 4326), {srid})"
            " ELSE ST_Transform({g}, {srid}) END"
        )
        return let(value, rows, srid=wanted)
    return SQL("ST_Transform({}, {})").format(value, wanted)


def linear(geometry: GeometryColumn, value: Composable) -> Composable:
    """`value` of types that GeoJSON and WKT readers know: arcs as segments, surfaces of patches as multipolygons."""
    if geometry.type in PLAIN_TYPES:
        return value
    return let(
        value,
        SQL(
            "CASE WHEN GeometryType({g}) IN"
            " ('POINT', 'LINESTRING', 'POLYGON', 'MULTIPOINT', 'MULTILINESTRING', 'MULTIPOLYGON') THEN {g}"
            " WHEN ST_HasArc({g}) THEN ST_CurveToLine({g})"
            " WHEN GeometryType({g}) IN ('TIN', 'POLYHEDRALSURFACE', 'TRIANGLE', 'TRIANGLEZ')"
            " THEN (SELECT ST_Multi(ST_Collect(CASE GeometryType(d.geom) WHEN 'TRIANGLE'"
            " THEN ST_SetSRID(ST_MakePolygon(ST_ExteriorRing(d.geom)), ST_SRID({g})) ELSE d.geom END)) FROM ST_Dump({g}) d)"
            " ELSE {g} END"
        ),
    )


def _within_180(value: Composable) -> Composable:
    """Cuts what crosses the antimeridian, as RFC 7946 3.1.9 asks. ST_WrapX is GEOS: only what is valid is cut.

    What is not finite has no place on Earth; it raises, so that the page is read again and each geometry looked at.
    `&&` is false for NaN, `@` for infinity.
    """
    return let(
        value,
        SQL(
            "CASE WHEN {g} @ ST_MakeEnvelope(-180, -90, 180, 90, 4326) AND {g} && ST_MakeEnvelope(-180, -90, 180, 90, 4326)"
            " OR ST_IsEmpty({g}) THEN {g}"
            " WHEN NOT ({g} && ST_MakeEnvelope(-1e30, -1e30, 1e30, 1e30, 4326)"
            " AND {g} @ ST_MakeEnvelope(-1e30, -1e30, 1e30, 1e30, 4326))"
            " THEN ST_GeomFromText(ST_AsText({g}) || ' not finite')"
            " WHEN NOT ST_IsValid({g}) THEN {g}"
            " ELSE ST_WrapX(ST_WrapX({g}, 180, -360), -180, 360) END"
        ),
    )


def _within_half_turn(value: Composable, srid: Srid, half: float) -> Composable:
    """The same for other geographic systems, whose circle may have 400 grads."""
    west, east, whole = (Param(each, "float8") for each in (-half, half, 2 * half))
    south, north, back = (Param(each, "float8") for each in (-half / 2, half / 2, -2 * half))
    world = SQL("ST_MakeEnvelope({}, {}, {}, {}, {})").format(west, south, east, north, Param(int(srid), "int4"))
    return let(
        _finite(value, srid),
        SQL(
            "CASE WHEN {g} @ {world} OR ST_IsEmpty({g}) OR NOT ST_IsValid({g}) THEN {g}"
            " ELSE ST_WrapX(ST_WrapX({g}, {east}, {back}), {west}, {whole}) END"
        ),
        world=world,
        west=west,
        east=east,
        back=back,
        whole=whole,
    )


def _finite(value: Composable, srid: Srid) -> Composable:
    """What is not finite has no place, as in `_within_180`."""
    return let(
        value,
        SQL(
            "CASE WHEN {g} && {all} AND {g} @ {all} OR ST_IsEmpty({g}) THEN {g}"
            " ELSE ST_GeomFromText(ST_AsText({g}) || ' not finite') END"
        ),
        all=SQL("ST_MakeEnvelope(-1e30, -1e30, 1e30, 1e30, {})").format(Param(int(srid), "int4")),
    )


def _simplified(geometry: GeometryColumn, style: GeometryStyle, value: Composable) -> Composable:
    degrees = geometry.geography or is_geographic(geometry.srid)
    tolerance = style.tolerance
    if style.zoom_level is not None:
        tolerance = (360.0 if degrees else EQUATOR_METRES) / (TILE_PIXELS * 2.0**style.zoom_level)
    elif tolerance is not None and geometry.geography:
        tolerance = tolerance * 360.0 / EQUATOR_METRES
    if tolerance is None:
        return value
    return SQL("ST_Simplify({}, {}, true)").format(value, Param(tolerance, "float8"))


def written_geometry(geometry: GeometryColumn, style: GeometryStyle, value: Composable) -> Composable:
    """`value` of a column in the CRS that is wanted and in its axis order; shells counter-clockwise, and angles cut at the
    antimeridian, as RFC 7946 has it.
    """
    srid = style.crs.srid
    value = in_crs(geometry, _simplified(geometry, style, linear(geometry, value)), srid)
    half = half_turn(srid)
    if srid == WGS84:
        value = _within_180(value)
    else:
        value = _finite(value, srid) if half is None else _within_half_turn(value, srid, half)
    if geometry.type in AREAL_TYPES:
        value = SQL("ST_ForcePolygonCCW({})").format(value)
    elif geometry.type not in PLAIN_TYPES:
        # it turns lines round, and whatever is beside the shells: turned before, they are as they were
        value = SQL("ST_ForcePolygonCCW(ST_Reverse({}))").format(value)
    return SQL("ST_FlipCoordinates({})").format(value) if style.crs.flipped else value


class Care(Enum):
    """How geometries are compared with a box."""

    EXACTLY = "exactly"
    """By their shape; a bad geometry may fail the statement."""
    CAUTIOUSLY = "cautiously"
    """By their shape, invalid ones by their own boxes; nothing fails the statement."""
    ROUGHLY = "roughly"
    """By their own boxes, whose selectivity the planner knows."""
