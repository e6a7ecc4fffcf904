"""Bounding boxes in any CRS. Source: OGC 17-069r4 7.15.3, OGC 18-058r1 6.2.3 and RFC 7946 5."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from geosvc.errors import InvalidParameter
from geosvc.model.bounds import Bounds
from geosvc.model.crs import CRS84, WEB_MERCATOR, WGS84, Crs, Srid, half_turn
from geosvc.model.number import parse_number

# EPSG:3857: from the meridian of Greenwich to the antimeridian, pi times the radius
_HALF_WORLD_METRES = 20_037_508.342789244
_BEYOND_ALL_COORDINATES = 1e30
# EPSG:3857: the poles are infinitely far away. From here on the latitude is 90 in 64-bit floats.
_POLE_METRES = 2.5e8


@dataclass(frozen=True, slots=True)
class Bbox:
    """(xmin, ymin, xmax, ymax) in a CRS, with heights if the request has them.

    The axis order is always x, y. In a geographic CRS a box with xmin > xmax crosses the
    antimeridian.

    Attributes:
        zmin, zmax: heights in metres; None: any height.
        srid: of the CRS.
    """

    xmin: float
    ymin: float
    xmax: float
    ymax: float
    zmin: float | None = None
    zmax: float | None = None
    srid: Srid = WGS84

    @property
    def width(self) -> float:
        """The extent along x; negative if the box crosses the antimeridian."""
        return self.xmax - self.xmin

    @property
    def height(self) -> float:
        """The extent along y."""
        return self.ymax - self.ymin

    @property
    def exceeds_web_mercator(self) -> bool:
        """Whether a box in EPSG:3857 extends beyond the antimeridian."""
        return max(-self.xmin, self.xmax) > _HALF_WORLD_METRES

    @property
    def covers_the_world(self) -> bool:
        """Whether the box is in degrees and contains every point on Earth."""
        has_all_longitudes = self.xmin <= -180 and self.xmax >= 180
        has_all_latitudes = self.ymin <= -90 and self.ymax >= 90
        return self.srid == WGS84 and has_all_longitudes and has_all_latitudes

    def parts(self) -> tuple["Bbox", ...]:
        """The box, or its two parts if it crosses the antimeridian."""
        if self.xmin <= self.xmax:
            return (self,)
        antimeridian = half_turn(self.srid) or 180.0
        return replace(self, xmax=antimeridian), replace(self, xmin=-antimeridian)

    def lies_within(self, area: Bounds) -> bool:
        """Whether a box that does not cross the antimeridian lies within an area.

        Args:
            area: (west, south, east, north), degrees; west > east: it crosses the antimeridian.
        """
        west, south, east, north = area
        if self.ymin < south or self.ymax > north:
            return False
        if west <= east:
            return west <= self.xmin and self.xmax <= east
        return self.xmin >= west or self.xmax <= east

    def web_mercator_to_degrees(self) -> "Bbox":
        """A box in EPSG:3857 transformed to degrees.

        The result is exact: the edges of both boxes are meridians and parallels.
        """
        west, east = _longitude(self.xmin), _longitude(self.xmax)
        west, east = _wrap_range(west, east, 180.0)
        return replace(
            self,
            xmin=west,
            ymin=_latitude(self.ymin),
            xmax=east,
            ymax=_latitude(self.ymax),
            srid=WGS84,
        )

    def degrees_to_web_mercator(self) -> "Bbox":
        """A box in degrees that does not cross the antimeridian, transformed to EPSG:3857."""
        return replace(
            self,
            xmin=self.xmin / 180 * _HALF_WORLD_METRES,
            ymin=_northing(self.ymin),
            xmax=self.xmax / 180 * _HALF_WORLD_METRES,
            ymax=_northing(self.ymax),
            srid=WEB_MERCATOR,
        )


def _longitude(easting: float) -> float:
    """Degrees, from metres of EPSG:3857; at most 540 degrees to the east or west."""
    metres = min(abs(easting), 3 * _HALF_WORLD_METRES)
    return math.copysign(metres, easting) / _HALF_WORLD_METRES * 180


def _latitude(northing: float) -> float:
    """Degrees, from metres of EPSG:3857."""
    if abs(northing) >= _POLE_METRES:
        return math.copysign(90.0, northing)
    angle = northing / _HALF_WORLD_METRES * math.pi
    return math.degrees(math.atan(math.sinh(angle)))


def _northing(latitude: float) -> float:
    """Metres of EPSG:3857, from degrees."""
    if abs(latitude) >= 90:
        return math.copysign(_BEYOND_ALL_COORDINATES, latitude)
    angle = math.asinh(math.tan(math.radians(latitude)))
    return angle / math.pi * _HALF_WORLD_METRES


def _wrap_range(west: float, east: float, half: float) -> tuple[float, float]:
    """West and east wrapped to -half ... half; the whole circle if they are that far apart."""
    if east - west >= 2 * half:
        return -half, half
    return wrap_longitude(west, half), wrap_longitude(east, half)


def wrap_longitude(longitude: float, half: float) -> float:
    """The same longitude between -half and half; half is 180 for degrees."""
    if -half <= longitude <= half:
        return longitude
    return (longitude + half) % (2 * half) - half


def parse_bbox(text: str, crs: Crs = CRS84) -> Bbox:
    """Parses four or six numbers with commas between them, in the axis order of the CRS.

    Longitudes from -540 to 540 degrees are wrapped: maps that are panned across the antimeridian
    send them.

    Raises: InvalidParameter.
    """
    parts = text.split(",")
    if len(parts) not in (4, 6):
        raise _invalid(f"takes 4 or 6 numbers, not {len(parts)}")
    numbers = _parse_numbers(parts, crs)
    axes = len(numbers) // 2
    lower, upper = numbers[:axes], numbers[axes:]
    west, south = lower[:2]
    east, north = upper[:2]
    if crs.has_y_first:
        west, south, east, north = south, west, north, east
    box = _checked_bbox(west, south, east, north, crs)
    if axes == 2:
        return box
    bottom, top = lower[2], upper[2]
    if bottom > top:
        raise _invalid("has its bottom above its top")
    return replace(box, zmin=bottom, zmax=top)


def _parse_numbers(parts: Sequence[str], crs: Crs) -> list[float]:
    sides = _names_of_sides(len(parts), crs)
    text_by_side = dict(zip(sides, parts, strict=True))
    missing = [side for side, part in text_by_side.items() if not part.strip()]
    if missing:
        raise _invalid(f"lacks {' and '.join(missing)}: it takes {', '.join(sides)}")
    numbers = []
    for side, part in text_by_side.items():
        try:
            numbers.append(parse_number(part))
        except ValueError:
            raise _invalid(f"has as {side} {part[:40]!r}, which is no number") from None
    if not all(map(math.isfinite, numbers)):
        raise _invalid("takes finite numbers")
    return numbers


def _names_of_sides(count: int, crs: Crs) -> list[str]:
    """The names of the four or six numbers, in the axis order of the CRS."""
    lower, upper = ["west", "south"], ["east", "north"]
    if crs.has_y_first:
        lower.reverse()
        upper.reverse()
    if count == 6:
        lower.append("bottom")
        upper.append("top")
    return [*lower, *upper]


def _checked_bbox(west: float, south: float, east: float, north: float, crs: Crs) -> Bbox:
    """The box with wrapped longitudes. Raises: InvalidParameter."""
    if south > north:
        raise _invalid("has its south above its north")
    half = half_turn(crs.srid)
    if half is None:
        if west > east:
            raise _invalid("has its west above its east")
        return Bbox(west, south, east, north, srid=crs.srid)
    unit = "degrees"
    if half != 180:
        unit = f"of {2 * half:g} in a circle"
    if max(abs(south), abs(north)) > half / 2:
        raise _invalid(f"has a latitude beyond {half / 2:g} {unit}")
    if max(abs(west), abs(east)) > 3 * half:
        raise _invalid(f"has a longitude beyond {3 * half:g} {unit}")
    west, east = _wrap_range(west, east, half)
    return Bbox(west, south, east, north, srid=crs.srid)


def _invalid(detail: str) -> InvalidParameter:
    return InvalidParameter(f"bbox {detail}", parameter="bbox")
