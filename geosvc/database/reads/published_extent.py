"""Bounds and times as the extent of a collection publishes them."""

import re
from math import isfinite

from geosvc.model.bbox import wrap_longitude
from geosvc.model.bounds import Bounds

_ROUNDING_DEGREES = 1e-4
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d(?!\d)")


def published_bounds(bounds: Bounds) -> Bounds | None:
    """Return bounds as an extent and the parameter `bbox` have them; None if not on Earth.

    West is greater than east if the bounds cross the antimeridian (RFC 7946 5.2). Statistics and
    indexes store numbers of 32 bits, so that bounds may be a little beyond a pole.

    Args:
        bounds: west, south, east, north, degrees; longitudes from -540 to 540.
    """
    west, south, east, north = bounds
    is_finite = all(map(isfinite, bounds))
    if not is_finite or max(abs(west), abs(east)) > 540:
        return None
    if south < -90 - _ROUNDING_DEGREES or north > 90 + _ROUNDING_DEGREES:
        return None
    south, north = max(south, -90.0), min(north, 90.0)
    goes_around_earth = west <= east and east - west >= 360
    if goes_around_earth:
        return -180.0, south, 180.0, north
    return _normalized_longitude(west), south, _normalized_longitude(east), north


def _normalized_longitude(longitude: float) -> float:
    """The same longitude between -180 and 180."""
    if abs(longitude) <= 180 + _ROUNDING_DEGREES:
        return min(max(longitude, -180.0), 180.0)
    return wrap_longitude(longitude, 180.0)


def published_time(text: str | None) -> str | None:
    """Return a time as RFC 3339 text; None (an open end) for infinity and unsupported years."""
    if text is None or not _RFC_3339.match(text) or text.endswith("BC"):
        return None
    return text
