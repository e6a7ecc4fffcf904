"""Features as cells of a table: every value is the text that PostgreSQL wrote."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.encode.cells import LONG_CHARACTERS, SHORT_CHARACTERS, Cell, read_feature


def cell(value: str, characters: int = SHORT_CHARACTERS) -> Cell:
    """The cell of a JSON value."""
    text = f'{{"type":"Feature","id":7,"geometry":null,"properties":{{"x":{value}}}}}'
    return read_feature(text.encode(), characters).cells["x"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("null", Cell("null", "NULL")),
        ('"NULL"', Cell("text", "NULL")),
        ('""', Cell("text", "")),
        ("12345678901234567890123.10", Cell("number", "12345678901234567890123.10")),
        ("9007199254740993", Cell("number", "9007199254740993")),
        ("true", Cell("boolean", "true")),
        ('"NaN"', Cell("text", "NaN")),
        ('"https://example.org/a?b=c"', Cell("link", "https://example.org/a?b=c")),
        ('"javascript:alert(1)"', Cell("text", "javascript:alert(1)")),
        ('"https://example.org/ and more"', Cell("text", "https://example.org/ and more")),
        ('{"a": 1.50}', Cell("json", '{"a": 1.50}')),
        ("[]", Cell("json", "[]")),
    ],
)
def test_a_value_is_shown_as_it_was_written(value: str, expected: Cell) -> None:
    assert cell(value) == expected


def test_half_a_surrogate_pair_is_shown_as_a_replacement() -> None:
    assert cell(r'"a\ud800b\udc00\ud83d\ude00\\ud800"').text == "a\ufffdb\ufffd😀\\ud800"
    assert cell(r'{"a": "\ud800"}').kind == "json"


def test_what_is_nested_too_deep_is_not_shown() -> None:
    feature = read_feature(
        b'{"type":"Feature","id":7,"properties":{"x":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}}"
    )
    assert feature.id is None
    assert "nested" in feature.cell("x").text


def test_long_values_are_cut_and_say_so() -> None:
    assert cell(f'"{"x" * 500}"') == Cell("text", "x" * SHORT_CHARACTERS, cut=True)
    assert not cell(f'"{"x" * 500}"', LONG_CHARACTERS).cut


def test_nested_values_have_lines_where_there_is_room() -> None:
    nested = json.dumps({"names": ["a", "b"], "more": "x" * 80})
    assert cell(nested, LONG_CHARACTERS).text.splitlines()[1] == '  "names": ['
    assert "\n" not in cell(nested).text


@pytest.mark.parametrize(
    ("member", "expected"),
    [('"id":"a,b",', "a,b"), ('"id":12,', "12"), ("", None), ('"id":"null",', "null")],
)
def test_the_id_is_text_as_an_address_has_it(member: str, expected: str | None) -> None:
    assert (
        read_feature(f'{{"type":"Feature",{member}"geometry":null,"properties":{{}}}}'.encode()).id
        == expected
    )


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_numbers_keep_their_digits(number: Decimal) -> None:
    text = f"{number:f}" if abs(number.adjusted()) < 60 else f"{number:e}"
    assert cell(text, LONG_CHARACTERS).text == text
