"""Keyset paging: the condition that a page starts after the last feature of the page before it."""

from collections.abc import Sequence
from dataclasses import dataclass

from geosvc.errors import InvalidParameter
from geosvc.model.collection import Collection
from geosvc.model.row import Row
from geosvc.query.sort_order import OrderKey, ends_with_content, order_of, shown_columns
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
        return after(keys, (*cursor.after[:-1], None)), 0
    return after(keys, cursor.after), cursor.skip


def after(keys: tuple[OrderKey, ...], values: tuple[str | None, ...]) -> Composable:
    """Write the condition that a row comes after the row with these sort values.

    Where the last key is the content, rows with the same values fulfil the condition too, and the
    cursor tells how many of them are skipped. A last page that was ordered by the key alone has no
    value for the content.

    If all keys are ascending and no value is NULL, the condition is a comparison of rows, which an
    index serves. Otherwise it is the same in single comparisons.
    """
    if keys[-1].shared and values[-1] is None and len(keys) > 1:
        keys, values = keys[:-1], values[:-1]
    if None not in values and all(not key.nullable and not key.descending for key in keys):
        return _row_comparison(keys, values)
    alternatives = []
    equal: list[Composable] = []
    for key, text in zip(keys, values, strict=True):
        beyond = _beyond(key, text)
        if beyond is not None:
            alternatives.append(SQL(" AND ").join([*equal, beyond]))
        equal.append(_equal(key, text))
    if not alternatives:
        return SQL("false")
    return SQL("({})").format(SQL(" OR ").join(alternatives))


def _row_comparison(keys: tuple[OrderKey, ...], values: tuple[str | None, ...]) -> Composable:
    expressions = SQL(", ").join(key.expression for key in keys)
    compared = SQL(", ").join(key.compared(text) for key, text in zip(keys, values, strict=True))
    if keys[-1].shared:
        return SQL("({}) >= ({})").format(expressions, compared)
    return SQL("({}) > ({})").format(expressions, compared)


def _beyond(key: OrderKey, text: str | None) -> Composable | None:
    """Write the condition that a value comes after that of the cursor; None where none can."""
    if key.shared:
        return SQL("{} >= {}").format(key.expression, key.compared(text))
    if text is None and not key.descending:
        return None
    if text is None:
        return SQL("{} IS NOT NULL").format(key.expression)
    if key.descending:
        return SQL("{} < {}").format(key.expression, key.compared(text))
    if key.nullable:
        return SQL("({e} > {v} OR {e} IS NULL)").format(e=key.expression, v=key.compared(text))
    return SQL("{} > {}").format(key.expression, key.compared(text))


def _equal(key: OrderKey, text: str | None) -> Composable:
    if text is None:
        return SQL("{} IS NULL").format(key.expression)
    return SQL("{} = {}").format(key.expression, key.compared(text))


def digest_of(collection: Collection, query: ItemsQuery) -> str:
    """Return a digest of a query.

    Two pages with the same digest select the same features in the same order.
    """
    parts: list[object] = []
    if ends_with_content(order_of(collection, query)):
        parts += shown_columns(collection, query)
    parts += [collection.id, collection.key, query.bbox, query.interval]
    parts += [query.equals, query.arguments, query.sortby]
    for optional in (query.spatial, query.filter):
        if optional is not None:
            parts.append(optional)
    return query_digest(*parts)


def check_cursor(collection: Collection, query: ItemsQuery) -> None:
    """Check that the cursor belongs to the query. Raises: InvalidParameter."""
    cursor = query.cursor
    if cursor is None:
        return
    keys = order_of(collection, query)
    if cursor.query != digest_of(collection, query) or len(cursor.after) != len(keys):
        raise InvalidParameter("cursor belongs to another query", parameter="cursor")


def next_cursor(
    collection: Collection, query: ItemsQuery, end: "PageEnd", matched: int | None
) -> Cursor | None:
    """Return the cursor of the next page; None on the last page.

    Args:
        matched: the exact count, so that the next pages do not count again.
    """
    if not end.more or end.last is None:
        return None
    keys = order_of(collection, query)
    values = tuple(end.last[1 : 1 + len(keys)])
    skip = 0
    if ends_with_content(keys) and values[-1] is not None:
        skip = _rows_to_skip(query.cursor, end, values)
    offset = features_before(query) + end.returned
    return Cursor(digest_of(collection, query), values, offset, matched, skip)


def _rows_to_skip(before: Cursor | None, end: "PageEnd", values: tuple[str | None, ...]) -> int:
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
        if self.limit is not None and self.returned + len(rows) > self.limit:
            self.more = True
            rows = rows[: self.limit - self.returned]
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
        if all_are_equal and self.last is not None and self.last[1:] == sort_values:
            equal += self.equal_at_end
        self.equal_at_end = equal
