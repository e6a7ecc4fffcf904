"""Why GEOS refuses a GeoJSON geometry: where it is wrong, and how. Source: RFC 7946 3.1."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from geosvc.model.similar_names import did_you_mean

_REASON = re.compile(r"^(?P<reason>[^\[]+?)\s*\[(?P<position>[^\]]+)\]$")
_ARRAYS_ABOVE_POSITIONS = {
    "Point": 0,
    "MultiPoint": 1,
    "LineString": 1,
    "MultiLineString": 2,
    "Polygon": 2,
    "MultiPolygon": 3,
}
_TYPES = (*_ARRAYS_ABOVE_POSITIONS, "GeometryCollection")
_MIN_RING_POSITIONS = 4
MIXED_HEIGHTS = "has positions with heights and without: either all have one, or none"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a feature.

    Attributes:
        detail: for its sender; begins with a verb, whose subject is the part that `pointer` names.
        pointer: a JSON pointer within the geometry, or within the feature.
    """

    detail: str
    pointer: str = ""


def describe_invalidity(reason: str) -> str:
    """GEOS's `Self-intersection[25.19 60.41]` as `Self-intersection at 25.19 60.41`."""
    match = _REASON.match(reason)
    if match is None:
        return reason
    return f"{match['reason']} at {match['position']}"


def find_fault(text: bytes) -> Fault:
    """Why a geometry cannot be read.

    Args:
        text: JSON, not nested deeper than Python can follow.
    """
    if not text.lstrip().startswith(b"{"):
        return _not_an_object("")
    try:
        geometry = orjson.loads(text)
    except orjson.JSONDecodeError:
        return Fault(
            "is not JSON that can be read; it may have a number that is too large, "
            "or an escape of half a character"
        )
    fault = _find_in_geometry(geometry, "") or _find_mixed_heights(geometry)
    return fault or Fault("is not a geometry that GEOS can read")


def _not_an_object(pointer: str) -> Fault:
    return Fault("is not a GeoJSON object with type and coordinates", pointer)


def _find_in_geometry(geometry: Any, pointer: str) -> Fault | None:
    if not isinstance(geometry, dict):
        return _not_an_object(pointer)
    kind = geometry.get("type")
    if kind == "GeometryCollection":
        return _find_in_collection(geometry.get("geometries"), f"{pointer}/geometries")
    if not isinstance(kind, str) or kind not in _ARRAYS_ABOVE_POSITIONS:
        near = ""
        if isinstance(kind, str):
            near = did_you_mean(kind, _TYPES)
        detail = f"has none of the types of GeoJSON: {', '.join(_TYPES)}{near}"
        return Fault(detail, f"{pointer}/type")
    coordinates = geometry.get("coordinates")
    if kind == "Point" and coordinates == []:
        return None
    arrays_above = _ARRAYS_ABOVE_POSITIONS[kind]
    return _find_in_coordinates(coordinates, arrays_above, f"{pointer}/coordinates", kind)


def _find_in_collection(members: Any, pointer: str) -> Fault | None:
    if not isinstance(members, list):
        return Fault("has no array of geometries", pointer)
    for number, member in enumerate(members):
        fault = _find_in_geometry(member, f"{pointer}/{number}")
        if fault is not None:
            return fault
    return None


def _find_in_coordinates(
    value: Any, arrays_above_positions: int, pointer: str, kind: str
) -> Fault | None:
    if not isinstance(value, list):
        return Fault("has a value in its coordinates that is not an array", pointer)
    if arrays_above_positions == 0:
        return _find_in_position(value, pointer)
    for number, member in enumerate(value):
        fault = _find_in_coordinates(
            member, arrays_above_positions - 1, f"{pointer}/{number}", kind
        )
        if fault is not None:
            return fault
    if arrays_above_positions == 1:
        if kind in ("Polygon", "MultiPolygon"):
            return _find_in_ring(value, pointer)
        if kind in ("LineString", "MultiLineString") and len(value) == 1:
            return Fault("has a line of one position", pointer)
    return None


def _find_in_position(position: list[Any], pointer: str) -> Fault | None:
    if len(position) not in (2, 3):
        detail = (
            f"has a position of length {len(position)}; a position has two numbers, "
            "or three with a height (RFC 7946 3.1.1)"
        )
        return Fault(detail, pointer)
    for number, value in enumerate(position):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return Fault("has a value in a position that is not a number", f"{pointer}/{number}")
    return None


def _find_in_ring(ring: list[Any], pointer: str) -> Fault | None:
    if not ring:
        return None
    if len(ring) < _MIN_RING_POSITIONS:
        return Fault(f"has a ring of fewer than {_MIN_RING_POSITIONS} positions", pointer)
    if ring[0] != ring[-1]:
        return Fault(
            "has a ring that is not closed: its first and last position must be equal", pointer
        )
    return None


def _find_mixed_heights(geometry: Any) -> Fault | None:
    """Whether some positions of a geometry have heights and others none."""
    first_of_length: dict[int, str] = {}
    for pointer, position in _positions(geometry, ""):
        first_of_length.setdefault(len(position), pointer)
    if len(first_of_length) < 2:
        return None
    first_different = max(first_of_length.values(), key=_indexes_of)
    return Fault(MIXED_HEIGHTS, first_different)


def _indexes_of(pointer: str) -> list[int]:
    """The indexes of arrays in a pointer, which order positions as the text does."""
    return [int(part) for part in pointer.split("/") if part.isdigit()]


def _positions(value: Any, pointer: str) -> Iterator[tuple[str, list[Any]]]:
    """(pointer, position) of each position of a geometry without other faults."""
    if isinstance(value, dict):
        name = "coordinates"
        if value.get("type") == "GeometryCollection":
            name = "geometries"
        yield from _positions(value.get(name), f"{pointer}/{name}")
    elif isinstance(value, list):
        if value and not isinstance(value[0], dict | list):
            yield pointer, value
            return
        for number, member in enumerate(value):
            yield from _positions(member, f"{pointer}/{number}")
