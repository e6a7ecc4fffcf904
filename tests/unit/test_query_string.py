"""The query string."""

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.errors import InvalidParameter
from geosvc.requests.query_string import MAX_PARAMETERS, parse_query_string

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@pytest.mark.parametrize(
    ("raw", "values"),
    [
        ("", {}),
        ("&&", {}),
        ("a=1", {"a": "1"}),
        ("a=1&b=2&", {"a": "1", "b": "2"}),
        ("a", {"a": ""}),
        ("a=", {"a": ""}),
        ("a=b=c", {"a": "b=c"}),
        ("a=1+2", {"a": "1 2"}),
        ("a=1%2B2", {"a": "1+2"}),
        ("na%20me=%C3%BC", {"na me": "ü"}),
        ("a=%zz", {"a": "%zz"}),
        ("a=%26b%3D2", {"a": "&b=2"}),
        ("a=1;b=2", {"a": "1;b=2"}),
        ("A=1&a=2", {"A": "1", "a": "2"}),
    ],
)
def test_names_and_values_are_decoded_once(raw: str, values: dict[str, str]) -> None:
    assert parse_query_string(raw) == values


@pytest.mark.parametrize(
    ("raw", "parameter"),
    [
        ("limit=1&limit=1", "limit"),
        ("a=1&b=2&%61=3", "a"),
        ("a=%ff", "a"),
        ("a=%C3%28", "a"),
        ("a=%ED%A0%80", "a"),
        ("a=x%00y", "a"),
        ("bbox=\0", "bbox"),
    ],
)
def test_a_value_that_is_wrong_is_named(raw: str, parameter: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse_query_string(raw)
    assert caught.value.parameter == parameter


@pytest.mark.parametrize("raw", ["%ff=1", "%00=1", "a%C3=1"])
def test_a_name_that_is_no_text_is_refused(raw: str) -> None:
    with pytest.raises(InvalidParameter, match="the name of a parameter"):
        parse_query_string(raw)


@pytest.mark.parametrize("raw", ["a=\udcff", "\udcff=1"])
def test_a_raw_byte_that_is_not_utf_8_is_refused_as_well_as_an_encoded_one(raw: str) -> None:
    # aiohttp's parser in C refuses /?a=<FF> itself; its parser in Python hands it on like this
    with pytest.raises(InvalidParameter, match="not UTF-8"):
        parse_query_string(raw)


def test_so_many_parameters_are_taken_and_no_more() -> None:
    pairs = [f"p{number}=1" for number in range(MAX_PARAMETERS + 1)]
    assert len(parse_query_string("&".join(pairs[:-1]))) == MAX_PARAMETERS
    with pytest.raises(InvalidParameter, match=f"more than {MAX_PARAMETERS}") as caught:
        parse_query_string("&".join(pairs))
    assert caught.value.parameter == f"p{MAX_PARAMETERS}"


@given(st.dictionaries(TEXTS.filter(bool), TEXTS, max_size=8), st.booleans())
def test_what_a_client_encodes_is_read_back_in_its_order(
    values: dict[str, str], plus: bool
) -> None:
    encode = quote_plus if plus else (lambda text: quote(text, safe=""))
    raw = "&".join(f"{encode(name)}={encode(value)}" for name, value in values.items())
    assert list(parse_query_string(raw).items()) == list(values.items())


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_no_query_string_does_anything_but_parse_or_be_refused(raw: str) -> None:
    try:
        values = parse_query_string(raw)
    except InvalidParameter as error:
        assert error.parameter is not None
    else:
        assert not any("\0" in text for pair in values.items() for text in pair)
