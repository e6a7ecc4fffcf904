"""Bounding boxes in CRS84, degrees. Source: OGC 17-069r4 7.15.3 and RFC 7946 5."""

import math
from dataclasses import dataclass

from geosvc.errors import InvalidParameter
from geosvc.model.number import parse_number


@dataclass(frozen=True, slots=True)
class Bbox:
    """(xmin, ymin, xmax, ymax) in CRS84, degrees, and the heights in metres when three axes were given.

    xmin > xmax: the box crosses the antimeridian.
    """

    xmin: float
    ymin: float
    xmax: float
    ymax: float
    zmin: float | None = None
    zmax: float | None = None

    @property
    def covers_the_world(self) -> bool:
        """Whether every place on Earth lies within."""
        return self.xmin <= -180 and self.xmax >= 180 and self.ymin <= -90 and self.ymax >= 90

    def parts(self) -> tuple["Bbox", ...]:
        """One box, or the two on either side of the antimeridian."""
        if self.xmin <= self.xmax:
            return (self,)
        return (
            Bbox(self.xmin, self.ymin, 180.0, self.ymax, self.zmin, self.zmax),
            Bbox(-180.0, self.ymin, self.xmax, self.ymax, self.zmin, self.zmax),
        )

    def lies_within(self, area: tuple[float, float, float, float]) -> bool:
        """Whether this box (a single part) lies within area: (west, south, east, north), degrees."""
        west, south, east, north = area
        if not (south <= self.ymin and self.ymax <= north):
            return False
        if west <= east:
            return west <= self.xmin and self.xmax <= east
        return self.xmin >= west or self.xmax <= east


def _wrap(longitude: float) -> float:
    return longitude if -180 <= longitude <= 180 else (longitude + 180) % 360 - 180


def parse_bbox(text: str) -> Bbox:
    """Four or six numbers with commas between them.

    Longitudes up to 540 degrees either way are wrapped, since maps that pan across the antimeridian send them.

    Raises: InvalidParameter.
    """
    parts = text.split(",")
    if len(parts) not in (4, 6):
        raise InvalidParameter(f"bbox takes 4 or 6 numbers, not {len(parts)}", parameter="bbox")
    try:
        numbers = [parse_number(part) for part in parts]
    except ValueError:
        raise InvalidParameter("bbox holds something that is no number", parameter="bbox") from None
    if not all(map(math.isfinite, numbers)):
        raise InvalidParameter("bbox takes finite numbers", parameter="bbox")
    half = len(numbers) // 2
    (west, south), (east, north) = numbers[:2], numbers[half : half + 2]
    if max(abs(south), abs(north)) > 90:
        raise InvalidParameter("bbox has a latitude beyond 90 degrees", parameter="bbox")
    if south > north:
        raise InvalidParameter("bbox has its south above its north", parameter="bbox")
    if max(abs(west), abs(east)) > 540:
        raise InvalidParameter("bbox has a longitude beyond 540 degrees", parameter="bbox")
    if east - west >= 360:
        west, east = -180.0, 180.0
    else:
        west, east = _wrap(west), _wrap(east)
    if half == 2:
        return Bbox(west, south, east, north)
    bottom, top = numbers[2], numbers[5]
    if bottom > top:
        raise InvalidParameter("bbox has its bottom above its top", parameter="bbox")
    return Bbox(west, south, east, north, bottom, top)
