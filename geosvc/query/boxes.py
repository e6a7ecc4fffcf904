"""Which geometries meet a box.

A box is compared where the geometries are stored, so that the index knows them: as it is in the CRS of the column, else with
as many places along its edges as it takes for them to be straight there. Around a pole and across the antimeridian the edges
enclose nothing there; then what lies about is transformed into the CRS of the box (docs/decisions/0017). As everywhere no
stored geometry may fail a read (docs/decisions/0005).
"""

from dataclasses import dataclass, replace

from geosvc.model.bbox import Bbox
from geosvc.model.collection import GeometryColumn
from geosvc.model.crs import UNKNOWN, WEB_MERCATOR, WGS84, Srid, half_turn
from geosvc.model.images import Image, image_of, storage_of
from geosvc.query.geometry import RID_OF_EMPTIES, Bare, Care, column_value, in_crs, in_degrees, let
from geosvc.sql.compose import SQL, Composable, Composed, Identifier, Param

_TOUCHES = SQL(
    "CASE WHEN GeometryType({g}) IN ('POLYGON', 'MULTIPOLYGON', 'GEOMETRYCOLLECTION') THEN ST_DWithin({whole}, {b}, 0)"
    " ELSE ST_DWithin({g}, {b}, 0) END"
)
WIDEST_GEOGRAPHY_PREFILTER = 170.0  # degrees; beyond, a ring on the sphere is ambiguous
_FLOAT4 = 2.0**-22  # relative; what a box of 32-bit floats may be larger by
_SHAPES = SQL("'POINT', 'LINESTRING', 'POLYGON', 'MULTIPOINT', 'MULTILINESTRING', 'MULTIPOLYGON'")
_EDGE_PARTS = 32  # pieces an edge of the box is cut into before it is transformed


def _envelope(box: Bbox, shift: float = 0.0) -> Composed:
    corners = (box.xmin + shift, box.ymin, box.xmax + shift, box.ymax)
    numbers = SQL(", ").join(Param(corner, "float8") for corner in corners)
    if box.srid == WGS84:
        return SQL("ST_MakeEnvelope({}, 4326)").format(numbers)
    return SQL("ST_MakeEnvelope({}, {})").format(numbers, Param(int(box.srid), "int4"))


def curved_envelope(box: Bbox) -> Composed:
    """The box with points along its edges, which are no straight lines in another CRS or on the sphere."""
    longest = max(box.xmax - box.xmin, box.ymax - box.ymin)
    return SQL("ST_Segmentize({}, {})").format(_envelope(box), Param(max(longest / _EDGE_PARTS, 1e-6), "float8"))


def _meets(value: Composable, box: Composable, care: Care) -> Composable:
    g = value if isinstance(value, Bare) else SQL("v.g")
    touches = _TOUCHES.format(g=g, whole=RID_OF_EMPTIES.format(g=g), b=box)
    if care is Care.ROUGHLY:
        body = SQL("{g} && {b}")
    elif care is Care.CAUTIOUSLY:
        body = SQL(
            "({g} && {b} AND CASE WHEN {g} @ {b} THEN true WHEN GeometryType({g}) IN ('LINESTRING', 'POLYGON', 'MULTIPOINT',"
            " 'MULTILINESTRING', 'MULTIPOLYGON') AND ST_IsValid({g}) THEN {touches} ELSE true END)"
        )
    else:
        # CASE rather than OR, of which the planner would make another index scan and a wrong estimate
        body = SQL("({g} && {b} AND CASE WHEN {g} @ {b} THEN true ELSE {touches} END)")
    return let(value, body, b=box, touches=touches)


def _meets_degrees(geometry: GeometryColumn, value: Composable, box: Bbox, care: Care) -> list[Composable]:
    """A box against longitudes that may be stored beyond 180 degrees either way, as is usual around the Pacific."""
    shifts = [0.0] + [360.0] * (box.xmin < 0) + [-360.0] * (box.xmax > 90)
    if geometry.type == "POINT" and care is not Care.ROUGHLY:
        # && and @ compare boxes of 32-bit floats: exact for a point only with a distance
        exact = SQL("({g} && {b} AND ST_DWithin({g}, {b}, 0))")
        return [let(value, exact, b=_envelope(box, shift)) for shift in shifts]
    return [_meets(value, _envelope(box, shift), care) for shift in shifts]


def _meets_geography(geometry: GeometryColumn, column: Composable, box: Bbox, care: Care) -> Composable:
    """A box against geography, compared in longitude and latitude, as GeoJSON's lines are straight there. Only for points
    is that what the index of a geography column knows; an index on `(column::geometry)` serves the others.
    """
    tests = SQL(" OR ").join(_meets_degrees(geometry, column, box, care))
    if geometry.type != "POINT" or box.xmax - box.xmin > WIDEST_GEOGRAPHY_PREFILTER:
        return tests
    indexed = SQL("t.{} && {}::geography").format(Identifier(geometry.name), curved_envelope(box))
    return SQL("({} AND ({}))").format(indexed, tests)


