"""benchmarks/answers.py: whether a peer answers with the same features."""

import json
from typing import Any

import pytest

from benchmarks.answers import compare_answers


def feature(number: object, **members: Any) -> dict[str, Any]:
    geometry = {"type": "MultiPolygon", "coordinates": [[[[0, 0], [1, 0], [1, 1], [0, 0]]]]}
    whole = {
        "type": "Feature",
        "id": number,
        "geometry": geometry,
        "properties": {"id": 1, "name": "a"},
    }
    return {**whole, **members}


def collection(*features: dict[str, Any]) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


OURS = collection(feature(1), feature(2))
POLYGON = {"type": "Polygon", "coordinates": [[[0, 0], [1.0000001, 0], [1, 1], [0, 0]]]}


@pytest.mark.parametrize(
    "theirs",
    [
        collection(feature(2), feature(1)),
        collection(feature("1"), feature("2")),
        collection(feature(1, geometry=POLYGON), feature(2)),
        collection(feature(1, properties={"name": "a"}, links=[]), feature(2)),
    ],
    ids=["other order", "ids as text", "one polygon", "id beside the properties alone"],
)
def test_the_same_features_may_be_written_otherwise(theirs: bytes) -> None:
    assert compare_answers(OURS, theirs) is None


@pytest.mark.parametrize(
    ("theirs", "difference"),
    [
        (collection(feature(1)), "1 features instead of 2, or others"),
        (collection(feature(1), feature(3)), "2 features instead of 2, or others"),
        (collection(feature(1, properties={}), feature(2)), "feature 1: no name"),
        (
            collection(feature(1, geometry={"type": "Point", "coordinates": [0, 0]}), feature(2)),
            "feature 1: Point instead of Polygon",
        ),
        (
            collection(
                feature(1, geometry={"type": "Polygon", "coordinates": [[[0, 0]]]}), feature(2)
            ),
            "feature 1: 1 points instead of 4",
        ),
    ],
)
def test_other_features_are_told(theirs: bytes, difference: str) -> None:
    assert compare_answers(OURS, theirs) == difference


def test_one_feature_is_compared_likewise() -> None:
    assert (
        compare_answers(json.dumps(feature(1)).encode(), json.dumps(feature("1")).encode()) is None
    )
