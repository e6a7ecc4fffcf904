"""The values of properties in a tile: texts, numbers and booleans. Source: MVT 2.1 4.4.

ST_AsMVT writes these types as they are, makes a property of each member of a jsonb, and writes
every other type as its output function does. So everything else is cast first: to the text that
GeoJSON has for it, or to JSON.
"""

from geosvc.model.collection import Column
from geosvc.query.property_columns import JAVASCRIPT_UNSAFE, property_value, typed_value
from geosvc.query.value_texts import is_doubtful, printed
from geosvc.sql.compose import SQL, Composable

_WRITTEN_AS_THEY_ARE = frozenset({"bool", "int2", "int4", "int8", "float4", "float8", "text"})
_LARGEST_DOUBLE = SQL("1e308")


def tile_value(column: Column, bigint_as_text: bool) -> Composable:
    """Write the value of a column of the row `t` for ST_AsMVT.

    Args:
        bigint_as_text: whether numbers that a double may round become texts.
    """
    if bigint_as_text and column.type_name in JAVASCRIPT_UNSAFE:
        return property_value(column, bigint_as_text=True)
    if is_doubtful(column):
        return _json_text(property_value(column, bigint_as_text=False))
    if column.type_name in _WRITTEN_AS_THEY_ARE:
        return typed_value(column)
    if column.type_name == "numeric":
        return SQL("CASE WHEN abs({v}) < {most} THEN {v}::float8 END").format(
            v=typed_value(column), most=_LARGEST_DOUBLE
        )
    if column.type_name == "bytea":
        return property_value(column, bigint_as_text=False)
    return _json_text(property_value(column, bigint_as_text=False))


def printed_value(column: Column) -> Composable:
    """Write the value of a column as its type prints it, which never fails."""
    return printed(property_value(column, bigint_as_text=False))


def _json_text(value: Composable) -> Composable:
    """Write a value as GeoJSON has it: a text without quotes; arrays and objects as JSON."""
    return SQL("to_json({}) #>> '{{}}'").format(value)
