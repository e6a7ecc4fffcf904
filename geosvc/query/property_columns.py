"""The columns that become properties of a feature, and their values in SQL."""

from geosvc.model.collection import Collection, Column
from geosvc.model.type_names import NUMBERS
from geosvc.query.sql_parts import row_column, type_name
from geosvc.requests.items import ItemsQuery
from geosvc.sql.compose import SQL, Composable

NEVER_QUOTED = NUMBERS | {"bool"}
"""Types whose values are written without quotes in JSON and CSV."""
JAVASCRIPT_UNSAFE = frozenset({"int8", "numeric"})
"""Types of numbers that a double may round."""


def property_columns(collection: Collection, query: ItemsQuery) -> tuple[Column, ...]:
    """Return the columns that become properties, in the order of the table."""
    if query.properties is None:
        return collection.columns
    return tuple(collection.by_name[name] for name in query.properties)


def typed_value(column: Column) -> Composable:
    """Write the value of a column, cast to its own type where it is written without quotes.

    To cast a column to its own type costs nothing. If the column was altered after the catalog was
    read, the cast raises, or the value is written as before (see `query.geometry.expressions`).
    """
    value = row_column(column.name)
    is_builtin = column.type_schema == "pg_catalog"
    if is_builtin and column.type_name in NEVER_QUOTED:
        return SQL("{}::{}").format(value, type_name(column))
    return value


def property_value(column: Column, bigint_as_text: bool) -> Composable:
    """Write the value of a column as a property: bytes as base64.

    Args:
        bigint_as_text: whether numbers that a double may round become texts.
    """
    value = row_column(column.name)
    is_builtin = column.type_schema == "pg_catalog"
    if is_builtin and column.type_name == "bytea":
        # encode() breaks base64 into lines
        return SQL("translate(encode({}, 'base64'), E'\\n', '')").format(value)
    if bigint_as_text and column.type_name in JAVASCRIPT_UNSAFE:
        return SQL("{}::text").format(value)
    return value
