"""The geometry of a search or a filter, as parameters of a statement."""

from dataclasses import dataclass
from functools import lru_cache

from geosvc.model.bbox import Bbox
from geosvc.model.collection import GeometryColumn
from geosvc.model.crs import UNKNOWN, area_of_use
from geosvc.model.spatial import Predicate, SpatialFilter
from geosvc.sql.compose import SQL, Composable, Param

Area = tuple[float, float, float, float]
"""(west, south, east, north), degrees; west > east across the antimeridian."""


@dataclass(frozen=True, slots=True)
class SearchGeometry:
    """The geometry of a search in a statement.

    Attributes:
        planar: geometry, SRID 4326.
        geodesics: the parts as geography.
        inside: geometry, a point of it, SRID 4326.
    """

    planar: Composable
    geodesics: tuple[Composable, ...]
    inside: Composable


@lru_cache(maxsize=8)
def search_geometry_of(spatial: SpatialFilter) -> SearchGeometry:
    """Make the parameters of a search.

    The result is cached: a statement sends the same Param once, however often it is used.
    """
    geodesics: list[Composable] = []
    for part in spatial.geodesics:
        geodesics.append(SQL("{}::geometry::geography").format(Param(part, "bytea")))
    return SearchGeometry(
        planar=ewkb_geometry(spatial.ewkb),
        geodesics=tuple(geodesics),
        inside=ewkb_geometry(spatial.inside),
    )


def ewkb_geometry(ewkb: bytes) -> Composable:
    """Write a geometry as a parameter."""
    return SQL("{}::geometry").format(Param(ewkb, "bytea"))


def is_nearest(spatial: SpatialFilter | None) -> bool:
    """Whether the features are ordered by their distance."""
    return spatial is not None and spatial.predicate is Predicate.NEAREST


def area_around(geometry: GeometryColumn, box: Bbox) -> Area | None:
    """Return the area of use of the storage CRS, if the box lies within it.

    Within this area coordinates can be transformed into the storage CRS and back.

    Args:
        box: degrees.
    """
    if geometry.srid == UNKNOWN:
        return None
    area = area_of_use(geometry.srid)
    if area is None or not box.lies_within(area):
        return None
    return area