@dataclass(frozen=True, slots=True)
class _Shape:
    """A box where geometries are compared with it.

    Attributes:
        area: a polygon.
        inside: a box within it, if one is known.
        simple: whether GEOS can be asked about it; else it is liblwgeom, which takes longer when there are many places.
    """

    area: Composable
    inside: Bbox | None
    simple: bool = False


def _meets_shape(geometry: GeometryColumn, value: Composable, shape: _Shape, care: Care) -> Composable:
    g = value if isinstance(value, Bare) else SQL("v.g")
    if care is Care.ROUGHLY:
        return let(value, SQL("{g} && {b}"), b=shape.area)
    within: Composable = SQL("false") if shape.inside is None else SQL("{} @ {}").format(g, _envelope(shape.inside))
    if geometry.type == "POINT":
        # && and @ compare boxes of 32-bit floats
        near = SQL("({g} && {b} AND CASE WHEN {within} THEN true ELSE ST_DWithin({g}, {b}, 0) END)")
        return let(value, near, b=shape.area, within=within)
    touches = _TOUCHES.format(g=g, whole=RID_OF_EMPTIES.format(g=g), b=shape.area)
    sound = SQL("GeometryType({}) IN ({}) AND ST_IsValid({})").format(g, _SHAPES, g)
    if care is Care.CAUTIOUSLY:
        body = SQL("({g} && {b} AND CASE WHEN {within} THEN true WHEN {sound} THEN {touches} ELSE true END)")
    elif shape.simple:
        body = SQL("({g} && {b} AND CASE WHEN {within} THEN true WHEN {sound} THEN ST_Intersects({g}, {b}) ELSE {touches} END)")
    else:
        body = SQL("({g} && {b} AND CASE WHEN {within} THEN true ELSE {touches} END)")
    return let(value, body, b=shape.area, within=within, sound=sound, touches=touches)


def _meets_box(geometry: GeometryColumn, value: Composable, box: Bbox, care: Care) -> Composable:
    """A box in the CRS of the value."""
    slack = max(abs(box.xmin), abs(box.ymin), abs(box.xmax), abs(box.ymax)) * _FLOAT4
    inside = Bbox(box.xmin + slack, box.ymin + slack, box.xmax - slack, box.ymax - slack, srid=box.srid)
    fits = inside.xmin < inside.xmax and inside.ymin < inside.ymax
    return _meets_shape(geometry, value, _Shape(_envelope(box), inside if fits else None), care)


def _shifts(srid: Srid, west: float, east: float) -> list[float]:
    """Longitudes may be stored beyond 180 degrees either way, as is usual around the Pacific."""
    half = half_turn(srid)
    if half is None:
        return [0.0]
    return [0.0] + [2 * half] * (west < 0) + [-2 * half] * (east > half / 2)


def _meets_whole(geometry: GeometryColumn, value: Composable, box: Bbox, image: Image, care: Care) -> list[Composable]:
    """A box whose edges enclose it in the CRS of the column."""
    into, bounds = storage_of(geometry.srid), image.bounds[0]
    edges = SQL("ST_Segmentize({}, {})").format(_envelope(box), Param(image.step, "float8"))
    area = SQL("ST_Transform({}, {})").format(edges, Param(int(into), "int4"))
    tests = []
    for shift in _shifts(into, bounds[0], bounds[2]):
        there: Composable = area if not shift else SQL("ST_Translate({}, {}, 0)").format(area, Param(shift, "float8"))
        inside = None
        if image.inside is not None:
            west, south, east, north = image.inside
            inside = Bbox(west + shift, south, east + shift, north, srid=into)
        tests.append(_meets_shape(geometry, value, _Shape(there, inside, image.simple), care))
    return tests


def _meets_split(geometry: GeometryColumn, value: Composable, box: Bbox, image: Image, care: Care) -> list[Composable]:
    """A box that lies about a pole or the antimeridian: what is near is compared in the CRS of the box. Of a geometry that
    reaches farther the rest is cut off, as it may have no place there.
    """
    into = storage_of(geometry.srid)
    tests = []
    for bounds in image.bounds:
        here = Bbox(*bounds, srid=into)
        for shift in _shifts(into, here.xmin, here.xmax):
            wide, high = here.xmax - here.xmin, here.ymax - here.ymin
            around = Bbox(here.xmin - wide / 2, here.ymin - high / 2, here.xmax + wide / 2, here.ymax + high / 2, srid=into)
            tests.append(_meets_near(geometry, value, (_envelope(here, shift), _envelope(around, shift)), box, care))
    return tests


