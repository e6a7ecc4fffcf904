"""Keyset paging: the condition that geosvc makes is evaluated by SQLite, whose NULLs, row values
and ORs are those of PostgreSQL; the order that it has to follow is made here, in Python, with
PostgreSQL's place for NULLs.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import cmp_to_key

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosvc.errors import InvalidParameter
from geosvc.model.bbox import Bbox
from geosvc.model.collection import Collection, CollectionId, Parts, RelationKind
from geosvc.query.paging import (
    PageEnd,
    after_condition,
    check_cursor,
    digest_of,
    next_cursor,
    pages_of,
)
from geosvc.query.sort_order import OrderKey, order_by_clause, order_of
from geosvc.requests.cursor import Cursor, encode_cursor, parse_cursor
from geosvc.requests.items import ItemsQuery, SortKey
from geosvc.sql.compose import SQL, Composable, Identifier, compose
from tests.unit.samples import collection, column

Value = int | str | None
Row = dict[str, Value]

COLUMNS = (
    column("a", "int4"),
    column("b"),
    column("c", "int4", not_null=True),
    column("id", "int4", not_null=True),
)
WITHOUT_KEY = collection(*COLUMNS)
BY_ID = collection(*COLUMNS, key=("id",))
BY_PAIR = collection(*COLUMNS, key=("c", "id"))
KEPT_BY_NULLABLE = collection(
    *(replace(each, not_null=False) for each in COLUMNS),
    key=("c", "id"),
    kind=RelationKind.MATERIALISED_VIEW,
)
NAMED = replace(BY_ID, key_is_unique=False)

CONTENT = 'hashtextextended(ROW(t."geom", t."a", t."b", t."c", t."id")::text, 0)'
SORT_KEYS = st.lists(
    st.builds(SortKey, st.sampled_from("abc"), st.booleans()),
    max_size=3,
    unique_by=lambda key: key.name,
).map(tuple)


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    """Rows full of ties and NULLs, told apart by id and by address."""
    cells = st.tuples(
        st.none() | st.integers(-2, 2),
        st.none() | st.sampled_from(["", "A", "a", "ä", "'", "aa"]),
        st.integers(0, 2),
    )
    found = draw(st.lists(cells, max_size=12))
    ids = draw(st.permutations(range(len(found))))
    return [
        {"a": a, "b": b, "c": c, "id": number, "ctid": place}
        for place, ((a, b, c), number) in enumerate(zip(found, ids, strict=True))
    ]


def compare(first: Value, second: Value) -> int:
    """Ascending, NULLs last: PostgreSQL's default."""
    if first is None or second is None:
        return (first is None) - (second is None)
    return (first > second) - (first < second)  # type: ignore[operator]


def in_order(rows: list[Row], keys: list[tuple[str, bool]]) -> list[Row]:
    """The rows as PostgreSQL orders them; descending is ascending the other way round, NULLs
    too.
    """

    def compared(first: Row, second: Row) -> int:
        for name, descending in keys:
            if found := compare(first[name], second[name]):
                return -found if descending else found
        return 0

    return sorted(rows, key=cmp_to_key(compared))


def names_of(keys: tuple[OrderKey, ...]) -> list[tuple[str, bool]]:
    """The columns that are ordered by."""
    texts = [(compose("x", key.expression).text, key.descending) for key in keys]
    return [(text.removeprefix("t.").strip('"'), descending) for text, descending in texts]


def evaluated(rows: list[Row], condition: Composable) -> list[Row]:
    """The rows for which the condition is true."""
    statement = compose("x", condition)
    as_integer = r"CAST(?\1 AS INTEGER)"
    text = re.sub(r'\$(\d+)::text::"pg_catalog"\."(?:int4|tid|oid)"', as_integer, statement.text)
    text = re.sub(r'\$(\d+)::text::"pg_catalog"\."text"', r"?\1", text)
    assert "$" not in text, text
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(
            "CREATE TABLE t (a INTEGER, b TEXT, c INTEGER, id INTEGER, ctid INTEGER)"
        )
        connection.executemany("INSERT INTO t VALUES (:a, :b, :c, :id, :ctid)", rows)
        found = {
            each
            for (each,) in connection.execute(
                f"SELECT t.id FROM t WHERE {text}", list(statement.args)
            )
        }
    return [row for row in rows if row["id"] in found]


def pages(rows: list[Row], described: Collection, request: ItemsQuery) -> Iterator[list[Row]]:
    """The pages that a client gets who follows the links `next`; they end."""
    for _ in range(len(rows) + 1):
        keys = order_of(described, request)
        if request.cursor is not None:
            check_cursor(pages_of(described, request), request.cursor)
        left = (
            rows
            if request.cursor is None
            else evaluated(rows, after_condition(keys, request.cursor.after))
        )
        names = names_of(keys)
        assert request.limit is not None
        selected = in_order(left, names)[: request.limit + 1]
        end = PageEnd(request.limit)
        texts = [
            tuple(None if row[name] is None else str(row[name]) for name, _ in names)
            for row in selected
        ]
        taken = end.take([(row, *text) for row, text in zip(selected, texts, strict=True)])
        yield [row[0] for row in taken]
        cursor = next_cursor(pages_of(described, request), request, end, None)
        if cursor is None:
            return
        request = replace(request, cursor=parse_cursor(encode_cursor(cursor)))
    pytest.fail("there is always another page")


