"""The order of features: the ORDER BY clause of a page.

PostgreSQL puts NULLs last in ascending and first in descending order, and so does geosvc: an index
on the column serves.
"""

from dataclasses import dataclass

from geosvc.model.collection import Collection, Column
from geosvc.query.geometry.search_geometry import is_nearest
from geosvc.query.sql_parts import comma_list, row_column, type_name
from geosvc.query.versions import row_number_of
from geosvc.requests.items import ItemsQuery
from geosvc.sql.compose import SQL, Composable, Identifier, Param


@dataclass(frozen=True, slots=True)
class OrderKey:
    """One expression of the ORDER BY clause.

    Attributes:
        type: the type as which values of a cursor are compared.
        nullable: whether the expression may be NULL.
        is_content: whether it is computed from the content of a row. Rows of the same content
            have the same value; their order is arbitrary.
    """

    expression: Composable
    type: Identifier
    descending: bool
    nullable: bool
    is_content: bool = False

    def cursor_param(self, text: str | None) -> Param:
        """Write the value of a cursor as the type of the expression."""
        return Param(text, "text", self.type)


_DISTANCE = OrderKey(
    SQL("d.metres"),
    Identifier("pg_catalog", "float8"),
    descending=False,
    nullable=False,
)
_ADDRESS = OrderKey(
    SQL("t.ctid"),
    Identifier("pg_catalog", "tid"),
    descending=False,
    nullable=False,
)
_TABLE = OrderKey(
    SQL("t.tableoid"),
    Identifier("pg_catalog", "oid"),
    descending=False,
    nullable=False,
)


def order_of(collection: Collection, query: ItemsQuery) -> tuple[OrderKey, ...]:
    """Return what the features are ordered by.

    First the columns of `sortby`, then the key. Where the key does not put all rows in order, the
    address of the row follows, or else a hash of the content that the request shows
    (docs/decisions/0025). A column that the request does not show takes no part: the database may
    be unable to compute its values.

    The result is empty where rows have no order: those of a function, and those of an export, which
    has no pages.
    """
    keys = _sort_keys(collection, query)
    if collection.key_orders_rows:
        return tuple(keys)
    if collection.has_row_address:
        if collection.parts:
            keys.append(_TABLE)
        return (*keys, _ADDRESS)
    if not keys:
        if collection.parameters is not None or query.limit is None:
            return ()
        keys = _first_column(collection)
    return (*keys, _content_key(collection, query))


def _sort_keys(collection: Collection, query: ItemsQuery) -> list[OrderKey]:
    keys = []
    if is_nearest(query.spatial):
        keys.append(_DISTANCE)
    names = set()
    for sort_key in query.sortby:
        names.add(sort_key.name)
        column = collection.by_name[sort_key.name]
        keys.append(_column_key(column, sort_key.descending))
    for column in collection.key_columns:
        if column.ordered and column.name not in names:
            keys.append(_column_key(column, descending=False))
    return keys


def _column_key(column: Column, descending: bool) -> OrderKey:
    return OrderKey(
        row_column(column.name),
        type_name(column),
        descending=descending,
        nullable=not column.not_null,
    )


def _first_column(collection: Collection) -> list[OrderKey]:
    """Order by the first column that has an order: an index may serve it."""
    for column in collection.columns:
        if column.sortable:
            return [_column_key(column, descending=False)]
    return []


def _content_key(collection: Collection, query: ItemsQuery) -> OrderKey:
    number: Composable = SQL("NULL::int8")
    if not query.trusts_key:
        names = shown_columns(collection, query)
        number = row_number_of(names)
    return OrderKey(
        number,
        Identifier("pg_catalog", "int8"),
        descending=False,
        nullable=False,
        is_content=True,
    )


def shown_columns(collection: Collection, query: ItemsQuery) -> list[str]:
    """Return the names of the columns that the features of the request show."""
    if query.properties is None:
        names = [column.name for column in collection.columns]
    else:
        names = list(query.properties)
    if query.geometry.skip:
        return names
    return [collection.geometry.name, *names]


def ends_with_content(keys: tuple[OrderKey, ...]) -> bool:
    """Whether the order ends with the hash of the content of rows."""
    return bool(keys) and keys[-1].is_content


def can_trust_key(collection: Collection, query: ItemsQuery) -> bool:
    """Whether the key alone can order the rows, instead of the key and the content of the rows.

    That is so for a key that the settings name and that had no duplicates when the catalog was
    read. Reading the content, as the order does, can fail by a row that is not on the page.
    """
    if not collection.key or query.trusts_key:
        return False
    keys = order_of(collection, query)
    return ends_with_content(keys)


def order_by_clause(keys: tuple[OrderKey, ...]) -> Composable:
    """Write an ORDER BY clause; nothing without keys."""
    if not keys:
        return SQL("")
    expressions: list[Composable] = []
    for key in keys:
        if key.descending:
            expressions.append(SQL("{} DESC").format(key.expression))
        else:
            expressions.append(key.expression)
    return SQL(" ORDER BY {}").format(comma_list(expressions))
