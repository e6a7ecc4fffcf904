"""Filters that compare features with a posted geometry."""

from dataclasses import dataclass, field
from enum import StrEnum
from math import asin, cos, degrees, radians, sin
from typing import NamedTuple

from geosvc.model.bounds import Bounds
from geosvc.model.crs import Srid

FARTHEST_METRES = 20_037_509.0  # no two points on Earth are farther apart
# The smallest radius of curvature of the WGS 84 spheroid: along the meridian at the equator. On a
# sphere of this radius a distance is never a smaller angle than on the spheroid.
LEAST_RADIUS_METRES = 6_335_439.0
# With positions at most this far apart, a geodesic deviates from the straight line in degrees by at
# most 1.2 metres. The slack is for both geometries, the posted and the stored one.
EDGE_DEGREES = 0.1
SLACK_METRES = 3.0


class Predicate(StrEnum):
    """The spatial relation: the feature `intersects`, `contains`, ... the posted geometry."""

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


class AntimeridianImages(NamedTuple):
    """A geometry that crosses the antimeridian, in one piece: twice, 360 degrees apart.

    A feature that it intersects may be stored on either side of the antimeridian, or on both.

    Attributes:
        eastern: EWKB with longitudes from 0 to 360 degrees.
        western: EWKB with longitudes from -360 to 0 degrees.
        both: EWKB of the union of the two.
    """

    eastern: bytes
    western: bytes
    both: bytes


@dataclass(frozen=True, slots=True)
class SpatialFilter:
    """Selects features by their spatial relation to a posted geometry.

    All EWKB except `native` has two dimensions and SRID 4326. The names of the attributes are part
    of the digest in a cursor: a cursor that a client has is refused if one is renamed.

    Attributes:
        ewkb: the posted geometry.
        bounds: of the posted geometry, degrees.
        metres: the largest distance on the spheroid; None: any.
        rows: how many features `nearest` returns.
        geodesics: EWKB of the parts of the posted geometry, from which distances are measured; the
            positions of their edges are at most EDGE_DEGREES apart.
        inside: EWKB of a point of the posted geometry.
        native: (SRID, EWKB) of the posted geometry in its own CRS; None if that is WGS 84.
        across: the posted geometry if it crosses the antimeridian; else None.
    """

    ewkb: bytes = field(repr=False)
    bounds: Bounds
    predicate: Predicate
    metres: float | None = None
    rows: int = 0
    geodesics: tuple[bytes, ...] = field(default=(), repr=False)
    inside: bytes = field(default=b"", repr=False)
    native: tuple[Srid, bytes] | None = field(default=None, repr=False)
    across: AntimeridianImages | None = field(default=None, repr=False)

    @property
    def has_distances(self) -> bool:
        """Whether the response has the distance of each feature."""
        return self.predicate in (Predicate.DWITHIN, Predicate.NEAREST)


def expand_bounds(bounds: Bounds, metres: float) -> Bounds:
    """Bounds that contain all points within a distance of the given bounds, degrees.

    Longitudes may be beyond 180 degrees. If the bounds reach a pole, longitudes are -540 to 540.
    """
    west, south, east, north = bounds
    angle = (metres * 1.0001 + SLACK_METRES) / LEAST_RADIUS_METRES
    bottom = max(south - degrees(angle), -90.0)
    top = min(north + degrees(angle), 90.0)
    highest_latitude = max(abs(south), abs(north))
    if highest_latitude + degrees(angle) >= 90:
        return -540.0, bottom, 540.0, top
    sine = sin(angle) / cos(radians(highest_latitude))
    aside = degrees(asin(min(1.0, sine)))
    return west - aside, bottom, east + aside, top