def _meets_near(
    geometry: GeometryColumn, value: Composable, areas: tuple[Composable, Composable], box: Bbox, care: Care
) -> Composable:
    here, around = areas
    if care is not Care.EXACTLY:
        return let(value, SQL("{g} && {here}"), here=here)
    g = value if isinstance(value, Bare) else SQL("v.g")
    cut = SQL(
        "CASE WHEN {g} @ {around} OR NOT (GeometryType({g}) IN ({shapes}) AND ST_IsValid({g})) THEN {g}"
        " ELSE ST_ClipByBox2D({g}, {around}::box2d) END"
    ).format(g=g, around=around, shapes=_SHAPES)
    there = SQL("ST_Transform({}, {})").format(cut, Param(int(box.srid), "int4"))
    exact = _meets_box(replace(geometry, type="GEOMETRY"), there, box, care)
    return let(value, SQL("({g} && {here} AND CASE WHEN {g} && {here} THEN {exact} ELSE false END)"), here=here, exact=exact)


def _meets_elsewhere(geometry: GeometryColumn, box: Bbox, care: Care) -> list[Composable]:
    """A box of another CRS than the column's."""
    column = column_value(geometry)
    image = image_of(box, storage_of(geometry.srid))
    if image is None or (geometry.srid == UNKNOWN and care is Care.CAUTIOUSLY):
        if care is Care.CAUTIOUSLY:
            return [SQL("t.{} IS NOT NULL").format(Identifier(geometry.name))]  # to compare it, it has to be transformed
        return [_meets_box(geometry, in_crs(geometry, column, box.srid), box, care)]
    value = in_degrees(geometry, column) if geometry.srid == UNKNOWN else column
    if not image.whole:
        return _meets_split(geometry, value, box, image, care)
    return _meets_whole(geometry, value, box, image, care)


def _meets_part(geometry: GeometryColumn, box: Bbox, care: Care) -> list[Composable]:
    column = column_value(geometry)
    if box.srid == WGS84:
        if geometry.geography:
            return [_meets_geography(geometry, column, box, care)]
        if geometry.srid == WGS84:
            return _meets_degrees(geometry, column, box, care)
        if geometry.srid == WEB_MERCATOR:
            box = box.in_web_mercator()
        elif geometry.srid == UNKNOWN or image_of(box, geometry.srid) is None:
            return _meets_as_degrees(geometry, box, care)
    if box.srid == geometry.srid and not geometry.geography:
        return [_meets_box(geometry, column, box, care)]
    return _meets_elsewhere(geometry, box, care)


def _meets_as_degrees(geometry: GeometryColumn, box: Bbox, care: Care) -> list[Composable]:
    """A box in degrees where only the geometries can be transformed."""
    column = column_value(geometry)
    if care is Care.CAUTIOUSLY:
        # what cannot be compared without a transformation, which may fail, is left in
        foreign = SQL("ST_SRID({}) NOT IN (0, 4326)").format(column)
        local = SQL("ST_SetSRID({}, 4326)").format(column)
        return [foreign, *_meets_degrees(geometry, local, box, care)]
    return _meets_degrees(geometry, in_degrees(geometry, column), box, care)


def _at_height(geometry: GeometryColumn, box: Bbox) -> Composable:
    """Features without heights are at every height."""
    return SQL("(ST_Zmflag({g}) NOT IN (2, 3) OR (ST_ZMax({g}) >= {low} AND ST_ZMin({g}) <= {high}))").format(
        g=column_value(geometry), low=Param(box.zmin, "float8"), high=Param(box.zmax, "float8")
    )


def select_by_bbox(geometry: GeometryColumn, box: Bbox, care: Care = Care.EXACTLY) -> Composable:
    """A condition: the geometry intersects the box, or there is none (OGC 17-069r4 7.15.3, requirement C).

    Args:
        care: how geometries are compared; other than exactly, a little more may be selected.
    """
    if box.srid == WEB_MERCATOR and (geometry.srid != WEB_MERCATOR or box.is_beyond_the_world):
        box = box.of_web_mercator()
    tests = [test for part in box.parts() for test in _meets_part(geometry, part, care)]
    condition: Composable = SQL(" OR ").join(tests)
    if box.covers_the_world:
        condition = SQL("NOT ST_IsEmpty({})").format(column_value(geometry))
    if box.zmin is not None:
        condition = SQL("({}) AND {}").format(condition, _at_height(geometry, box))
    if geometry.not_null:
        return SQL("({})").format(condition)
    return SQL("({} OR t.{} IS NULL)").format(condition, Identifier(geometry.name))
