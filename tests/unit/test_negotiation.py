"""Which representation and which coding a client gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.errors import InvalidParameter, NotAcceptable
from geosvc.formats import BUILT_IN_FORMATS
from geosvc.model.media_type import CSV, GEOJSON, GEOJSONSEQ, HTML, JSON, MediaType
from geosvc.requests.negotiation import negotiate_coding, negotiate_media_type

CODINGS = ("zstd", "gzip")

ITEMS_TYPES = BUILT_IN_FORMATS.items_types


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, GEOJSON),
        ("", GEOJSON),
        ("*/*", GEOJSON),
        ("application/*", GEOJSON),
        ("text/*", CSV),
        ("text/csv", CSV),
        ("TEXT/CSV", CSV),
        (" text/csv ; q=1 ", CSV),
        ("text/csv;q=0.5, application/geo+json;q=0.4", CSV),
        ("text/csv;q=0.5, */*;q=0.4", CSV),
        ("text/csv;q=0.4, */*;q=0.5", GEOJSON),
        ("text/csv;Q=0.1, application/geo+json-seq;q=0.2", GEOJSONSEQ),
        ("application/json", GEOJSON),
        ("application/geo+json;q=0, */*", GEOJSONSEQ),
        ("application/*;q=0, */*;q=0.1", CSV),
        ("text/html, image/webp, */*;q=0.8", HTML),
        ("text/csv; header=present; q=0.9, */*;q=0.1", CSV),
        ("text/csv;q=high", CSV),
        ("text/csv;q=7, */*;q=0.9", CSV),
        (",,text/csv,,", CSV),
    ],
)
def test_accept_chooses_by_weight_then_specificity_then_the_order_of_the_service(
    accept: str | None, chosen: MediaType
) -> None:
    assert negotiate_media_type(None, accept, ITEMS_TYPES) is chosen


@pytest.mark.parametrize(
    "accept",
    ["text/plain", "*/*;q=0", "application/*;q=0, text/*;q=0.0", "text", "csv", "image/*", "q=1"],
)
def test_what_is_not_offered_is_not_acceptable(accept: str) -> None:
    with pytest.raises(
        NotAcceptable,
        match="application/geo\\+json, application/geo\\+json-seq, text/csv, text/html",
    ):
        negotiate_media_type(None, accept, ITEMS_TYPES)


@pytest.mark.parametrize("weight", ["nan", "NaN", "-nan", "", "1,5", "one"])
def test_a_weight_that_is_no_number_counts_as_one(weight: str) -> None:
    assert negotiate_media_type(None, f"text/csv;q={weight}", ITEMS_TYPES) is CSV


@pytest.mark.parametrize(
    ("f", "chosen"),
    [
        ("geojson", GEOJSON),
        ("json", GEOJSON),
        ("application/json", GEOJSON),
        ("application/geo+json", GEOJSON),
        ("csv", CSV),
        ("text/csv", CSV),
        ("geojsonseq", GEOJSONSEQ),
    ],
)
def test_f_beats_accept(f: str, chosen: MediaType) -> None:
    assert negotiate_media_type(f, "image/png", ITEMS_TYPES) is chosen


@pytest.mark.parametrize("f", ["", "CSV", "xml", "text/*", "*/*", "geojson "])
def test_an_unknown_f_is_refused_with_those_that_there_are(f: str) -> None:
    with pytest.raises(
        InvalidParameter, match="f takes one of: geojson, geojsonseq, csv"
    ) as caught:
        negotiate_media_type(f, None, ITEMS_TYPES)
    assert caught.value.parameter == "f"


def test_a_document_is_json_for_whom_json_is_named() -> None:
    assert negotiate_media_type("json", None, (JSON,)) is JSON
    assert negotiate_media_type(None, "application/json", (JSON,)) is JSON
    with pytest.raises(NotAcceptable):
        negotiate_media_type(None, "application/geo+json", (JSON,))


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (None, None),
        ("", None),
        ("identity", None),
        ("br", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.1", "zstd"),
        ("zstd;q=0, gzip", "gzip"),
        ("zstd; q=0.000, gzip ; q=0.001", "gzip"),
        ("*", "zstd"),
        ("zstd;q=0, *", "gzip"),
        ("*;q=0", None),
        ("gzip, *;q=0", "gzip"),
        ("gzip;q=0, zstd;q=0", None),
    ],
)
def test_a_coding_is_one_that_the_client_takes_in_the_order_of_the_service(
    header: str | None, coding: str | None
) -> None:
    assert negotiate_coding(header, CODINGS) == coding


@given(st.text(max_size=60))
def test_no_header_breaks_the_negotiation(header: str) -> None:
    assert negotiate_coding(header, CODINGS) in (None, *CODINGS)
    try:
        assert negotiate_media_type(None, header, ITEMS_TYPES) in ITEMS_TYPES
    except NotAcceptable as error:
        assert "geo+json" in error.detail
