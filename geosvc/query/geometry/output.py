"""A geometry as it is written for clients, in SQL: simplified, transformed, cut, oriented."""

from geosvc.model.collection import GeometryColumn
from geosvc.model.crs import WGS84, Srid, half_turn, metres_of_unit
from geosvc.query.geometry.expressions import (
    AREAL_TYPES,
    PLAIN_TYPES,
    bind_once,
    in_crs,
    linear,
    may_cross,
    short_way,
)
from geosvc.requests.items import GeometryStyle
from geosvc.sql.compose import SQL, Composable, Param

EQUATOR_METRES = 40_075_016.68557849
TILE_PIXELS = 256


def written_geometry(
    geometry: GeometryColumn,
    style: GeometryStyle,
    value: Composable,
) -> Composable:
    """Write a value of a column in the CRS of the style and in the axis order of this CRS.

    Shells are counter-clockwise, and a geometry in a geographic CRS is cut at the antimeridian.
    Source: RFC 7946 3.1.6 and 3.1.9.
    """
    if may_cross(geometry):
        value = short_way(value)
    value = _simplify(geometry, style, linear(geometry, value))
    value = in_crs(geometry, value, style.crs.srid)
    value = _cut(value, style.crs.srid)
    if geometry.type in AREAL_TYPES:
        value = SQL("ST_ForcePolygonCCW({})").format(value)
    elif geometry.type not in PLAIN_TYPES:
        # ST_ForcePolygonCCW also reverses lines and everything else that is not a polygon. As
        # these were reversed before, they have their own order again.
        value = SQL("ST_ForcePolygonCCW(ST_Reverse({}))").format(value)
    if style.crs.has_y_first:
        return SQL("ST_FlipCoordinates({})").format(value)
    return value


def _simplify(
    geometry: GeometryColumn,
    style: GeometryStyle,
    value: Composable,
) -> Composable:
    tolerance = _tolerance(geometry, style)
    if tolerance is None:
        return value
    return SQL("ST_Simplify({}, {}, true)").format(value, Param(tolerance, "float8"))


def _tolerance(geometry: GeometryColumn, style: GeometryStyle) -> float | None:
    """Return the tolerance of the simplification in units of the storage CRS; None for none."""
    if style.zoom_level is not None:
        half = half_turn(geometry.srid)
        if half is None:
            equator = EQUATOR_METRES / metres_of_unit(geometry.srid)
        else:
            equator = 2 * half
        return equator / (TILE_PIXELS * 2.0**style.zoom_level)
    if style.tolerance is not None and geometry.geography:
        return style.tolerance * 360.0 / EQUATOR_METRES
    return style.tolerance


def _cut(value: Composable, srid: Srid) -> Composable:
    """Cut a geometry at the antimeridian, if its CRS is geographic."""
    if srid == WGS84:
        return within_180(value)
    half = half_turn(srid)
    if half is None:
        return _finite(value, srid)
    return _within_half_turn(value, srid, half)


def within_180(value: Composable) -> Composable:
    """Cut a geometry that crosses the antimeridian. Source: RFC 7946 3.1.9.

    ST_WrapX is a function of GEOS, so that only valid geometries are cut. A geometry that is not
    finite raises, so that the page is read again and each geometry is checked. The operator `&&`
    is false for NaN, `@` for infinity.
    """
    return bind_once(
        value,
        SQL(
            "CASE WHEN {g} @ ST_MakeEnvelope(-180, -90, 180, 90, 4326)"
            " AND {g} && ST_MakeEnvelope(-180, -90, 180, 90, 4326)"
            " OR ST_IsEmpty({g}) THEN {g}"
            " WHEN NOT ({g} && ST_MakeEnvelope(-1e30, -1e30, 1e30, 1e30, 4326)"
            " AND {g} @ ST_MakeEnvelope(-1e30, -1e30, 1e30, 1e30, 4326))"
            " THEN ST_GeomFromText(ST_AsText({g}) || ' not finite')"
            " WHEN NOT ST_IsValid({g}) THEN {g}"
            " WHEN GeometryType({g}) LIKE 'GEOMETRYCOLLECTION%'"
            " THEN ST_WrapX(ST_WrapX({g}, 180, -360), -180, 360)"
            " ELSE ST_CollectionHomogenize(ST_WrapX(ST_WrapX({g}, 180, -360), -180, 360)) END"
        ),
    )


def _within_half_turn(
    value: Composable,
    srid: Srid,
    half: float,
) -> Composable:
    """Cut a geometry in another geographic CRS.

    Args:
        half: half of the circle in units of the CRS; 200 where the circle has 400 grads.
    """
    west, east = Param(-half, "float8"), Param(half, "float8")
    south, north = Param(-half / 2, "float8"), Param(half / 2, "float8")
    turn, back = Param(2 * half, "float8"), Param(-2 * half, "float8")
    world = SQL("ST_MakeEnvelope({}, {}, {}, {}, {})").format(
        west, south, east, north, Param(int(srid), "int4")
    )
    return bind_once(
        _finite(value, srid),
        SQL(
            "CASE WHEN {g} @ {world} OR ST_IsEmpty({g}) OR NOT ST_IsValid({g}) THEN {g}"
            " ELSE ST_WrapX(ST_WrapX({g}, {east}, {back}), {west}, {whole}) END"
        ),
        world=world,
        west=west,
        east=east,
        back=back,
        whole=turn,
    )


def _finite(value: Composable, srid: Srid) -> Composable:
    """Raise for a geometry that is not finite, as `within_180` does."""
    return bind_once(
        value,
        SQL(
            "CASE WHEN {g} && {all} AND {g} @ {all} OR ST_IsEmpty({g}) THEN {g}"
            " ELSE ST_GeomFromText(ST_AsText({g}) || ' not finite') END"
        ),
        all=SQL("ST_MakeEnvelope(-1e30, -1e30, 1e30, 1e30, {})").format(Param(int(srid), "int4")),
    )
