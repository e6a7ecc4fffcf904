"""Whether a posted value is the one that a GET of the feature returns: then it is not changed.

JSON contains less than a stored value: coordinates are rounded, arcs are segments, arrays begin
at 1. A client that sends a value back as it read it does not want to change that.
"""

import json
import re
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from geosvc.model.crs import Crs, digits_of

MAX_DIGITS = 15
_CLIENT_DIGITS = 6  # QGIS writes so many of every coordinate
_MORE_DIGITS = re.compile(rb"\.([0-9]{%d,})" % (_CLIENT_DIGITS + 1))
_MULTI = {"Point": "MultiPoint", "LineString": "MultiLineString", "Polygon": "MultiPolygon"}
_ARRAYS_ABOVE_RINGS = {"Polygon": 1, "MultiPolygon": 2}
_MIN_RING_POSITIONS = 4


def digits_posted(geometry: bytes, crs: Crs) -> int:
    """The digits behind the point to which a posted geometry is compared with the stored one."""
    digits = min(_CLIENT_DIGITS, digits_of(crs.srid))
    for more_digits in _MORE_DIGITS.findall(geometry):
        digits = max(digits, len(more_digits))
    return min(MAX_DIGITS, digits)


def same_geometry(posted: bytes, stored: bytes) -> bool:
    """Whether two GeoJSON texts are of one geometry.

    Rings may begin at another position and have the other direction. A single geometry is the same
    as a multi geometry with one member.
    """
    try:
        return _same_geojson(orjson.loads(posted), orjson.loads(stored))
    except orjson.JSONDecodeError:
        return False


def decode_exactly(text: bytes) -> Any:
    """Decodes JSON with all digits of its numbers. Raises: ValueError, RecursionError."""
    return json.loads(text, parse_float=Decimal)


def same_value(posted: Any, stored: Any) -> bool:
    """Whether a value that cannot be written is the stored one.

    Clients may write numbers and times in different forms.

    Args:
        posted, stored: decoded by `decode_exactly`.
    """
    if isinstance(posted, bool) or isinstance(stored, bool):
        return posted is stored
    if isinstance(posted, dict) and isinstance(stored, dict):
        return _same_members(posted, stored)
    if isinstance(posted, list) and isinstance(stored, list):
        return len(posted) == len(stored) and all(map(same_value, posted, stored))
    if isinstance(stored, int | Decimal):
        return _same_number(posted, stored)
    if isinstance(posted, str) and isinstance(stored, str):
        return posted == stored or _same_instant(posted, stored)
    return bool(posted == stored)


def _same_members(posted: dict[str, Any], stored: dict[str, Any]) -> bool:
    if posted.keys() != stored.keys():
        return False
    return all(same_value(posted[name], stored[name]) for name in posted)


def _same_geojson(posted: Any, stored: Any) -> bool:
    if not isinstance(posted, dict) or not isinstance(stored, dict):
        return posted is None and stored is None
    kind = posted.get("type")
    stored_kind = stored.get("type")
    if not isinstance(kind, str):
        return False
    if kind == "GeometryCollection" and stored_kind == "GeometryCollection":
        return _same_parts(posted.get("geometries"), stored.get("geometries"))
    coordinates = posted.get("coordinates")
    multi_kind = _MULTI.get(kind)
    if multi_kind is not None and multi_kind == stored_kind and coordinates:
        kind = multi_kind
        coordinates = [coordinates]
    if kind != stored_kind:
        return False
    arrays_above_rings = _ARRAYS_ABOVE_RINGS.get(kind, 0)
    return _same_arrays(coordinates, stored.get("coordinates"), arrays_above_rings)


def _same_parts(posted: Any, stored: Any) -> bool:
    """Whether the members of two geometry collections are the same."""
    if not _are_arrays_of_one_length(posted, stored):
        return False
    return all(map(_same_geojson, posted, stored))


def _same_arrays(posted: Any, stored: Any, arrays_above_rings: int) -> bool:
    """Whether two arrays of coordinates are the same.

    Args:
        arrays_above_rings: these included; 0 for geometries without rings.
    """
    if posted == stored:
        return True
    if arrays_above_rings == 0 or not _are_arrays_of_one_length(posted, stored):
        return False
    for posted_member, stored_member in zip(posted, stored, strict=True):
        if arrays_above_rings == 1:
            same = _same_ring(posted_member, stored_member)
        else:
            same = _same_arrays(posted_member, stored_member, arrays_above_rings - 1)
        if not same:
            return False
    return True


def _same_ring(posted: Any, stored: Any) -> bool:
    if posted == stored:
        return True
    if not _are_arrays_of_one_length(posted, stored) or len(posted) < _MIN_RING_POSITIONS:
        return False
    posted_is_closed = posted[0] == posted[-1]
    stored_is_closed = stored[0] == stored[-1]
    if not posted_is_closed or not stored_is_closed:
        return False
    if posted[0] not in stored:
        return False
    # the stored ring without its last position, from the first position of the posted one
    begin = stored.index(posted[0])
    forward = stored[begin:-1] + stored[:begin]
    backward = [forward[0], *reversed(forward[1:])]
    return posted[:-1] in (forward, backward)


def _are_arrays_of_one_length(posted: Any, stored: Any) -> bool:
    if not isinstance(posted, list) or not isinstance(stored, list):
        return False
    return len(posted) == len(stored)


def _same_number(posted: Any, stored: int | Decimal) -> bool:
    """Whether numbers are equal, exactly or as doubles, which many clients have."""
    if isinstance(posted, str):
        return posted == str(stored)
    if not isinstance(posted, int | Decimal):
        return False
    return posted == stored or _as_double(posted) == _as_double(stored)


def _as_double(number: int | Decimal) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf")


def _same_instant(posted: str, stored: str) -> bool:
    try:
        posted_time, stored_time = datetime.fromisoformat(posted), datetime.fromisoformat(stored)
    except ValueError:
        return False
    if (posted_time.tzinfo is None) != (stored_time.tzinfo is None):
        return False
    return posted_time == stored_time
