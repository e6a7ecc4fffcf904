"""Bounding boxes in any CRS. Source: OGC 17-069r4 7.15.3, OGC 18-058r1 6.2.3 and RFC 7946 5."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from geosvc.errors import InvalidParameter
from geosvc.model.crs import CRS84, WEB_MERCATOR, WGS84, Crs, Srid, half_turn
from geosvc.model.number import parse_number

_WORLD_METRES = (
    20_037_508.342789244  # from the meridian of Greenwich to its antimeridian in EPSG:3857
)
_EVERYTHING = 1e30  # beyond every coordinate
_POLE_METRES = 2.5e8  # EPSG:3857; a pole is infinitely far, and this far north there is nothing but the pole in 64 bits


@dataclass(frozen=True, slots=True)
class Bbox:
    """(xmin, ymin, xmax, ymax) in a CRS, and the heights in metres when three axes were given.

    Attributes:
        srid: of the numbers, which are x, y here whatever their order was outside. In angles xmin > xmax means that the box
            crosses the antimeridian.
    """

    xmin: float
    ymin: float
    xmax: float
    ymax: float
    zmin: float | None = None
    zmax: float | None = None
    srid: Srid = WGS84

    @property
    def exceeds_web_mercator(self) -> bool:
        """Whether a box of EPSG:3857 reaches farther than once around."""
        return max(-self.xmin, self.xmax) > _WORLD_METRES

    @property
    def covers_the_world(self) -> bool:
        """Whether every place on Earth lies within."""
        degrees = self.srid == WGS84
        return (
            degrees
            and self.xmin <= -180
            and self.xmax >= 180
            and self.ymin <= -90
            and self.ymax >= 90
        )

    def parts(self) -> tuple["Bbox", ...]:
        """One box, or the two on either side of the antimeridian."""
        if self.xmin <= self.xmax:
            return (self,)
        east = half_turn(self.srid) or 180.0
        return replace(self, xmax=east), replace(self, xmin=-east)

    def lies_within(self, area: tuple[float, float, float, float]) -> bool:
        """Whether this box (a single part) lies within area: (west, south, east, north), degrees."""
        west, south, east, north = area
        if not (south <= self.ymin and self.ymax <= north):
            return False
        if west <= east:
            return west <= self.xmin and self.xmax <= east
        return self.xmin >= west or self.xmax <= east

    def web_mercator_to_degrees(self) -> "Bbox":
        """A box of EPSG:3857 in degrees. It is one there too, as the edges of both are meridians and parallels."""
        west, east = (
            math.copysign(min(abs(x), 3 * _WORLD_METRES), x) / _WORLD_METRES * 180
            for x in (self.xmin, self.xmax)
        )
        west, east = _around(west, east, 180.0)
        return replace(
            self,
            xmin=west,
            ymin=_latitude(self.ymin),
            xmax=east,
            ymax=_latitude(self.ymax),
            srid=WGS84,
        )

    def degrees_to_web_mercator(self) -> "Bbox":
        """A part of a box in degrees in EPSG:3857."""
        west, east = (x / 180 * _WORLD_METRES for x in (self.xmin, self.xmax))
        return replace(
            self,
            xmin=west,
            ymin=_northing(self.ymin),
            xmax=east,
            ymax=_northing(self.ymax),
            srid=WEB_MERCATOR,
        )


def _northing(latitude: float) -> float:
    if abs(latitude) >= 90:
        return math.copysign(_EVERYTHING, latitude)
    return math.asinh(math.tan(math.radians(latitude))) / math.pi * _WORLD_METRES


def _latitude(northing: float) -> float:
    if abs(northing) >= _POLE_METRES:
        return math.copysign(90.0, northing)
    return math.degrees(math.atan(math.sinh(northing / _WORLD_METRES * math.pi)))


def _wrap(longitude: float, half: float) -> float:
    return longitude if -half <= longitude <= half else (longitude + half) % (2 * half) - half


def _around(west: float, east: float, half: float) -> tuple[float, float]:
    """West and east within the circle; all of it where they are that far apart."""
    return (-half, half) if east - west >= 2 * half else (_wrap(west, half), _wrap(east, half))


def _wrong(detail: str) -> InvalidParameter:
    return InvalidParameter(f"bbox {detail}", parameter="bbox")


def parse_bbox(text: str, crs: Crs = CRS84) -> Bbox:
    """Four or six numbers with commas between them, in the axis order of the CRS.

    Longitudes up to 540 degrees either way are wrapped, since maps that pan across the antimeridian send them.

    Raises: InvalidParameter.
    """
    parts = text.split(",")
    if len(parts) not in (4, 6):
        raise _wrong(f"takes 4 or 6 numbers, not {len(parts)}")
    numbers = _parse_sides(parts, crs)
    half = len(numbers) // 2
    (west, south), (east, north) = numbers[:2], numbers[half : half + 2]
    if crs.has_y_first:
        west, south, east, north = south, west, north, east
    box = _within_the_circle(west, south, east, north, crs)
    if half == 2:
        return box
    bottom, top = numbers[2], numbers[5]
    if bottom > top:
        raise _wrong("has its bottom above its top")
    return replace(box, zmin=bottom, zmax=top)


def _parse_sides(parts: Sequence[str], crs: Crs) -> list[float]:
    first, second = ("south", "west") if crs.has_y_first else ("west", "south")
    opposite = {"west": "east", "south": "north"}
    heights = ([], []) if len(parts) == 4 else (["bottom"], ["top"])
    sides = [first, second, *heights[0], opposite[first], opposite[second], *heights[1]]
    if missing := [side for side, part in zip(sides, parts, strict=True) if not part.strip()]:
        raise _wrong(f"lacks {' and '.join(missing)}: it takes {', '.join(sides)}")
    numbers = []
    for side, part in zip(sides, parts, strict=True):
        try:
            numbers.append(parse_number(part))
        except ValueError:
            raise _wrong(f"has as {side} {part[:40]!r}, which is no number") from None
    if not all(map(math.isfinite, numbers)):
        raise _wrong("takes finite numbers")
    return numbers


def _within_the_circle(west: float, south: float, east: float, north: float, crs: Crs) -> Bbox:
    if south > north:
        raise _wrong("has its south above its north")
    half = half_turn(crs.srid)
    if half is None:
        if west > east:
            raise _wrong("has its west above its east")
        return Bbox(west, south, east, north, srid=crs.srid)
    unit = "degrees" if half == 180 else f"of {2 * half:g} in a circle"
    if max(abs(south), abs(north)) > half / 2:
        raise _wrong(f"has a latitude beyond {half / 2:g} {unit}")
    if max(abs(west), abs(east)) > 3 * half:
        raise _wrong(f"has a longitude beyond {3 * half:g} {unit}")
    west, east = _around(west, east, half)
    return Bbox(west, south, east, north, srid=crs.srid)
