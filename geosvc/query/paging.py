"""Keyset paging: the condition that a page starts after the last feature of the page before it."""

from collections.abc import Sequence
from dataclasses import dataclass

from geosvc.errors import InvalidParameter
from geosvc.model.collection import Collection
from geosvc.model.row import Row
from geosvc.query.sort_order import OrderKey, ends_with_content, order_of, shown_columns
from geosvc.query.sql_parts import all_of, any_of, comma_list
from geosvc.requests.cursor import Cursor, query_digest
from geosvc.requests.items import ItemsQuery
from geosvc.sql.compose import SQL, Composable


def page_start(keys: tuple[OrderKey, ...], query: ItemsQuery) -> tuple[Composable | None, int]:
    """Return where the page starts: a condition, if any, and how many of its rows are skipped."""
    cursor = query.cursor
    if cursor is None:
        return None, query.offset
    if not cursor.after:
        return None, cursor.offset
    if query.trusts_key:
        without_content = (*cursor.after[:-1], None)
        return after_condition(keys, without_content), 0
    return after_condition(keys, cursor.after), cursor.skip


def after_condition(keys: tuple[OrderKey, ...], values: tuple[str | None, ...]) -> Composable:
    """Write the condition that a row comes after the row with these sort values.

    Where the last key is the content, rows with the same values fulfil the condition too, and the
    cursor tells how many of them are skipped. A last page that was ordered by the key alone has no
    value for the content.

    If all keys are ascending and no value is NULL, the condition is a comparison of rows, which an
    index serves. Otherwise it is the same in single comparisons.
    """
    lacks_content = keys[-1].is_content and values[-1] is None
    if lacks_content and len(keys) > 1:
        keys = keys[:-1]
        values = values[:-1]
    if None not in values and _are_ascending(keys):
        return _row_comparison(keys, values)
    alternatives = []
    equal: list[Composable] = []
    for key, text in zip(keys, values, strict=True):
        beyond = _beyond(key, text)
        if beyond is not None:
            alternatives.append(all_of([*equal, beyond]))
        equal.append(_equal(key, text))
    if not alternatives:
        return SQL("false")
    return SQL("({})").format(any_of(alternatives))


def _are_ascending(keys: tuple[OrderKey, ...]) -> bool:
    """Whether all keys are ascending and never NULL."""
    return not any(key.nullable or key.descending for key in keys)


def _row_comparison(keys: tuple[OrderKey, ...], values: tuple[str | None, ...]) -> Composable:
    expressions = []
    params = []
    for key, text in zip(keys, values, strict=True):
        expressions.append(key.expression)
        params.append(key.cursor_param(text))
    template = SQL("({}) > ({})")
    if keys[-1].is_content:
        template = SQL("({}) >= ({})")
    return template.format(comma_list(expressions), comma_list(params))


def _beyond(key: OrderKey, text: str | None) -> Composable | None:
    """Write the condition that a value comes after that of the cursor; None where none can.

    NULLs come last in ascending order and first in descending order.
    """
    if text is None and not key.is_content:
        if not key.descending:
            return None
        return SQL("{} IS NOT NULL").format(key.expression)
    template = SQL("{expression} > {value}")
    if key.is_content:
        template = SQL("{expression} >= {value}")
    elif key.descending:
        template = SQL("{expression} < {value}")
    elif key.nullable:
        template = SQL("({expression} > {value} OR {expression} IS NULL)")
    return template.format(
        expression=key.expression,
        value=key.cursor_param(text),
    )


def _equal(key: OrderKey, text: str | None) -> Composable:
    if text is None:
        return SQL("{} IS NULL").format(key.expression)
    return SQL("{} = {}").format(key.expression, key.cursor_param(text))


