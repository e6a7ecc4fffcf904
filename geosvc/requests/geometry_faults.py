"""What is wrong with a GeoJSON geometry that GEOS refuses: where, and in which words. Source: RFC 7946 3.1."""

import re
from dataclasses import dataclass
from typing import Any

import geojson
import orjson

_PLACE = re.compile(r"^(?P<reason>[^\[]+?)\s*\[(?P<place>[^\]]+)\]$")
_LEVELS = {"Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3}
_LEAST_IN_RING = 4


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a feature.

    Attributes:
        detail: for its sender; begins with a verb, about the part that `pointer` names.
        pointer: a JSON pointer within the geometry, or within the feature.
    """

    detail: str
    pointer: str = ""


def place_of_invalidity(reason: str) -> str:
    """GEOS's `Self-intersection[25.19 60.41]` as `Self-intersection at 25.19 60.41`."""
    match = _PLACE.match(reason)
    return f"{match['reason']} at {match['place']}" if match is not None else reason


def find_fault(text: bytes) -> Fault:
    """Why a geometry cannot be read. It is nested no deeper than Python can follow."""
    try:
        geometry = orjson.loads(text)
    except orjson.JSONDecodeError:
        return Fault("is no JSON that can be read: has it a number without end, or half a character?")
    return _geometry_fault(geometry, "") or Fault(_words_of_geojson(geometry))


def _words_of_geojson(geometry: Any) -> str:
    try:
        errors = geojson.GeoJSON.to_instance(geometry).errors()
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        errors = type(error).__name__
    return f"is no GeoJSON geometry: {errors}"[:300] if errors else "is no geometry that GEOS can read"


def _geometry_fault(geometry: Any, pointer: str) -> Fault | None:
    if not isinstance(geometry, dict):
        return Fault("is no object", pointer)
    kind = geometry.get("type")
    if kind == "GeometryCollection":
        members = geometry.get("geometries")
        if not isinstance(members, list):
            return Fault("is no array", f"{pointer}/geometries")
        faults = (_geometry_fault(member, f"{pointer}/geometries/{number}") for number, member in enumerate(members))
        return next((fault for fault in faults if fault is not None), None)
    if not isinstance(kind, str) or kind not in _LEVELS:
        return Fault("is no type of GeoJSON geometry", f"{pointer}/type")
    coordinates = geometry.get("coordinates")
    if kind == "Point" and coordinates == []:
        return None
    return _coordinates_fault(coordinates, _LEVELS[kind], f"{pointer}/coordinates", kind)


def _coordinates_fault(value: Any, level: int, pointer: str, kind: str) -> Fault | None:
    if not isinstance(value, list):
        return Fault("is no array", pointer)
    if level == 0:
        return _position_fault(value, pointer)
    for number, member in enumerate(value):
        fault = _coordinates_fault(member, level - 1, f"{pointer}/{number}", kind)
        if fault is not None:
            return fault
    if level == 1 and kind in ("Polygon", "MultiPolygon"):
        return _ring_fault(value, pointer)
    if level == 1 and kind in ("LineString", "MultiLineString") and len(value) == 1:
        return Fault("is a line of one position", pointer)
    return None


def _position_fault(position: list[Any], pointer: str) -> Fault | None:
    if not 2 <= len(position) <= 3:
        return Fault("is a position of neither two nor three numbers", pointer)
    for number, value in enumerate(position):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return Fault("is no number", f"{pointer}/{number}")
    return None


def _ring_fault(ring: list[Any], pointer: str) -> Fault | None:
    if 0 < len(ring) < _LEAST_IN_RING:
        return Fault(f"is a ring of fewer than {_LEAST_IN_RING} positions", pointer)
    if ring and ring[0] != ring[-1]:
        return Fault("is a ring that is not closed: its last position must be its first", pointer)
    return None
