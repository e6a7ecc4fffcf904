"""A question asked with a geometry."""

from dataclasses import dataclass
from enum import StrEnum
from math import cos, radians

from geosvc.model.bbox import Bbox

_LEAST_METRES_OF_A_DEGREE = 110_000.0  # a degree of latitude has 110,574 at the equator, and more elsewhere
_POLE = 89.9


class Predicate(StrEnum):
    """How a feature lies to the posted geometry: the feature … it."""

    INTERSECTS = "intersects"
    WITHIN = "within"
    CONTAINS = "contains"
    CROSSES = "crosses"
    OVERLAPS = "overlaps"
    TOUCHES = "touches"
    DISJOINT = "disjoint"
    DWITHIN = "dwithin"
    NEAREST = "nearest"


@dataclass(frozen=True, slots=True)
class SpatialFilter:
    """Features by how they lie to a geometry.

    Attributes:
        ewkb: of the geometry, SRID 4326, degrees.
        bounds: (xmin, ymin, xmax, ymax) of it, degrees.
        metres: how far away features may be, on the spheroid.
        rows: of nearest, how many are wanted.
    """

    ewkb: bytes
    bounds: tuple[float, float, float, float]
    predicate: Predicate
    metres: float | None = None
    rows: int = 0

    @property
    def measures(self) -> bool:
        """Whether each feature comes with its distance."""
        return self.predicate in (Predicate.DWITHIN, Predicate.NEAREST)

    def box(self) -> Bbox:
        """A box that holds everything within `metres`, and often a little more; west above east crosses the antimeridian."""
        west, south, east, north = self.bounds
        up = (self.metres or 0.0) / _LEAST_METRES_OF_A_DEGREE
        south, north = max(south - up, -90.0), min(north + up, 90.0)
        farthest = max(abs(south), abs(north))
        aside = up / cos(radians(farthest)) if farthest < _POLE else 360.0
        if not up:
            aside = 0.0
        west, east = west - aside, east + aside
        if east - west >= 360:
            return Bbox(-180.0, south, 180.0, north)
        return Bbox(west + 360 if west < -180 else west, south, east - 360 if east > 180 else east, north)
