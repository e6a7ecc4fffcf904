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
from geosvc.sql.compose import Identifier, Param
from geosvc.values.parsing import check_value
from geosvc.values.temporal import parse_temporal

_MIN_INT8, _MAX_INT8 = -(1 << 63), (1 << 63) - 1
_FLOAT4_LIMIT = Decimal("3.4e38")
_INSTANTS = frozenset({ValueKind.DATE, ValueKind.TIMESTAMP})


def comparable(left: Operand, right: Operand) -> tuple[Operand, Operand]:
    """Return two values that can be compared, a literal as the type of the other value.

    Raises: InvalidFilter where the values cannot be compared.
    """
    if left.literal is not None and right.literal is None:
        right, left = comparable(right, left)
        return left, right
    if right.literal is not None and left.literal is None:
        right = literal_as_type_of(left, right)
    both_instants = left.kind in _INSTANTS and right.kind in _INSTANTS
    if left.kind is not right.kind and not both_instants:
        raise InvalidFilter(
            f"{left.kind.value} cannot be compared with {right.kind.value}", right.node.at
        )
    if left.kind is ValueKind.SCALAR and not _have_same_type(left, right):
        raise InvalidFilter("the two values have different types", right.node.at)
    return left, right


def _have_same_type(left: Operand, right: Operand) -> bool:
    types = set()
    for value in (left, right):
        if value.column is not None:
            types.add((value.column.type_schema, value.column.type_name))
    return len(types) == 1


def literal_as_type_of(other: Operand, literal: Operand) -> Operand:
    """Write a literal as the type of `other`. Raises: InvalidFilter."""
    node = literal.literal
    if isinstance(node, Number) and other.kind is ValueKind.NUMBER:
        return replace(literal, sql=write_number(node.value, other.number_type))
    if isinstance(node, Text):
        if other.kind in _INSTANTS:
            return _parse_instant(node)
        if other.column is not None and other.kind is ValueKind.SCALAR:
            return _cast_text(other.column, literal, node)
    return literal


def write_number(value: Decimal, number_type: NumberType | None) -> Param:
    """Write a number as a parameter of a type that an index on the column can use."""
    if number_type == "float4" and abs(value) < _FLOAT4_LIMIT:
        return Param(float(value), "float4")
    if number_type in ("float4", "float8"):
        return Param(float(value), "float8")
    if number_type == "int8" and _is_int8(value):
        return Param(int(value), "int8")
    return Param(value, "numeric")


def _is_int8(value: Decimal) -> bool:
    return value == value.to_integral_value() and _MIN_INT8 <= value <= _MAX_INT8


def _parse_instant(text: Text) -> Operand:
    """Read a text as a date or a timestamp: people leave out DATE(…) and TIMESTAMP(…)."""
    try:
        start, end = parse_temporal(text.value)
    except ValueError as error:
        raise InvalidFilter(f"{error} was expected", text.at) from None
    if start != end:
        return literal_operand(Date(start.date(), at=text.at))
    return literal_operand(Timestamp(start, at=text.at))


def _cast_text(column: Column, literal: Operand, text: Text) -> Operand:
    try:
        check_value(column, text.value, column.name)
    except InvalidParameter as error:
        raise InvalidFilter(error.detail, text.at) from None
    cast = Identifier(column.type_schema, column.type_name)
    return replace(literal, sql=Param(text.value, "text", cast), kind=ValueKind.SCALAR)
