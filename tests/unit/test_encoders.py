"""Features to bodies."""

import csv
import io
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.encode.feature_encoders import (
    CsvEncoder,
    GeoJsonEncoder,
    GeoJsonSeqEncoder,
)
from geosvc.formats import BUILT_IN_FORMATS
from geosvc.model.media_type import CSV, GEOJSON, GEOJSONSEQ, MediaType
from geosvc.query.feature_format import Encoder

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=15)
FEATURES = st.lists(
    st.builds(
        lambda number, name: {
            "type": "Feature",
            "id": number,
            "geometry": None,
            "properties": {"name": name},
        },
        st.integers(),
        TEXTS,
    ),
    max_size=20,
)
CUTS = st.lists(st.integers(0, 20), max_size=6)
MEMBERS = {
    "links": [{"href": "http://x/", "rel": "self"}],
    "timeStamp": "2026-11-21T00:00:00Z",
    "numberReturned": 3,
}


def body(encoder: Encoder, texts: list[str], cuts: list[int], members: dict[str, object]) -> bytes:
    """The body of these features, in batches cut at these places; no batch is empty."""
    edges = [0, *sorted(min(cut, len(texts)) for cut in cuts), len(texts)]
    batches = [texts[start:end] for start, end in pairwise(edges) if end > start]
    pieces = [encoder.batch([(text.encode(), "sort value") for text in batch]) for batch in batches]
    return encoder.begin() + b"".join(pieces) + encoder.end(members)


@given(FEATURES, CUTS, st.sampled_from([{}, MEMBERS]))
def test_a_feature_collection_is_the_same_json_however_its_batches_are_split(
    features: list[dict[str, object]], cuts: list[int], members: dict[str, object]
) -> None:
    texts = [json.dumps(feature, ensure_ascii=False) for feature in features]
    split = body(GeoJsonEncoder(), texts, cuts, members)
    assert split == body(GeoJsonEncoder(), texts, [], members)
    assert json.loads(split) == {"type": "FeatureCollection", "features": features, **members}
    assert split.endswith(b"}\n")


@given(FEATURES, CUTS)
def test_a_sequence_is_a_record_for_each_feature_however_its_batches_are_split(
    features: list[dict[str, object]], cuts: list[int]
) -> None:
    texts = [json.dumps(feature) for feature in features]
    split = body(GeoJsonSeqEncoder(), texts, cuts, dict(MEMBERS))
    assert split == body(GeoJsonSeqEncoder(), texts, [], {})
    first, *records = split.split(b"\x1e")
    assert first == b""
    assert all(record.endswith(b"\n") for record in records)
    assert [json.loads(record) for record in records] == features


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=20), st.tuples(TEXTS, TEXTS), CUTS)
def test_csv_is_read_back_by_a_reader_however_its_batches_are_split(
    rows: list[tuple[str, str]], header: tuple[str, str], cuts: list[int]
) -> None:
    def quoted(cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"'

    texts = [f"{quoted(first)},{quoted(second)}" for first, second in rows]
    split = body(CsvEncoder(header), texts, cuts, dict(MEMBERS))
    assert split == body(CsvEncoder(header), texts, [], {})
    assert list(csv.reader(io.StringIO(split.decode(), newline=""))) == [
        list(each) for each in (header, *rows)
    ]


def test_a_feature_collection_without_features_is_one() -> None:
    encoder = GeoJsonEncoder()
    assert json.loads(encoder.begin() + encoder.end({})) == {
        "type": "FeatureCollection",
        "features": [],
    }


def test_csv_ends_every_line_with_a_carriage_return_and_a_line_feed() -> None:
    assert (
        body(CsvEncoder(('a"b', "c,d")), ["1,2", ',""'], [1], {})
        == b'"a""b","c,d"\r\n1,2\r\n,""\r\n'
    )


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [(GEOJSON, GeoJsonEncoder), (GEOJSONSEQ, GeoJsonSeqEncoder), (CSV, CsvEncoder)],
)
def test_every_media_type_of_items_has_its_encoder(
    media_type: MediaType, kind: type[object]
) -> None:
    assert type(BUILT_IN_FORMATS.find(media_type).make_encoder(("a",))) is kind
    assert BUILT_IN_FORMATS.find(media_type).media_type is media_type