@settings(max_examples=200)
@given(
    tables(),
    SORT_KEYS,
    st.integers(1, 5),
    st.sampled_from([WITHOUT_KEY, BY_ID, BY_PAIR, KEPT_BY_NULLABLE, NAMED]),
)
def test_all_pages_together_have_each_row_once_in_order(
    rows: list[Row], sortby: tuple[SortKey, ...], limit: int, described: Collection
) -> None:
    request = ItemsQuery(limit=limit, sortby=sortby)
    found = [row for page in pages(rows, described, request) for row in page]
    assert found == in_order(rows, names_of(order_of(described, request)))


@settings(max_examples=200)
@given(
    tables().filter(bool), SORT_KEYS, st.sampled_from([WITHOUT_KEY, BY_ID, BY_PAIR]), st.randoms()
)
def test_the_condition_selects_exactly_the_rows_after_a_row(
    rows: list[Row], sortby: tuple[SortKey, ...], described: Collection, random: object
) -> None:
    keys = order_of(described, ItemsQuery(limit=1, sortby=sortby))
    names = names_of(keys)
    ordered = in_order(rows, names)
    for place, row in enumerate(ordered):
        values = tuple(None if row[name] is None else str(row[name]) for name, _ in names)
        assert (
            in_order(evaluated(rows, after_condition(keys, values)), names) == ordered[place + 1 :]
        )


@pytest.mark.parametrize(
    ("described", "sortby", "expected"),
    [
        (BY_ID, (), ['t."id"']),
        (BY_PAIR, (), ['t."c"', 't."id"']),
        (BY_PAIR, (SortKey("id", True),), ['t."id" DESC', 't."c"']),
        (BY_ID, (SortKey("a", True), SortKey("b", False)), ['t."a" DESC', 't."b"', 't."id"']),
        (WITHOUT_KEY, (SortKey("a", False),), ['t."a"', "t.ctid"]),
        (collection(kind=RelationKind.MATERIALISED_VIEW), (), ["t.ctid"]),
        (replace(WITHOUT_KEY, parts=Parts.OWN), (), ["t.tableoid", "t.ctid"]),
        (NAMED, (), ['t."id"', "t.ctid"]),
        (replace(NAMED, parts=Parts.OWN), (), ['t."id"', "t.tableoid", "t.ctid"]),
        (
            collection(*COLUMNS, kind=RelationKind.VIEW),
            (SortKey("a", True),),
            ['t."a" DESC', CONTENT],
        ),
        (collection(*COLUMNS, kind=RelationKind.VIEW), (), ['t."a"', CONTENT]),
        (replace(NAMED, kind=RelationKind.VIEW), (), ['t."id"', CONTENT]),
        (replace(WITHOUT_KEY, parts=Parts.FOREIGN), (), ['t."a"', CONTENT]),
        (
            collection(*COLUMNS, kind=RelationKind.FUNCTION, parameters=()),
            (SortKey("b", False),),
            ['t."b"', CONTENT],
        ),
    ],
)
def test_the_order_ends_with_a_unique_key_and_has_the_nulls_of_an_index(
    described: Collection, sortby: tuple[SortKey, ...], expected: list[str]
) -> None:
    keys = order_of(described, ItemsQuery(limit=1, sortby=sortby))
    assert compose("x", order_by_clause(keys)).text == f" ORDER BY {', '.join(expected)}"


def test_rows_of_a_function_keep_their_order_and_pages_are_counted() -> None:
    described = collection(*COLUMNS, kind=RelationKind.FUNCTION, parameters=())
    assert order_of(described, ItemsQuery(limit=1)) == ()
    assert compose("x", order_by_clause(())).text == ""
    request = ItemsQuery(limit=2, offset=5)
    end = PageEnd(2)
    end.take([("f",), ("f",), ("f",)])
    second = next_cursor(pages_of(described, request), request, end, 9)
    assert second == Cursor(digest_of(described, request), (), 7, 9)
    third = next_cursor(
        pages_of(described, request), replace(request, offset=0, cursor=second), end, None
    )
    assert third is not None
    assert third.offset == 9


def test_an_export_of_a_view_has_no_order() -> None:
    assert order_of(collection(*COLUMNS, kind=RelationKind.VIEW), ItemsQuery(limit=None)) == ()


