"""The nearest features, in the exact order of their distance, found by the index.

The index orders rows by their distance in a plane. The farthest of the first k rows in this order
bounds the distance of the k nearest rows on the spheroid. Then all rows within this bound are
measured: the index finds them by a box.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, radians

from geosvc.model.bbox import Bbox
from geosvc.model.collection import Collection, GeometryColumn
from geosvc.model.crs import WGS84
from geosvc.model.spatial import FARTHEST_METRES, LEAST_RADIUS_METRES, SLACK_METRES, SpatialFilter
from geosvc.query.geometry.distances import distance_of
from geosvc.query.geometry.expressions import GeometryTest
from geosvc.query.geometry.search_geometry import Area, area_around, search_geometry_of
from geosvc.query.sql_parts import all_of, any_of, comma_list, row_column
from geosvc.sql.compose import REQUEST_TAG, SQL, Composable, Identifier, Param


@dataclass(frozen=True, slots=True)
class Candidates:
    """The rows of which the nearest are selected.

    Attributes:
        source: what follows FROM, without a name.
        conditions: the other conditions.
    """

    source: Composable
    conditions: tuple[Composable, ...]


@dataclass(frozen=True, slots=True)
class _NearBoxes:
    """A statement that returns one row of boxes, which together hold all of the nearest rows.

    Attributes:
        names: the columns of the statement.
    """

    statement: Composable
    names: tuple[str, ...] = ("here",)


def select_nearest(
    collection: Collection,
    spatial: SpatialFilter,
    columns: Sequence[Composable],
    candidates: Candidates,
    geometry_test: GeometryTest,
) -> Composable:
    """Write a statement that returns the nearest rows ordered by their distance, without a LIMIT.

    Args:
        columns: what is selected; `t` is the row, `d.metres` its distance.
    """
    measured = _measured_rows(collection, spatial, candidates, geometry_test)
    order = [SQL("d.metres"), *map(row_column, collection.key)]
    near = _near_boxes(collection.geometry, spatial, measured)
    if near is None:
        return SQL("SELECT {columns} FROM {measured} AND {tag} ORDER BY {order}").format(
            columns=comma_list(columns),
            measured=measured,
            tag=REQUEST_TAG,
            order=comma_list(order),
        )
    return SQL(
        "WITH near AS MATERIALIZED ({near})"
        " SELECT {columns} FROM {measured} AND {tag} AND ({in_boxes}) ORDER BY {order}"
    ).format(
        near=near.statement,
        columns=comma_list(columns),
        measured=measured,
        tag=REQUEST_TAG,
        in_boxes=_in_boxes(collection.geometry, near),
        order=comma_list(order),
    )


def _measured_rows(
    collection: Collection,
    spatial: SpatialFilter,
    candidates: Candidates,
    geometry_test: GeometryTest,
) -> Composable:
    """Write what follows FROM: the rows `t` with their distances `d.metres`, and the conditions."""
    most = spatial.metres
    if most is None:
        most = FARTHEST_METRES
    is_near = SQL("d.metres <= {}").format(Param(most, "float8"))
    return SQL(
        "{source} t, LATERAL (SELECT {distance} AS metres OFFSET 0) d WHERE {conditions}"
    ).format(
        source=candidates.source,
        distance=distance_of(collection, spatial, geometry_test),
        conditions=all_of([is_near, *candidates.conditions]),
    )


def _in_boxes(geometry: GeometryColumn, near: _NearBoxes) -> Composable:
    column = row_column(geometry.name)
    alternatives = []
    for name in near.names:
        box = SQL("(SELECT near.{} FROM near)").format(Identifier(name))
        alternatives.append(SQL("{} && {}").format(column, box))
    return any_of(alternatives)


def _near_boxes(
    geometry: GeometryColumn,
    spatial: SpatialFilter,
    measured: Composable,
) -> _NearBoxes | None:
    """Write the boxes; None where no index knows distances.

    That is so where each row has a CRS of its own, and where the geometry of the search lies
    outside the area of use of the storage CRS.
    """
    inside = search_geometry_of(spatial).inside
    if geometry.geography:
        point = SQL("{}::geography").format(inside)
        bound = _bound(geometry, spatial, measured, point)
        return _near_in_geography(spatial, bound)
    if geometry.srid == WGS84:
        bound = _bound(geometry, spatial, measured, inside)
        return _near_in_degrees(spatial, bound)
    area = area_around(geometry, Bbox(*spatial.bounds))
    if area is None:
        return None
    srid = Param(int(geometry.srid), "int4")
    point = SQL("ST_Transform({}, {})").format(inside, srid)
    bound = _bound(geometry, spatial, measured, point)
    return _near_in_plane(geometry, spatial, area, bound)


def _bound(
    geometry: GeometryColumn,
    spatial: SpatialFilter,
    measured: Composable,
    point: Composable,
) -> Composable:
    """Write a subquery (metres): the k nearest rows are within this distance.

    Args:
        point: a point of the geometry of the search in the storage CRS.
    """
    # <-> reads the geometry itself, and an empty hole in a polygon crashes it; <#> reads boxes.
    order = SQL("t.{} <#> {}")
    if geometry.geography or geometry.type == "POINT":
        order = SQL("t.{} <-> {}")
    return SQL(
        "(SELECT least(CASE WHEN count(*) >= {rows} THEN max(n.metres) END, {most}) AS metres"
        " FROM (SELECT d.metres FROM {measured} ORDER BY {order} LIMIT {rows}) n)"
    ).format(
        rows=Param(spatial.rows, "int8"),
        most=Param(FARTHEST_METRES, "float8"),
        measured=measured,
        order=order.format(Identifier(geometry.name), point),
    )


def _near_in_geography(spatial: SpatialFilter, bound: Composable) -> _NearBoxes:
    names = []
    boxes = []
    for number, part in enumerate(search_geometry_of(spatial).geodesics):
        name = f"part_{number}"
        box = SQL("_ST_Expand({}, bound.metres) AS {}").format(part, Identifier(name))
        names.append(name)
        boxes.append(box)
    statement = SQL("SELECT {} FROM {} bound").format(comma_list(boxes), bound)
    return _NearBoxes(statement, tuple(names))


def _near_in_degrees(spatial: SpatialFilter, bound: Composable) -> _NearBoxes:
    """Write boxes in degrees; longitudes may be stored beyond 180 degrees on either side."""
    west, _, east, _ = spatial.bounds
    shifts = {"here": 0.0}
    # Longitudes beyond these limits would need a shift that is not among `shifts`.
    lowest = 0.0
    highest = 90.0
    if west < 0:
        shifts["east"] = 360.0
        lowest = -180.0
    if east > 90:
        shifts["west"] = -360.0
        highest = 180.0
    boxes = []
    for name, shift in shifts.items():
        box = SQL(
            "ST_MakeEnvelope(b.west + {shift}, b.south, b.east + {shift}, b.north, 4326) AS {name}"
        ).format(
            shift=Param(shift, "float8"),
            name=Identifier(name),
        )
        boxes.append(box)
    surroundings = _surroundings(spatial, bound, lowest, highest)
    statement = SQL("SELECT {} FROM {} b").format(comma_list(boxes), surroundings)
    return _NearBoxes(statement, tuple(shifts))


def _near_in_plane(
    geometry: GeometryColumn,
    spatial: SpatialFilter,
    area: Area,
    bound: Composable,
) -> _NearBoxes:
    """Write a box in the storage CRS; it is the whole plane if it would leave the area of use."""
    west, south, east, north = area
    in_area = SQL("b.west >= {west} AND b.east <= {east}")
    if west > east:
        in_area = SQL("b.west >= {west} OR b.east <= {east}")
    statement = SQL(
        "SELECT coalesce(ST_Expand(g.box, 0.002 * greatest(ST_XMax(g.box) - ST_XMin(g.box),"
        " ST_YMax(g.box) - ST_YMin(g.box))),"
        " ST_MakeEnvelope(-1e30, -1e30, 1e30, 1e30, {srid})) AS here FROM {around} b,"
        " LATERAL (SELECT"
        " CASE WHEN b.south >= {south} AND b.north <= {north} AND ({in_area}) THEN"
        " ST_Transform(ST_Segmentize(ST_MakeEnvelope(b.west, b.south, b.east, b.north, 4326),"
        " greatest(b.east - b.west, b.north - b.south) / 32), {srid}) END AS box OFFSET 0) g"
    ).format(
        around=_surroundings(spatial, bound, -180.0, 180.0),
        srid=Param(int(geometry.srid), "int4"),
        south=Param(south, "float8"),
        north=Param(north, "float8"),
        in_area=in_area.format(west=Param(west, "float8"), east=Param(east, "float8")),
    )
    return _NearBoxes(statement)


def _surroundings(
    spatial: SpatialFilter,
    bound: Composable,
    lowest: float,
    highest: float,
) -> Composable:
    """Write a subquery (west, south, east, north), degrees: the box around the geometry.

    It does what `model.spatial.expand_bounds` does, for a distance that only the statement knows.

    Args:
        lowest, highest: if a longitude would be beyond them, the box has all longitudes.
    """
    west, south, east, north = spatial.bounds
    farthest = max(abs(south), abs(north))
    # Without OFFSET 0 the planner copies each expression to every place where its name is used.
    return SQL(
        "(SELECT CASE WHEN a.wide THEN -540 ELSE a.west END AS west, a.south,"
        " CASE WHEN a.wide THEN 540 ELSE a.east END AS east, a.north"
        " FROM (SELECT {west} - s.aside AS west, greatest({south} - s.up, -90) AS south,"
        " {east} + s.aside AS east, least({north} + s.up, 90) AS north,"
        " s.up >= {to_pole} OR {west} - s.aside < {lowest}"
        " OR {east} + s.aside > {highest} AS wide"
        " FROM (SELECT degrees(r.angle) AS up,"
        " degrees(asin(least(sin(least(r.angle, pi() / 2)) / {cosine}, 1))) AS aside"
        " FROM (SELECT (bound.metres * 1.0001 + {slack}) / {radius} AS angle"
        " FROM {bound} bound) r) s OFFSET 0) a OFFSET 0)"
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
