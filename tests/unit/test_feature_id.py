"""The id of a feature in a URL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.errors import NotFound
from geosvc.values.feature_id import parse_feature_id
from tests.unit.samples import collection, column

BY_NUMBER = collection(column("id", "int4"), key=("id",))
BY_TEXT = collection(column("name"), key=("name",))
BY_PAIR = collection(column("a"), column("n", "int4"), column("b"), key=("a", "b"))
BY_THREE = collection(column("a"), column("n", "int4"), column("d", "date"), key=("a", "n", "d"))
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


def escaped(value: str) -> str:
    """What query.writing.feature_id writes for one value of a composite key."""
    return value.replace("\\", "\\\\").replace(",", "\\,")


@given(TEXTS)
def test_the_id_of_a_single_key_is_the_text_itself(value: str) -> None:
    assert parse_feature_id(value, BY_TEXT) == (value,)


@given(TEXTS, TEXTS)
def test_the_id_of_a_composite_key_is_read_back(a: str, b: str) -> None:
    assert parse_feature_id(f"{escaped(a)},{escaped(b)}", BY_PAIR) == (a, b)


@pytest.mark.parametrize("text", ["", "x", "1.5", "2147483648", " 1", "1,2", "١", "1\0"])
def test_what_cannot_be_a_key_is_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        parse_feature_id(text, BY_NUMBER)


@pytest.mark.parametrize(
    "text",
    ["", "a", "a,1", "a,1,2026-11-21,x", "a,x,2026-11-21", "a,1,2026-02-30", "a\\,1,2026-11-21"],
)
def test_a_composite_key_needs_every_value_of_its_type(text: str) -> None:
    with pytest.raises(NotFound):
        parse_feature_id(text, BY_THREE)


def test_a_composite_key_follows_the_order_of_the_key() -> None:
    assert parse_feature_id("a,7,2026-11-21", BY_THREE) == ("a", "7", "2026-11-21")


def test_a_collection_without_a_key_has_no_features_by_id() -> None:
    with pytest.raises(NotFound, match="has no key"):
        parse_feature_id("1", collection(column("a")))


@pytest.mark.parametrize("text", ["\0", "a\0"])
def test_a_nul_is_in_no_key(text: str) -> None:
    with pytest.raises(NotFound):
        parse_feature_id(text, BY_TEXT)


def test_a_backslash_at_the_end_escapes_nothing_and_names_no_feature() -> None:
    with pytest.raises(NotFound):
        parse_feature_id("a,b\\", BY_PAIR)
