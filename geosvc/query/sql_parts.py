"""Small parts that many statements share. The row of the collection is called `t`."""

from collections.abc import Iterable

from geosvc.model.collection import Collection, TypedName
from geosvc.sql.compose import SQL, Composable, Composed, Identifier


def row_column(name: str) -> Composed:
    """Write a column of the row `t`."""
    return SQL("t.{}").format(Identifier(name))


def row_columns(names: Iterable[str]) -> Composed:
    """Write columns of the row `t`, with commas between them."""
    return comma_list(row_column(name) for name in names)


def relation_name(collection: Collection) -> Identifier:
    """Return the name of the table, view or function."""
    return Identifier(collection.schema, collection.name)


def type_name(typed: TypedName) -> Identifier:
    """Return the name of the type of a column or a parameter."""
    return Identifier(typed.type_schema, typed.type_name)


def all_of(conditions: Iterable[Composable]) -> Composed:
    """Join conditions with AND, without parentheses."""
    return SQL(" AND ").join(conditions)


def any_of(conditions: Iterable[Composable]) -> Composed:
    """Join conditions with OR, without parentheses."""
    return SQL(" OR ").join(conditions)


def comma_list(parts: Iterable[Composable]) -> Composed:
    """Join parts with commas."""
    return SQL(", ").join(parts)
