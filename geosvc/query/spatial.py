"""How features lie to a posted geometry, and how far from it they are.

A box finds candidates by the index; then each is looked at: in degrees, as the lines of GeoJSON are straight there, or in the
storage CRS; metres are those on the spheroid. No stored geometry may fail or crash that (docs/decisions/0005): GEOS is asked
about what ST_IsValid accepts, and what liblwgeom measures is rid of empty rings and members first, which crash it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from geosvc.model.bbox import Bbox
from geosvc.model.collection import Collection, GeometryColumn
from geosvc.model.crs import UNKNOWN, WGS84, area_of_use
from geosvc.model.spatial import EVERYWHERE_METRES, Predicate, SpatialFilter, surroundings
from geosvc.query.boxes import WIDEST_GEOGRAPHY_PREFILTER, curved_envelope
from geosvc.query.geometry import RID_OF_EMPTIES, Bare, Care, column_value, in_degrees, linear
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
_PLANAR = (Predicate.INTERSECTS, Predicate.DISJOINT)  # what liblwgeom can tell without GEOS
_PLAIN = SQL("'POINT', 'LINESTRING', 'POLYGON', 'MULTIPOINT', 'MULTILINESTRING', 'MULTIPOLYGON'")
_WITH_COLLECTIONS = SQL(
    "'POINT', 'LINESTRING', 'POLYGON', 'MULTIPOINT', 'MULTILINESTRING', 'MULTIPOLYGON', 'GEOMETRYCOLLECTION'"
)
_ON_EARTH = SQL(
    "{g} && ST_MakeEnvelope(-540, -90, 540, 90, 4326) AND {g} @ ST_MakeEnvelope(-540, -90, 540, 90, 4326)"  # && is for NaN
)
_EDGE_PARTS = 32  # pieces that the posted geometry's longest side is cut into before it is transformed
Area = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Asked:
    """The posted geometry in a statement.

    Attributes:
        planar: geometry, SRID 4326.
        geodesics: geography, in parts.
        inside: geometry, a point of it.
    """

    planar: Composable
    geodesics: tuple[Composable, ...]
    inside: Composable


@lru_cache(maxsize=8)
def asked_of(spatial: SpatialFilter) -> Asked:
    """The same objects for one statement: however often a parameter is named, it is sent once."""
    return Asked(
        SQL("{}::geometry").format(Param(spatial.ewkb, "bytea")),
        tuple(SQL("{}::geometry::geography").format(Param(each, "bytea")) for each in spatial.geodesics),
        SQL("{}::geometry").format(Param(spatial.inside, "bytea")),
    )


def is_nearest(spatial: SpatialFilter | None) -> bool:
    """Whether features come in the order of their distance."""
    return spatial is not None and spatial.predicate is Predicate.NEAREST


def select_by_geometry(collection: Collection, spatial: SpatialFilter, care: Care) -> Composable:
    """A condition: the geometry lies to the posted one as the predicate says; never true where there is none. Of nearest
    `query.nearest` says more.

    Args:
        care: roughly, by boxes; cautiously, what is not valid or cannot be compared intersects, and is nothing else.
    """
    geometry = collection.geometry
    if spatial.predicate is Predicate.NEAREST:
        return SQL("true")
    if spatial.predicate is Predicate.DWITHIN:
        close = _surrounded(geometry, spatial)
        if care is Care.ROUGHLY:
            return close
        return SQL("({} AND {} <= {})").format(close, distance_of(collection, spatial, care), Param(spatial.metres, "float8"))
    meets = SQL("({})").format(SQL(" OR ").join(_meetings(geometry, spatial, care)))
    west, _, east, _ = spatial.bounds
    if geometry.geography and geometry.type == "POINT" and east - west <= WIDEST_GEOGRAPHY_PREFILTER:
        # what the index of geography knows of lines and polygons is another box (docs/decisions/0007)
        indexed = SQL("t.{} && {}::geography").format(Identifier(geometry.name), curved_envelope(Bbox(*spatial.bounds)))
        meets = SQL("({} AND {})").format(indexed, meets)
    return (
        SQL("(t.{} IS NOT NULL AND NOT {})").format(Identifier(geometry.name), meets)
        if spatial.predicate is Predicate.DISJOINT
        else meets
    )


def _of(value: Composable, made: Callable[[Composable], Composable]) -> Composable:
    """What is made of a value that is computed once however often it is named."""
    if isinstance(value, Bare):
        return made(value)
    return SQL("(SELECT {} FROM (SELECT {} AS g OFFSET 0) v)").format(made(SQL("v.g")), value)


def _area_with(geometry: GeometryColumn, box: Bbox) -> Area | None:
    """The area in which coordinates transform both ways, if the box lies within it."""
    area = area_of_use(geometry.srid) if geometry.srid != UNKNOWN else None
    return area if area is not None and box.lies_within(area) else None


def _meetings(geometry: GeometryColumn, spatial: SpatialFilter, care: Care) -> list[Composable]:
    """Conditions, of which one must hold."""
    column, posted = column_value(geometry), asked_of(spatial).planar
    if spatial.native is not None and spatial.native[0] == geometry.srid:
        return [_meets(geometry, spatial, care, column, SQL("{}::geometry").format(Param(spatial.native[1], "bytea")))]
    if geometry.geography or geometry.srid == WGS84:
        if spatial.across is not None:
            return _meetings_across(geometry, spatial, care, spatial.across)
        west, _, east, _ = spatial.bounds
        # longitudes may be stored beyond 180 degrees either way, as is usual around the Pacific
        shifts = [360.0] * (west < 0) + [-360.0] * (east > 90)
        others = [SQL("ST_Translate({}, {}, 0)").format(posted, Param(shift, "float8")) for shift in shifts]
        return [_meets(geometry, spatial, care, column, each) for each in (posted, *others)]
    if _area_with(geometry, Bbox(*spatial.bounds)) is not None:
        west, south, east, north = spatial.bounds
        step = Param(max((east - west) / _EDGE_PARTS, (north - south) / _EDGE_PARTS, 1e-6), "float8")
        there = SQL("ST_Transform(ST_Segmentize({}, {}), {})").format(posted, step, Param(int(geometry.srid), "int4"))
        return [_meets(geometry, spatial, care, column, there)]
    if care is not Care.CAUTIOUSLY:
        return [_meets(geometry, spatial, care, in_degrees(geometry, column), posted)]
    # a transformation may fail
    local = _meets(geometry, spatial, care, SQL("ST_SetSRID({}, 4326)").format(column), posted)
    left_in = SQL("{} IS NOT NULL").format(column) if spatial.predicate in _PLANAR else SQL("false")
    return [SQL("CASE WHEN ST_SRID({}) IN (0, 4326) THEN {} ELSE {} END").format(column, local, left_in)]


def _meetings_across(
    geometry: GeometryColumn, spatial: SpatialFilter, care: Care, across: tuple[bytes, bytes, bytes]
) -> list[Composable]:
    """What lies across the antimeridian is stored whole, on either side, or in two parts."""
    column = column_value(geometry)
    beyond, before, both = (SQL("{}::geometry").format(Param(each, "bytea")) for each in across)
    if spatial.predicate in _PLANAR:
        return [_meets(geometry, spatial, care, column, each) for each in (beyond, before)]
    near = SQL("({g} && {a} OR {g} && {b})").format(g=column, a=beyond, b=before)
    if spatial.predicate not in (Predicate.CONTAINS, Predicate.EQUALS):
        return [SQL("({} AND {})").format(near, _meets(geometry, spatial, care, column, both))]
    alike = [_meets(geometry, spatial, care, column, each) for each in (asked_of(spatial).planar, beyond, before)]
    return [SQL("({} AND ({}))").format(near, SQL(" OR ").join(alike))]


def _meets(geometry: GeometryColumn, spatial: SpatialFilter, care: Care, value: Composable, posted: Composable) -> Composable:
    """Whether `value` of the column lies to `posted` as the predicate says, both in the same CRS."""
    boxes = SQL("{g} && {q}")
    if care is Care.ROUGHLY:
        return _of(value, lambda g: boxes.format(g=g, q=posted))
    test = _TESTS[spatial.predicate]
    if geometry.type == "POINT":
        return _of(value, lambda g: SQL("({} AND {})").format(boxes.format(g=g, q=posted), test.format(g=g, q=posted)))
    planar, exactly = spatial.predicate in _PLANAR, care is Care.EXACTLY

    def judged(g: Composable) -> Composable:
        by_box = SQL("true") if planar else SQL("false")
        by_liblwgeom = SQL("ST_DWithin({}, {}, 0)").format(RID_OF_EMPTIES.format(g=g), posted)
        return SQL(
            "CASE WHEN GeometryType({g}) NOT IN ({types}) THEN {by_box} WHEN ST_IsValid({g}) THEN {test} ELSE {invalid} END"
        ).format(
            g=g,
            types=_WITH_COLLECTIONS if planar and exactly else _PLAIN,
            by_box=by_box,
            test=test.format(g=g, q=posted),
            invalid=by_liblwgeom if planar and exactly else by_box,
        )

    looked_at = _of(linear(geometry, value) if exactly else value, judged)
    return SQL("({} AND {})").format(_of(value, lambda g: boxes.format(g=g, q=posted)), looked_at)


def _surrounded(geometry: GeometryColumn, spatial: SpatialFilter) -> Composable:
    """A condition that the index answers, and that holds of everything within the distance."""
    metres = EVERYWHERE_METRES if spatial.metres is None else spatial.metres
    if geometry.geography:
        name, most = Identifier(geometry.name), Param(metres, "float8")
        expanded = (SQL("t.{} && _ST_Expand({}, {})").format(name, each, most) for each in asked_of(spatial).geodesics)
        return SQL("({})").format(SQL(" OR ").join(expanded))
    west, south, east, north = surroundings(spatial.bounds, metres)
    column = column_value(geometry)
    if geometry.srid == WGS84:
        shifts = [0.0] + [360.0] * (west < 0) + [-360.0] * (east > 90)
        boxes = [_envelope((west + shift, south, east + shift, north)) for shift in shifts]
        return SQL("({})").format(SQL(" OR ").join(SQL("{} && {}").format(column, box) for box in boxes))
    if west >= -180 and east <= 180 and _area_with(geometry, Bbox(west, south, east, north)) is not None:
        # a little wider: the edges are no straight lines there
        wide, high = 0.002 * (east - west), 0.002 * (north - south)
        step = Param(max(east - west, north - south) / _EDGE_PARTS, "float8")
        box = _envelope((west - wide, max(south - high, -90.0), east + wide, min(north + high, 90.0)))
        srid = Param(int(geometry.srid), "int4")
        return SQL("{} && ST_Transform(ST_Segmentize({}, {}), {})").format(column, box, step, srid)
    return SQL("t.{} IS NOT NULL").format(Identifier(geometry.name))


def _envelope(bounds: Area) -> Composable:
    return SQL("ST_MakeEnvelope({}, 4326)").format(SQL(", ").join(Param(bound, "float8") for bound in bounds))


def distance_of(collection: Collection, spatial: SpatialFilter, care: Care = Care.EXACTLY) -> Composable:
    """Metres on the spheroid between the row `t` and the posted geometry; NULL where there are none: empty, not on Earth, or of
    a type that cannot be measured. Cautiously nothing fails it.
    """
    geometry, column = collection.geometry, column_value(collection.geometry)
    value: Composable = column
    if care is Care.EXACTLY:
        value = in_degrees(geometry, linear(geometry, column))
    elif geometry.srid != WGS84:
        return _cautious_distance(geometry, spatial)
    return _of(value, lambda g: _measured(geometry, g, spatial, care))


def _measured(geometry: GeometryColumn, g: Composable, spatial: SpatialFilter, care: Care) -> Composable:
    """Of a geometry in degrees."""
    if geometry.type == "POINT":
        distance = _to_nearest_part(SQL("{}::geography").format(g), spatial)
        on_earth = SQL("ST_X({g}) BETWEEN -540 AND 540 AND ST_Y({g}) BETWEEN -90 AND 90").format(g=g)
        return SQL("CASE WHEN {} THEN {} END").format(on_earth, distance)
    # edges of geography are geodesics; those of geometry are straight in degrees
    whole = SQL("{}::geography") if geometry.geography else SQL("ST_Segmentize({}, 0.1)::geography")
    types = _WITH_COLLECTIONS if care is Care.EXACTLY else _PLAIN
    distance = _of(whole.format(RID_OF_EMPTIES.format(g=g)), lambda whole: _to_nearest_part(whole, spatial))
    return SQL("CASE WHEN GeometryType({}) IN ({}) AND {} THEN {} END").format(g, types, _ON_EARTH.format(g=g), distance)


def _to_nearest_part(geography: Composable, spatial: SpatialFilter) -> Composable:
    distances = [SQL("ST_Distance({}, {})").format(geography, each) for each in asked_of(spatial).geodesics]
    return distances[0] if len(distances) == 1 else SQL("least({})").format(SQL(", ").join(distances))


def _cautious_distance(geometry: GeometryColumn, spatial: SpatialFilter) -> Composable:
    """Only of what transforms without fail."""
    column = column_value(geometry)
    if geometry.srid == UNKNOWN:
        known: Composable = SQL("ST_SRID({}) IN (0, 4326)").format(column)
        value = SQL("ST_SetSRID({}, 4326)").format(column)
    else:
        area = area_of_use(geometry.srid)
        if area is None:
            return SQL("NULL::float8")
        west, south, east, north = Bbox(*area).parts()[0].xmin, area[1], Bbox(*area).parts()[0].xmax, area[3]
        srid = Param(int(geometry.srid), "int4")
        known = SQL("{} @ ST_Transform(ST_Segmentize({}, 1), {})").format(column, _envelope((west, south, east, north)), srid)
        value = SQL("ST_Transform({}, 4326)").format(column)
    distance = _of(value, lambda g: _measured(geometry, g, spatial, Care.CAUTIOUSLY))
    return SQL("CASE WHEN {} THEN {} END").format(known, distance)
