"""Geometries as PostGIS's geography type has them.

On the spheroid the edge between two positions is a geodesic, in GeoJSON it is straight in
longitude and latitude. Source: RFC 7946 3.1.1.
"""

from itertools import product

import shapely

from geosvc.model.spatial import EDGE_DEGREES

# Degrees. The inside of a wider geometry is ambiguous on a sphere, and the trees of PostGIS lose
# parts of it.
_WIDEST = 90.0
_OCTANTS = [
    shapely.box(west, south, west + 90, south + 90)
    for west, south in product((-180, -90, 0, 90), (-90, 0))
]
_COLLECT_BY_DIMENSION = (shapely.multipoints, shapely.multilinestrings, shapely.multipolygons)


def has_empty_part(shape: shapely.Geometry) -> bool:
    """Whether it has an empty ring or member, which PostGIS refuses.

    Args:
        shape: not a GeometryCollection.
    """
    parts = shapely.get_parts(shape)
    if shapely.is_empty(parts).any():
        return True
    rings = shapely.get_rings(parts)
    return bool((shapely.get_num_coordinates(rings) == 0).any())


def geodesics_of(shape: shapely.Geometry, max_vertices: int) -> list[shapely.Geometry]:
    """`shape` with positions at every EDGE_DEGREES of its edges; a wide one in several geometries.

    Args:
        shape: two-dimensional, valid, degrees.
        max_vertices: the most positions that may be added.
    Raises: ValueError, whose text continues "the geometry".
    """
    west, _, east, _ = shapely.bounds(shape)
    length = shapely.length(shape)
    if length / EDGE_DEGREES > max_vertices:
        raise ValueError(
            f"has edges of {length:.0f} degrees in all, too many to measure distances from"
        )
    pieces = [shape]
    if east - west > _WIDEST:
        pieces = _cut_into_octants(shape)
    return [shapely.segmentize(piece, EDGE_DEGREES) for piece in pieces]


def _cut_into_octants(shape: shapely.Geometry) -> list[shapely.Geometry]:
    dimension = shapely.get_dimensions(shape)
    pieces = []
    for piece in shapely.intersection(shape, _OCTANTS):
        parts = shapely.get_parts(piece)
        # The intersection with an octant that is only touched has a lower dimension. Empty parts
        # are left out because GEOS crashes when it adds positions to them.
        has_dimension = shapely.get_dimensions(parts) == dimension
        kept = parts[has_dimension & ~shapely.is_empty(parts)]
        if len(kept):
            pieces.append(_COLLECT_BY_DIMENSION[dimension](kept))
    return pieces
