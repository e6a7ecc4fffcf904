"""Whether two services answer the same request with the same features."""

import json
from collections.abc import Mapping
from typing import Any

Feature = Mapping[str, Any]


def compare_answers(ours: bytes, theirs: bytes) -> str | None:
    """How their answer differs from ours; None when it has the same features.

    Order, links, digits of coordinates and other members may differ, as may the kind of a geometry
    of one part: MapServer writes a multipolygon of one polygon as a polygon.
    """
    expected, given = _read_features(ours), _read_features(theirs)
    if expected.keys() != given.keys():
        return f"{len(given)} features instead of {len(expected)}, or others"
    for identifier, feature in expected.items():
        difference = _compare(feature, given[identifier])
        if difference is not None:
            return f"feature {identifier}: {difference}"
    return None


def _read_features(body: bytes) -> dict[str, Feature]:
    """By id, as text: MapServer has only such ids."""
    document = json.loads(body)
    features = document.get("features", [document])
    return {str(feature["id"]): feature for feature in features}


def _compare(expected: Feature, given: Feature) -> str | None:
    # pygeoapi writes the id beside the properties alone
    missing = expected["properties"].keys() - given["properties"].keys() - {"id"}
    if missing:
        return f"no {', '.join(sorted(missing))}"
    kinds = [each["geometry"]["type"].removeprefix("Multi") for each in (expected, given)]
    if kinds[0] != kinds[1]:
        return f"{kinds[1]} instead of {kinds[0]}"
    points = [_count_points(each["geometry"]["coordinates"]) for each in (expected, given)]
    # MapServer 8.0 writes polygons that touch twice, as holes of each other
    if points[1] < points[0]:
        return f"{points[1]} points instead of {points[0]}"
    return None


def _count_points(coordinates: Any) -> int:
    if not isinstance(coordinates[0], list):
        return 1
    return sum(map(_count_points, coordinates))
