"""The cursor of a page."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.errors import InvalidParameter
from geosvc.requests.cursor import (
    MAX_CURSOR_BYTES,
    Cursor,
    encode_cursor,
    parse_cursor,
    query_digest,
)

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
CURSORS = st.builds(
    Cursor,
    query=st.text("0123456789abcdef", max_size=18),
    after=st.lists(st.none() | TEXTS, max_size=4).map(tuple),
    offset=st.integers(0, (1 << 63) - 1),
    matched=st.none() | st.integers(0, 1 << 40),
)


def forged(wire: Any) -> str:
    """A cursor that holds this JSON."""
    return urlsafe_b64encode(json.dumps(wire).encode()).rstrip(b"=").decode()


@given(CURSORS)
def test_every_cursor_is_read_back(cursor: Cursor) -> None:
    text = encode_cursor(cursor)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", text), "it stands in a URL as it is"
    assert parse_cursor(text) == cursor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "abc",
        "not a cursor",
        "=",
        "ü",
        "\ud800",
        "A" * (MAX_CURSOR_BYTES + 1),
        urlsafe_b64encode(b"\xff\xfe").decode(),
        urlsafe_b64encode(b'[1,"\xff",[],0,null]').decode(),
        urlsafe_b64encode(b"[" * 5_000).decode(),
        forged(None),
        forged({}),
        forged([]),
        forged([1, "q", [], 0]),
        forged([1, "q", [], 0, None, "more"]),
        forged([2, "q", [], 0, None]),
        forged([1, 5, [], 0, None]),
        forged([1, "q", [5], 0, None]),
        forged([1, "q", "after", 0, None]),
        forged([1, "q", [], -1, None]),
        forged([1, "q", [], 1 << 63, None]),
        forged([1, "q", [], 0.5, None]),
        forged([1, "q", ["a\0b"], 0, None]),
        forged([1, "q", ["\ud800"], 0, None]),
    ],
)
def test_what_the_service_did_not_give_out_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidParameter, match="cursor is not one") as caught:
        parse_cursor(text)
    assert caught.value.parameter == "cursor"


@pytest.mark.parametrize("matched", [-1, 1 << 63, 1 << 64, 10**30])
def test_a_count_that_no_table_can_have_is_refused(matched: int) -> None:
    # it goes into numberMatched as it is, and beyond 64 bits no JSON can be written of it
    with pytest.raises(InvalidParameter):
        orjson.dumps(parse_cursor(forged([1, "q", [], 0, matched])).matched)


@given(
    st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: urlsafe_b64encode(raw).decode())
)
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        cursor = parse_cursor(text)
    except InvalidParameter as error:
        assert error.parameter == "cursor"
    else:
        assert 0 <= cursor.offset < 1 << 63


@given(CURSORS)
def test_a_cursor_hides_nothing_and_says_its_version(cursor: Cursor) -> None:
    text = encode_cursor(cursor)
    wire = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert wire == [1, cursor.query, list(cursor.after), cursor.offset, cursor.matched, cursor.skip]


def test_a_digest_tells_every_query_from_every_other() -> None:
    queries = [
        (),
        ("a",),
        ("a", "b"),
        (("a", "b"),),
        ("ab",),
        ("a", None),
        ("a", "null"),
        (1,),
        ("1",),
        ((), "a"),
    ]
    assert len({query_digest(*query) for query in queries}) == len(queries)
    assert query_digest("a", ("b",)) == query_digest("a", ("b",))
