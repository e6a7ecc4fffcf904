"""The order of features and the condition that a page begins after another: keyset paging with ties and NULLs in order.

PostgreSQL puts NULLs last in ascending and first in descending order, and so does geosvc: an index on the column serves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from geosvc.errors import InvalidParameter
from geosvc.model.collection import Collection, Kind
from geosvc.model.row import Row
from geosvc.query.filters import cast_text
from geosvc.query.spatial import is_nearest
from geosvc.requests.cursor import Cursor, query_digest
from geosvc.requests.items import ItemsRequest
from geosvc.sql.compose import SQL, Composable, Identifier, Param


@dataclass(frozen=True, slots=True)
class OrderKey:
    """One expression of the ORDER BY.

    Attributes:
        expression: what is ordered by.
        after: makes the parameter that it is compared with from the cursor's text.
    """

    expression: Composable
    type: Identifier
    descending: bool
    nullable: bool

    def compared(self, text: str | None) -> Param:
        """The cursor's value as the type of the expression."""
        return Param(text, "text", self.type)


_DISTANCE = OrderKey(SQL("d.metres"), Identifier("pg_catalog", "float8"), False, False)


def order_of(collection: Collection, request: ItemsRequest) -> tuple[OrderKey, ...]:
    """What the features are ordered by: the columns asked for, then what tells all rows apart. Empty where there is
    nothing, as in a view without a key.
    """
    keys = [_DISTANCE] if is_nearest(request.spatial) else []
    keys += [
        OrderKey(
            SQL("t.{}").format(Identifier(name)),
            cast_text(column, None).cast or Identifier("text"),
            descending,
            not column.not_null,
        )
        for name, descending in _columns(collection, request)
        for column in (collection.by_name[name],)
    ]
    if collection.key:
        return tuple(keys)
    if collection.kind is Kind.PARTITIONED_TABLE:
        keys.append(OrderKey(SQL("t.tableoid"), Identifier("pg_catalog", "oid"), False, False))
    if collection.has_row_address:
        return (*keys, OrderKey(SQL("t.ctid"), Identifier("pg_catalog", "tid"), False, False))
    return tuple(keys)


def _columns(collection: Collection, request: ItemsRequest) -> list[tuple[str, bool]]:
    asked = [(key.name, key.descending) for key in request.sortby]
    names = {name for name, _ in asked}
    return asked + [(name, False) for name in collection.key if name not in names]


def pages_by_key(collection: Collection) -> bool:
    """Whether rows can be told apart, so that a page can begin after a row rather than after a number of rows."""
    return bool(collection.key) or collection.has_row_address


def order_by(keys: tuple[OrderKey, ...]) -> Composable:
    """An ORDER BY clause, or nothing."""
    if not keys:
        return SQL("")
    return SQL(" ORDER BY {}").format(
        SQL(", ").join(SQL("{} DESC" if key.descending else "{}").format(key.expression) for key in keys)
    )


def _beyond(key: OrderKey, text: str | None) -> Composable | None:
    """Rows whose value comes after the cursor's; None when there are none."""
    if text is None:
        return SQL("{} IS NOT NULL").format(key.expression) if key.descending else None
    if key.descending:
        return SQL("{} < {}").format(key.expression, key.compared(text))
    if key.nullable:
        return SQL("({e} > {v} OR {e} IS NULL)").format(e=key.expression, v=key.compared(text))
    return SQL("{} > {}").format(key.expression, key.compared(text))


def _level(key: OrderKey, text: str | None) -> Composable:
    if text is None:
        return SQL("{} IS NULL").format(key.expression)
    return SQL("{} = {}").format(key.expression, key.compared(text))


def after(keys: tuple[OrderKey, ...], values: tuple[str | None, ...]) -> Composable:
    """A condition: the row comes after the one with these values.

    A row comparison where all keys go the same way and none is NULL, since an index serves it; else the same spelt out.
    """
    if all(not key.nullable and not key.descending for key in keys) and None not in values:
        return SQL("({}) > ({})").format(
            SQL(", ").join(key.expression for key in keys),
            SQL(", ").join(key.compared(text) for key, text in zip(keys, values, strict=True)),
        )
    alternatives = []
    level: list[Composable] = []
    for key, text in zip(keys, values, strict=True):
        beyond = _beyond(key, text)
        if beyond is not None:
            alternatives.append(SQL(" AND ").join([*level, beyond]))
        level.append(_level(key, text))
    return SQL("({})").format(SQL(" OR ").join(alternatives)) if alternatives else SQL("false")


def digest_of(collection: Collection, request: ItemsRequest) -> str:
    """Tells one query from another: two pages with the same digest select the same features in the same order."""
    return query_digest(
        collection.id,
        collection.key,
        request.bbox,
        request.interval,
        request.equals,
        request.arguments,
        request.sortby,
        *(each for each in (request.spatial, request.filter) if each is not None),
    )


def check_cursor(collection: Collection, request: ItemsRequest) -> None:
    """Raises: InvalidParameter when the cursor belongs to another query."""
    cursor = request.cursor
    if cursor is None:
        return
    keys = order_of(collection, request) if pages_by_key(collection) else ()
    if cursor.query != digest_of(collection, request) or len(cursor.after) != len(keys):
        raise InvalidParameter("cursor belongs to another query", parameter="cursor")


def next_cursor(collection: Collection, request: ItemsRequest, end: "PageEnd", matched: int | None) -> Cursor | None:
    """Where the next page begins; None on the last.

    Args:
        matched: the exact count, so that the pages that follow need not count again.
    """
    if not end.more or end.last is None:
        return None
    digest = digest_of(collection, request)
    if pages_by_key(collection):
        return Cursor(digest, tuple(end.last[1:]), matched=matched)
    before = request.cursor.offset if request.cursor is not None else request.offset
    return Cursor(digest, offset=before + end.returned, matched=matched)


@dataclass(slots=True)
class PageEnd:
    """Where a page ends: takes its batches as they come, and leaves out the one row too many that tells of a next page.

    Attributes:
        limit: features of the page; None is no limit.
        returned: features taken so far.
        last: the last of them, whose sort values make the cursor.
        more: whether there is a next page.
    """

    limit: int | None
    returned: int = 0
    last: Row | None = None
    more: bool = False

    def take(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The rows of a batch that belong to the page; possibly none."""
        if self.limit is not None and self.returned + len(rows) > self.limit:
            self.more = True
            rows = rows[: self.limit - self.returned]
        if rows:
            self.returned += len(rows)
            self.last = rows[-1]
        return rows
