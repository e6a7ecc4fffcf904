"""The area of a tile in the storage CRS: a change outside it cannot alter the tile."""

from geosvc.model.bbox import Bbox
from geosvc.model.bounds import Bounds
from geosvc.model.collection import Collection
from geosvc.model.crs import UNKNOWN, WEB_MERCATOR, WGS84, Srid, half_turn, metres_of_unit
from geosvc.model.reprojected_bbox import reproject_bbox
from geosvc.model.tile_matrix_set import BUFFER, EXTENT, Tile, grown

EQUATOR_METRES = 40_075_016.68557849
_ROUNDING = 1.02 * BUFFER / EXTENT  # PostGIS compares boxes of 32-bit floats


def tile_bounds(collection: Collection, tile: Tile) -> tuple[Bounds, ...] | None:
    """The bounds of a tile with its buffer in the storage CRS.

    None where they are not known, and where the change log has no boxes of this column.
    """
    publication, geometry = collection.publication, collection.geometry
    logged = "" if publication is None else publication.geometry
    if logged not in ("", geometry.name) or geometry.srid == UNKNOWN:
        return None
    return _bounds_in(grown(tile.bbox, _ROUNDING), geometry.srid)


def world_width(srid: Srid) -> float:
    """The width of the world in units of a CRS."""
    half = half_turn(srid)
    if half is None:
        return EQUATOR_METRES / metres_of_unit(srid)
    return 2 * half


def _bounds_in(box: Bbox, storage: Srid) -> tuple[Bounds, ...] | None:
    if box.srid == WEB_MERCATOR and box.exceeds_web_mercator:
        return None  # it continues on the other side of the world
    if box.srid == WEB_MERCATOR and storage == WGS84:
        box = box.web_mercator_to_degrees()
    if box.srid == storage:
        return _with_turns(_sides(box), storage)
    reprojected = reproject_bbox(box, storage)
    if reprojected is None:
        return None
    bounds: tuple[Bounds, ...] = ()
    for each in reprojected.bounds:
        bounds += _with_turns(each, storage)
    return bounds


def _sides(box: Bbox) -> Bounds:
    return box.xmin, box.ymin, box.xmax, box.ymax


def _with_turns(bounds: Bounds, storage: Srid) -> tuple[Bounds, ...]:
    """Bounds, and the same one turn to the west and to the east: longitudes may exceed 180."""
    half = half_turn(storage)
    if half is None:
        return (bounds,)
    west, south, east, north = bounds
    turned = [(west + turn, south, east + turn, north) for turn in (0.0, -2 * half, 2 * half)]
    return tuple(turned)
