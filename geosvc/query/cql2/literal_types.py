"""Literals of a filter, written as the type of the value that they are compared with.

An index on a column serves only where the other side of the comparison has the type of the column.
"""

from dataclasses import replace
from decimal import Decimal

from geosvc.cql2.tree import Date, Number, Text, Timestamp
from geosvc.errors import InvalidFilter, InvalidParameter
from geosvc.model.collection import Column
from geosvc.model.queryables import ValueKind
from geosvc.query.cql2.operands import NumberType, Operand, literal_operand
from geosvc.query.sql_parts import type_name
from geosvc.sql.compose import Param
from geosvc.values.parsing import check_value
from geosvc.values.temporal import parse_temporal

_MIN_INT8, _MAX_INT8 = -(1 << 63), (1 << 63) - 1
_FLOAT4_LIMIT = Decimal("3.4e38")
_INSTANTS = frozenset({ValueKind.DATE, ValueKind.TIMESTAMP})


def make_comparable(left: Operand, right: Operand) -> tuple[Operand, Operand]:
    """Return two values that can be compared, a literal as the type of the other value.

    Raises: InvalidFilter where the values cannot be compared.
    """
    if left.literal is not None and right.literal is None:
        left = literal_as_type_of(right, left)
        _check_comparable(right, left)
    else:
        if right.literal is not None and left.literal is None:
            right = literal_as_type_of(left, right)
        _check_comparable(left, right)
    return left, right


def _check_comparable(value: Operand, other: Operand) -> None:
    """Refuse values of different kinds or types. Raises: InvalidFilter.

    Args:
        other: the error has its position.
    """
    are_instants = value.kind in _INSTANTS and other.kind in _INSTANTS
    if value.kind is not other.kind and not are_instants:
        raise InvalidFilter(
            f"{value.kind.value} cannot be compared with {other.kind.value}", other.node.at
        )
    if value.kind is ValueKind.SCALAR and not _have_same_type(value, other):
        raise InvalidFilter("the two values have different types", other.node.at)


def _have_same_type(left: Operand, right: Operand) -> bool:
    """Whether all columns among the values have the same type, and there is a column."""
    types = set()
    for value in (left, right):
        column = value.column
        if column is not None:
            types.add((column.type_schema, column.type_name))
    return len(types) == 1


def literal_as_type_of(other: Operand, literal: Operand) -> Operand:
    """Write a literal as the type of `other`. Raises: InvalidFilter."""
    node = literal.literal
    if isinstance(node, Number) and other.kind is ValueKind.NUMBER:
        number = write_number(node.value, other.number_type)
        return replace(literal, sql=number)
    if not isinstance(node, Text):
        return literal
    if other.kind in _INSTANTS:
        return _parse_instant(node)
    if other.column is not None and other.kind is ValueKind.SCALAR:
        return _cast_text(other.column, literal, node)
    return literal


def write_number(value: Decimal, number_type: NumberType | None) -> Param:
    """Write a number as a parameter of a type that an index on the column can use."""
    is_float4 = number_type == "float4" and abs(value) < _FLOAT4_LIMIT
    if is_float4:
        return Param(float(value), "float4")
    if number_type in ("float4", "float8"):
        return Param(float(value), "float8")
    if number_type == "int8" and _is_int8(value):
        return Param(int(value), "int8")
    return Param(value, "numeric")


def _is_int8(value: Decimal) -> bool:
    is_whole = value == value.to_integral_value()
    return is_whole and _MIN_INT8 <= value <= _MAX_INT8


def _parse_instant(text: Text) -> Operand:
    """Read a text as a date or a timestamp: people leave out DATE(…) and TIMESTAMP(…)."""
    try:
        start, end = parse_temporal(text.value)
    except ValueError as error:
        raise InvalidFilter(f"{error} was expected", text.at) from None
    if start != end:
        date = Date(start.date(), at=text.at)
        return literal_operand(date)
    timestamp = Timestamp(start, at=text.at)
    return literal_operand(timestamp)


def _cast_text(
    column: Column,
    literal: Operand,
    text: Text,
) -> Operand:
    """Write a text that PostgreSQL casts to the type of a column. Raises: InvalidFilter."""
    try:
        check_value(column, text.value, column.name)
    except InvalidParameter as error:
        raise InvalidFilter(error.detail, text.at) from None
    param = Param(text.value, "text", type_name(column))
    return replace(literal, sql=param, kind=ValueKind.SCALAR)
