"""The nearest features, exactly, and by the index.

The first rows in the order of the index, which is that of a plane, bound the distance of the wanted ones on the spheroid. Then
all rows within this bound are measured: the index finds them by a box.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, radians

from geosvc.model.bbox import Bbox
from geosvc.model.collection import Collection, GeometryColumn
from geosvc.model.crs import UNKNOWN, WGS84, area_of_use
from geosvc.model.spatial import EVERYWHERE_METRES, LEAST_RADIUS_METRES, SLACK_METRES, SpatialFilter
from geosvc.query.geometry import Care
from geosvc.query.spatial import asked_of, distance_of
from geosvc.sql.compose import REQUEST_TAG, SQL, Composable, Identifier, Param


@dataclass(frozen=True, slots=True)
class Candidates:
    """The rows among which the nearest are looked for.

    Attributes:
        source: what follows FROM, without a name.
        tests: the other conditions.
    """

    source: Composable
    tests: tuple[Composable, ...]


def select_nearest(
    collection: Collection, spatial: SpatialFilter, columns: Sequence[Composable], candidates: Candidates, care: Care
) -> Composable:
    """The nearest rows in the order of their distance `d.metres`, without a LIMIT.

    Args:
        columns: what is selected; `t` is the row.
    """
    geometry = collection.geometry
    most = Param(EVERYWHERE_METRES if spatial.metres is None else spatial.metres, "float8")
    measured = SQL("{source} t, LATERAL (SELECT {distance} AS metres OFFSET 0) d WHERE {tests}").format(
        source=candidates.source,
        distance=distance_of(collection, spatial, care),
        tests=SQL(" AND ").join([SQL("d.metres <= {}").format(most), *candidates.tests]),
    )
    keys = [SQL("d.metres"), *(SQL("t.{}").format(Identifier(name)) for name in collection.key)]
    wanted, order = SQL(", ").join(columns), SQL(", ").join(keys)
    near = _near(geometry, spatial, measured)
    if near is None:
        return SQL("SELECT {} FROM {} AND {} ORDER BY {}").format(wanted, measured, REQUEST_TAG, order)
    return SQL(
        "WITH near AS MATERIALIZED ({near}) SELECT {wanted} FROM {measured} AND {tag} AND ({meets}) ORDER BY {order}"
    ).format(
        tag=REQUEST_TAG,
        near=near.boxes,
        wanted=wanted,
        measured=measured,
        meets=SQL(" OR ").join(
            SQL("t.{} && (SELECT near.{} FROM near)").format(Identifier(geometry.name), Identifier(name)) for name in near.names
        ),
        order=order,
    )


@dataclass(frozen=True, slots=True)
class _Near:
    """A statement whose one row is boxes that hold all of the nearest.

    Attributes:
        names: of its columns.
    """

    boxes: Composable
    names: tuple[str, ...] = ("here",)


def _near(geometry: GeometryColumn, spatial: SpatialFilter, measured: Composable) -> _Near | None:
    """None where no index knows distances: each row has its own CRS, or the place lies outside of what the CRS is for."""
    inside = asked_of(spatial).inside
    if geometry.geography:
        bound = _bound(geometry, spatial, measured, SQL("{}::geography").format(inside))
        parts = {f"part_{number}": each for number, each in enumerate(asked_of(spatial).geodesics)}
        boxes = (SQL("_ST_Expand({}, bound.metres) AS {}").format(each, Identifier(name)) for name, each in parts.items())
        return _Near(SQL("SELECT {} FROM {} bound").format(SQL(", ").join(boxes), bound), tuple(parts))
    if geometry.srid == WGS84:
        return _near_in_degrees(spatial, _bound(geometry, spatial, measured, inside))
    area = area_of_use(geometry.srid) if geometry.srid != UNKNOWN else None
    if area is None or not Bbox(*spatial.bounds).lies_within(area):
        return None
    inside = SQL("ST_Transform({}, {})").format(inside, Param(int(geometry.srid), "int4"))
    return _near_in_plane(geometry, spatial, area, _bound(geometry, spatial, measured, inside))


def _bound(geometry: GeometryColumn, spatial: SpatialFilter, measured: Composable, inside: Composable) -> Composable:
    """(metres): as many rows as are wanted are within, if there are so many."""
    # <-> looks at the geometry itself, and an empty hole in a polygon crashes it; <#> only knows boxes
    order = SQL("t.{} <-> {}") if geometry.geography or geometry.type == "POINT" else SQL("t.{} <#> {}")
    return SQL(
        "(SELECT least(CASE WHEN count(*) >= {rows} THEN max(n.metres) END, {most}) AS metres"
        " FROM (SELECT d.metres FROM {measured} ORDER BY {order} LIMIT {rows}) n)"
    ).format(
        rows=Param(spatial.rows, "int8"),
        most=Param(EVERYWHERE_METRES, "float8"),
        measured=measured,
        order=order.format(Identifier(geometry.name), inside),
    )


def _surroundings(spatial: SpatialFilter, bound: Composable, lowest: float, highest: float) -> Composable:
    """`model.spatial.surroundings` for a distance that is only known when the statement runs: (west, south, east, north). All
    longitudes, when there would be some below the lowest or above the highest.
    """
    west, south, east, north = spatial.bounds
    farthest = max(abs(south), abs(north))
    # OFFSET 0: else the planner writes each expression into all those that name it
    return SQL(
        "(SELECT CASE WHEN a.wide THEN -540 ELSE a.west END AS west, a.south,"
        " CASE WHEN a.wide THEN 540 ELSE a.east END AS east, a.north"
        " FROM (SELECT {west} - s.aside AS west, greatest({south} - s.up, -90) AS south,"
        " {east} + s.aside AS east, least({north} + s.up, 90) AS north,"
        " s.up >= {to_pole} OR {west} - s.aside < {lowest} OR {east} + s.aside > {highest} AS wide"
        " FROM (SELECT degrees(r.angle) AS up, degrees(asin(least(sin(least(r.angle, pi() / 2)) / {cosine}, 1))) AS aside"
        " FROM (SELECT (bound.metres * 1.0001 + {slack}) / {radius} AS angle FROM {bound} bound) r) s OFFSET 0) a OFFSET 0)"
    ).format(
        west=Param(west, "float8"),
        south=Param(south, "float8"),
        east=Param(east, "float8"),
        north=Param(north, "float8"),
        to_pole=Param(90.0 - farthest, "float8"),
        lowest=Param(lowest, "float8"),
        highest=Param(highest, "float8"),
        cosine=Param(cos(radians(farthest)), "float8"),
        slack=Param(SLACK_METRES, "float8"),
        radius=Param(LEAST_RADIUS_METRES, "float8"),
        bound=bound,
    )


def _near_in_degrees(spatial: SpatialFilter, bound: Composable) -> _Near:
    """Longitudes may be stored beyond 180 degrees either way, as is usual around the Pacific."""
    west, _, east, _ = spatial.bounds
    shifts = {"here": 0.0} | ({"east": 360.0} if west < 0 else {}) | ({"west": -360.0} if east > 90 else {})
    # with longitudes beyond these it would take another shift
    around = _surroundings(spatial, bound, -180.0 if west < 0 else 0.0, 180.0 if east > 90 else 90.0)
    boxes = SQL(", ").join(
        SQL("ST_MakeEnvelope(b.west + {s}, b.south, b.east + {s}, b.north, 4326) AS {n}").format(
            s=Param(shift, "float8"), n=Identifier(name)
        )
        for name, shift in shifts.items()
    )
    return _Near(SQL("SELECT {} FROM {} b").format(boxes, around), tuple(shifts))


def _near_in_plane(
    geometry: GeometryColumn, spatial: SpatialFilter, area: tuple[float, float, float, float], bound: Composable
) -> _Near:
    """A box in the storage CRS, as wide as the plane when it would reach beyond what the CRS is for."""
    srid = Param(int(geometry.srid), "int4")
    around = _surroundings(spatial, bound, -180.0, 180.0)
    names = ("west", "south", "east", "north")
    limits = {name: Param(limit, "float8") for name, limit in zip(names, area, strict=True)}
    beside = SQL("b.west >= {west} AND b.east <= {east}") if area[0] <= area[2] else SQL("b.west >= {west} OR b.east <= {east}")
    return _Near(
        SQL(
            "SELECT coalesce(ST_Expand(g.box, 0.002 * greatest(ST_XMax(g.box) - ST_XMin(g.box),"
            " ST_YMax(g.box) - ST_YMin(g.box))), ST_MakeEnvelope(-1e30, -1e30, 1e30, 1e30, {srid})) AS here FROM {around} b,"
            " LATERAL (SELECT CASE WHEN b.south >= {south} AND b.north <= {north} AND ({beside}) THEN"
            " ST_Transform(ST_Segmentize(ST_MakeEnvelope(b.west, b.south, b.east, b.north, 4326),"
            " greatest(b.east - b.west, b.north - b.south) / 32), {srid}) END AS box OFFSET 0) g"
        ).format(around=around, srid=srid, beside=beside.format(west=limits["west"], east=limits["east"]), **limits)
    )