def test_the_next_page_skips_equal_rows_of_earlier_pages() -> None:
    described = collection(*COLUMNS, kind=RelationKind.VIEW)
    request = ItemsQuery(limit=2)
    skipped, cursor = [], None
    for page in (
        ["1", "7", "7"],
        ["7", "7", "7"],
        ["7", "7", "8"],
        ["8", "8", "9"],
        ["9", "9", "9"],
    ):
        end = PageEnd(2)
        end.take([("f", "a", page[0])])
        end.take([("f", "a", number) for number in page[1:]])
        pages_of_view = pages_of(described, request)
        cursor = next_cursor(pages_of_view, replace(request, cursor=cursor), end, None)
        assert cursor is not None
        assert cursor.after == ("a", page[1])
        skipped.append(cursor.skip)
    assert skipped == [1, 3, 5, 2, 2]


def test_ascending_keys_without_nulls_are_compared_as_a_row() -> None:
    keys = order_of(BY_PAIR, ItemsQuery(limit=1))
    statement = compose("x", after_condition(keys, ("1", "2")))
    cast = '::text::"pg_catalog"."int4"'
    assert statement.text == f'(t."c", t."id") > ($1{cast}, $2{cast})'
    assert statement.args == ("1", "2")


def test_no_row_comes_after_the_last_null() -> None:
    key = OrderKey(SQL("t.a"), Identifier("int4"), descending=False, nullable=True)
    assert compose("x", after_condition((key,), (None,))).text == "false"


def test_values_of_a_cursor_are_parameters() -> None:
    keys = order_of(BY_ID, ItemsQuery(limit=1, sortby=(SortKey("b", True),)))
    hostile = "'; DROP TABLE t; --"
    statement = compose("x", after_condition(keys, (hostile, hostile)))
    assert hostile not in statement.text
    assert set(statement.args) == {hostile}


@pytest.mark.parametrize(
    "other",
    [
        ItemsQuery(limit=5, bbox=Bbox(0, 0, 1, 1)),
        ItemsQuery(limit=5, equals=(("a", "1"),)),
        ItemsQuery(limit=5, equals=(("a", "2"),)),
        ItemsQuery(limit=5, arguments=(("a", "1"),)),
        ItemsQuery(limit=5, sortby=(SortKey("a", True),)),
        ItemsQuery(limit=5, sortby=(SortKey("a", False),)),
    ],
)
def test_a_cursor_of_another_query_is_refused(other: ItemsQuery) -> None:
    plain = ItemsQuery(limit=5)
    cursor = Cursor(digest_of(BY_ID, plain), ("1",))
    check_cursor(pages_of(BY_ID, plain), cursor)
    with pytest.raises(InvalidParameter, match="another query") as caught:
        check_cursor(pages_of(BY_ID, other), cursor)
    assert caught.value.parameter == "cursor"


@pytest.mark.parametrize("other", [(SortKey("a", True),), (SortKey("b", False),)])
def test_a_cursor_of_another_order_with_as_many_values_is_refused(
    other: tuple[SortKey, ...],
) -> None:
    ordered = ItemsQuery(limit=5, sortby=(SortKey("a", False),))
    cursor = Cursor(digest_of(BY_ID, ordered), ("1", "1"))
    check_cursor(pages_of(BY_ID, ordered), cursor)
    with pytest.raises(InvalidParameter):
        check_cursor(pages_of(BY_ID, replace(ordered, sortby=other)), cursor)


def test_a_cursor_of_another_collection_or_key_is_refused() -> None:
    request = ItemsQuery(limit=5)
    for other in (BY_PAIR, WITHOUT_KEY, replace(BY_ID, id=CollectionId("others"))):
        with pytest.raises(InvalidParameter):
            check_cursor(pages_of(other, request), Cursor(digest_of(BY_ID, request), ("1",)))


@pytest.mark.parametrize("values", [(), ("1", "2"), (None, "1")])
def test_a_forged_cursor_with_too_many_or_too_few_values_is_refused(
    values: tuple[str | None, ...],
) -> None:
    request = ItemsQuery(limit=5)
    with pytest.raises(InvalidParameter):
        check_cursor(pages_of(BY_ID, request), Cursor(digest_of(BY_ID, request), values))


def test_another_page_size_media_type_or_set_of_properties_keeps_the_cursor() -> None:
    request = ItemsQuery(limit=5)
    assert digest_of(BY_ID, request) == digest_of(
        BY_ID, replace(request, limit=9, properties=("a",), count="none")
    )


def test_the_last_page_has_no_next_page() -> None:
    end = PageEnd(3)
    end.take([("f", "1"), ("f", "2"), ("f", "3")])
    request = ItemsQuery(limit=3)
    pages_by_id = pages_of(BY_ID, request)
    assert next_cursor(pages_by_id, request, end, None) is None
    end.take([("f", "4")])
    assert next_cursor(pages_by_id, request, end, 4) == Cursor(
        digest_of(BY_ID, request), ("3",), 3, 4
    )
