"""The geometry of a feature in the coordinates of a tile.

A geometry that reaches far beyond the tile is cut before it is transformed: the poles have no place
in Web Mercator, and a country has thousands of vertices outside a street. It is cut in its own CRS,
where its edges are straight, so that the parts in neighbouring tiles meet.
"""

from dataclasses import replace

from geosvc.model.bbox import Bbox
from geosvc.model.collection import GeometryColumn
from geosvc.model.crs import UNKNOWN, WEB_MERCATOR, WGS84, Srid
from geosvc.model.reprojected_bbox import reproject_bbox
from geosvc.model.tile_matrix_set import BUFFER, EXTENT, Tile, grown
from geosvc.query.geometry.envelopes import envelope
from geosvc.query.geometry.expressions import (
    PLAIN_TYPES,
    bind_once,
    bound_name,
    column_value,
    in_degrees,
    linear,
    may_cross,
    short_way,
)
from geosvc.query.geometry.output import within_180
from geosvc.sql.compose import SQL, Composable, NumberLiteral, Param

MARGINS = 1.0  # tiles on each side: what lies within is not cut
_NORTHMOST = 89.9  # degrees; Web Mercator is finite there
_HALF_PIXEL = 0.5
_PIECES = 24  # of an edge across the tile and its margins: eight for a tile
_POINTS = frozenset({"POINT", "MULTIPOINT"})


def tile_geometry(geometry: GeometryColumn, tile: Tile) -> Composable:
    """Write the geometry of the row `t` for ST_AsMVT; NULL where nothing of it is in the tile."""
    value = _transformed(geometry, tile)
    return clipped_geometry(value, tile, simplify=geometry.type not in _POINTS)


def clipped_geometry(value: Composable, tile: Tile, *, simplify: bool) -> Composable:
    """Write a geometry in the CRS of the tile as ST_AsMVT takes it.

    Args:
        simplify: by half a pixel. ST_SimplifyPreserveTopology takes 25 times as long.
    """
    if simplify:
        tolerance = Param(tile.pixel * _HALF_PIXEL, "float8")
        value = SQL("ST_Simplify({}, {}, true)").format(value, tolerance)
    return SQL("ST_AsMVTGeom({}, {}::box2d, {}, {}, true)").format(
        value, envelope(tile.bbox), NumberLiteral(EXTENT), NumberLiteral(BUFFER)
    )


def point_geometry(x: Composable, y: Composable, tile: Tile) -> Composable:
    """Write a point in the CRS of the tile as ST_AsMVT takes it."""
    srid = Param(int(tile.matrix_set.srid), "int4")
    point = SQL("ST_SetSRID(ST_Point({}, {}), {})").format(x, y, srid)
    return clipped_geometry(point, tile, simplify=False)


def _transformed(geometry: GeometryColumn, tile: Tile) -> Composable:
    """Write the column in the CRS of the tile."""
    srid = tile.matrix_set.srid
    value: Composable = column_value(geometry)
    if may_cross(geometry):
        value = short_way(value)
    value = linear(geometry, _without_nested_collections(geometry, value))
    storage = geometry.srid
    if storage in (WGS84, UNKNOWN):
        storage = WGS84
        value = in_degrees(geometry, value)
    area = area_around(tile, storage)
    value = _cut(value, storage, area)
    if storage == srid:
        return value
    value = _with_points_along_edges(geometry, value, area)
    return SQL("ST_Transform({}, {})").format(value, Param(int(srid), "int4"))


def _with_points_along_edges(
    geometry: GeometryColumn, value: Composable, area: Bbox | None
) -> Composable:
    """Write points along long edges, which are curves after the transformation.

    Otherwise an edge would be another line in a tile that cuts it than in one that does not.
    """
    if area is None or geometry.type in _POINTS:
        return value
    step = max(area.width, area.height) / _PIECES
    return SQL("ST_Segmentize({}, {})").format(value, Param(step, "float8"))


def _without_nested_collections(geometry: GeometryColumn, value: Composable) -> Composable:
    """Write a collection as its parts of the highest dimension, which is what a tile shows of it.

    ST_AsMVTGeom takes twice as long for each collection within another one.
    """
    if geometry.type in PLAIN_TYPES:
        return value
    return bind_once(
        value,
        SQL(
            "CASE WHEN GeometryType({g}) LIKE 'GEOMETRYCOLLECTION%'"
            " THEN ST_CollectionExtract({g}) ELSE {g} END"
        ),
    )


def area_around(tile: Tile, srid: Srid) -> Bbox | None:
    """The tile with a wide margin in another CRS; None where it has no simple shape there."""
    wide = grown(tile.bbox, MARGINS)
    if srid == tile.matrix_set.srid:
        return wide
    if tile.matrix_set.srid == WEB_MERCATOR and srid == WGS84:
        return _within_mercator(wide)
    reprojected = reproject_bbox(wide, srid)
    if reprojected is None or not reprojected.whole or len(reprojected.bounds) != 1:
        return _within_mercator(None) if srid == WGS84 else None
    xmin, ymin, xmax, ymax = reprojected.bounds[0]
    return Bbox(xmin, ymin, xmax, ymax, srid=srid)


def _within_mercator(box: Bbox | None) -> Bbox:
    """A box in Web Mercator in degrees, without the poles; the whole world for None."""
    world = Bbox(-180, -_NORTHMOST, 180, _NORTHMOST)
    if box is None:
        return world
    half = 20_037_508.342789244
    degrees = replace(
        box, xmin=max(box.xmin, -half), xmax=min(box.xmax, half)
    ).web_mercator_to_degrees()
    return replace(
        degrees,
        xmin=box.xmin / half * 180,
        xmax=box.xmax / half * 180,
        ymin=max(degrees.ymin, -_NORTHMOST),
        ymax=min(degrees.ymax, _NORTHMOST),
    )


def _cut(value: Composable, storage: Srid, area: Bbox | None) -> Composable:
    """Cut what reaches beyond an area, and at the antimeridian.

    Most geometries are within the area, which one comparison tells. ST_ClipByBox2D does not raise
    for an invalid geometry.
    """
    if area is None:
        return within_180(value) if storage == WGS84 else value
    whole: Composable = bound_name(value)
    if storage == WGS84:
        whole = within_180(whole)
    if storage == WGS84 and (area.xmin < -180 or area.xmax > 180):
        value = whole = within_180(value)
        whole = bound_name(value)
    return bind_once(
        value,
        SQL("CASE WHEN {g} @ {area} THEN {g} ELSE ST_ClipByBox2D({whole}, {area}::box2d) END"),
        area=envelope(area),
        whole=whole,
    )
