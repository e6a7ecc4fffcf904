"""A geometry as geography has it: on the spheroid the edge between two positions is a geodesic, where GeoJSON's is straight in
longitude and latitude. Source: RFC 7946 3.1.1.
"""

from itertools import product

import shapely

from geosvc.model.spatial import EDGE_DEGREES

_WIDEST = 90.0  # degrees; of more, nobody can tell on a sphere which side is inside, and PostGIS's own trees lose parts
_OCTANTS = [shapely.box(west, south, west + 90, south + 90) for west, south in product((-180, -90, 0, 90), (-90, 0))]
_COLLECT = (shapely.multipoints, shapely.multilinestrings, shapely.multipolygons)


def has_empty_part(shape: shapely.Geometry) -> bool:
    """Whether it has an empty ring or member, which PostGIS refuses. `shape` is no GeometryCollection."""
    parts = shapely.get_parts(shape)
    return bool(shapely.is_empty(parts).any() or (shapely.get_num_coordinates(shapely.get_rings(parts)) == 0).any())


def geodesics_of(shape: shapely.Geometry, max_vertices: int) -> list[shapely.Geometry]:
    """`shape` with positions at every EDGE_DEGREES of its edges; a wide one in parts.

    Args:
        shape: two-dimensional, valid, degrees.
        max_vertices: how many positions may be added.
    Raises: ValueError, in words about the geometry.
    """
    west, _, east, _ = shapely.bounds(shape)
    length = shapely.length(shape)
    if length / EDGE_DEGREES > max_vertices:
        raise ValueError(f"has edges of {length:.0f} degrees in all, too many to measure distances from")
    pieces = [shape] if east - west <= _WIDEST else _cut(shape)
    return [shapely.segmentize(piece, EDGE_DEGREES) for piece in pieces]


def _cut(shape: shapely.Geometry) -> list[shapely.Geometry]:
    dimension = shapely.get_dimensions(shape)
    pieces = []
    for piece in shapely.intersection(shape, _OCTANTS):
        parts = shapely.get_parts(piece)
        # what only touches another octant; and GEOS crashes when it adds positions to what is empty
        parts = parts[(shapely.get_dimensions(parts) == dimension) & ~shapely.is_empty(parts)]
        if len(parts):
            pieces.append(_COLLECT[dimension](parts))
    return pieces
