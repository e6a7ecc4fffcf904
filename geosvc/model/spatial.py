"""A question asked with a geometry."""

from dataclasses import dataclass, field
from enum import StrEnum
from math import asin, cos, degrees, radians, sin

from geosvc.model.bounds import Bounds
from geosvc.model.crs import Srid

FARTHEST_METRES = 20_037_509.0  # nothing on Earth is farther
# The least radius of curvature of the spheroid, that of the meridian at the equator: on a sphere so small every distance is
# a larger angle than it is on the spheroid.
LEAST_RADIUS_METRES = 6_335_439.0
# How far a geodesic leaves the straight line in degrees, at the most, where positions are EDGE_DEGREES apart: 1.2 metres, for
# the posted geometry and for the stored one.
EDGE_DEGREES = 0.1
SLACK_METRES = 3.0


class Predicate(StrEnum):
    """How a feature lies to the posted geometry: the feature … it."""

    INTERSECTS = "intersects"
    EQUALS = "equals"
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
    """Features by how they lie to a geometry. What is EWKB has two dimensions and SRID 4326.

    Attributes:
        ewkb: the geometry.
        bounds: (xmin, ymin, xmax, ymax) of it, degrees.
        metres: how far away features may be, on the spheroid.
        rows: of nearest, how many are wanted.
        geodesics: EWKB of its parts where distances are asked for, with positions at every EDGE_DEGREES of their edges.
        inside: EWKB of a point of it.
        across: EWKB of what lies on both sides of the antimeridian, whole: east of it, west of it, and both of these.
        native: the geometry in the CRS that it was given in, where that is another, as its SRID and EWKB.
    """

    ewkb: bytes = field(repr=False)
    bounds: Bounds
    predicate: Predicate
    metres: float | None = None
    rows: int = 0
    geodesics: tuple[bytes, ...] = field(default=(), repr=False)
    inside: bytes = field(default=b"", repr=False)
    native: tuple[Srid, bytes] | None = field(default=None, repr=False)
    across: tuple[bytes, bytes, bytes] | None = field(default=None, repr=False)

    @property
    def has_distances(self) -> bool:
        """Whether each feature comes with its distance."""
        return self.predicate in (Predicate.DWITHIN, Predicate.NEAREST)


def expand_bounds(bounds: Bounds, metres: float) -> Bounds:
    """A box of all that lies within so many metres of a box, with longitudes beyond 180 degrees either way; from -540 to 540
    where it holds a pole.
    """
    west, south, east, north = bounds
    angle = (metres * 1.0001 + SLACK_METRES) / LEAST_RADIUS_METRES
    farthest = max(abs(south), abs(north))
    bottom, top = max(south - degrees(angle), -90.0), min(north + degrees(angle), 90.0)
    if farthest + degrees(angle) >= 90:
        return -540.0, bottom, 540.0, top
    aside = degrees(asin(min(1.0, sin(angle) / cos(radians(farthest)))))
    return west - aside, bottom, east + aside, top