def digest_of(collection: Collection, query: ItemsQuery) -> str:
    """Return a digest of a query.

    Two pages with the same digest select the same features in the same order. A condition is a part
    of it only where the request has it, apart from the oldest three: so a new condition leaves the
    cursors of clients valid that page through features while geosvc is updated.
    """
    parts: list[object] = []
    keys = order_of(collection, query)
    if ends_with_content(keys):
        parts += shown_columns(collection, query)
    parts += [collection.id, collection.key]
    parts += [query.bbox, query.interval, query.equals]
    parts += [query.arguments, query.sortby]
    if query.spatial is not None:
        parts.append(query.spatial)
    if query.filter is not None:
        parts.append(query.filter.identity)
    return query_digest(*parts)


@dataclass(frozen=True, slots=True)
class PageSequence:
    """All pages of a query, one after the other: what their cursors have in common.

    Attributes:
        digest: of the query.
        sort_values: how many values order the features.
        has_content: whether the last of them is computed from the content of a row.
    """

    digest: str
    sort_values: int
    has_content: bool


def pages_of(collection: Collection, query: ItemsQuery) -> PageSequence:
    """Return what the cursors of a query have in common."""
    keys = order_of(collection, query)
    return PageSequence(digest_of(collection, query), len(keys), ends_with_content(keys))


def check_cursor(pages: PageSequence, cursor: Cursor) -> None:
    """Check that a cursor belongs to these pages. Raises: InvalidParameter."""
    if cursor.query != pages.digest or len(cursor.after) != pages.sort_values:
        raise InvalidParameter("cursor belongs to another query", parameter="cursor")


def next_cursor(
    pages: PageSequence,
    query: ItemsQuery,
    end: "PageEnd",
    matched: int | None,
) -> Cursor | None:
    """Return the cursor of the next page; None on the last page.

    Args:
        matched: the exact count, so that the next pages do not count again.
    """
    if not end.more or end.last is None:
        return None
    values = tuple(end.last[1 : 1 + pages.sort_values])
    skip = 0
    if pages.has_content and values[-1] is not None:
        skip = _rows_to_skip(query.cursor, end, values)
    return Cursor(
        query=pages.digest,
        after=values,
        offset=features_before(query) + end.returned,
        matched=matched,
        skip=skip,
    )


def _rows_to_skip(
    before: Cursor | None,
    end: "PageEnd",
    values: tuple[str | None, ...],
) -> int:
    """Count the rows that have these sort values and were on this page or on pages before it."""
    all_are_equal = end.equal_at_end == end.returned
    if all_are_equal and before is not None and before.after == values:
        return end.equal_at_end + before.skip
    return end.equal_at_end


def features_before(query: ItemsQuery) -> int:
    """Return how many features the pages before this one have."""
    if query.cursor is not None:
        return query.cursor.offset
    return query.offset


@dataclass(slots=True)
class PageEnd:
    """Follows the batches of a page to its end.

    The statement of a page selects one row more than the page has. This row is left out; it shows
    that there is a next page.

    Attributes:
        limit: how many features the page has; None for no limit.
        returned: how many features were taken so far.
        last: the last of them; its sort values make the cursor.
        more: whether there is a next page.
        equal_at_end: how many of the last features in a row have the sort values of the last one.
    """

    limit: int | None
    returned: int = 0
    last: Row | None = None
    more: bool = False
    equal_at_end: int = 0

    def take(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return the rows of a batch that belong to the page; possibly none."""
        if self.limit is not None:
            missing = self.limit - self.returned
            if len(rows) > missing:
                self.more = True
                rows = rows[:missing]
        if rows:
            self.returned += len(rows)
            self._count_equal(rows)
            self.last = rows[-1]
        return rows

    def _count_equal(self, rows: Sequence[Row]) -> None:
        sort_values = rows[-1][1:]
        equal = 0
        for row in reversed(rows):
            if row[1:] != sort_values:
                break
            equal += 1
        all_are_equal = equal == len(rows)
        before = self.last
        if all_are_equal and before is not None and before[1:] == sort_values:
            equal += self.equal_at_end
        self.equal_at_end = equal
