"""Comparisons of two arrays of a filter as sets, in SQL. Source: OGC 21-065r2 7.9."""

from collections.abc import Mapping
from typing import Any

from geosvc.cql2.tree import (
    Arithmetic,
    Array,
    ArrayOperator,
    ArrayPredicate,
    Boolean,
    Date,
    Folded,
    Function,
    Number,
    Property,
    Text,
    Timestamp,
    Value,
)
from geosvc.errors import InvalidFilter
from geosvc.model.collection import Column
from geosvc.model.queryables import Queryable, ValueKind
from geosvc.query.cql2.filter_scope import FilterScope
from geosvc.query.cql2.operands import LiteralNode, find_queryable
from geosvc.query.sql_parts import row_column, type_name
from geosvc.sql.compose import SQL, Composable, Param

_TESTS: Mapping[ArrayOperator, SQL] = {
    "equals": SQL("({a} @> {b} AND {a} <@ {b})"),
    "contains": SQL("({a} @> {b})"),
    "containedby": SQL("({a} <@ {b})"),
    "overlaps": SQL("({a} && {b})"),
}
_INVERSE: Mapping[ArrayOperator, ArrayOperator] = {
    "equals": "equals",
    "contains": "containedby",
    "containedby": "contains",
    "overlaps": "overlaps",
}
_KINDS: Mapping[type[LiteralNode], ValueKind] = {
    Text: ValueKind.TEXT,
    Number: ValueKind.NUMBER,
    Boolean: ValueKind.BOOLEAN,
    Date: ValueKind.DATE,
    Timestamp: ValueKind.TIMESTAMP,
}
_INTEGER_BITS = {"_int2": 16, "_int4": 32, "_int8": 64}


def relate_arrays(scope: FilterScope, node: ArrayPredicate) -> Composable:
    """Write the comparison of two arrays as sets. Raises: InvalidFilter."""
    left = _operand(scope, node.left)
    right = _operand(scope, node.right)
    if isinstance(left, Queryable):
        other = _as_type_of(left, right, node.right)
        return _TESTS[node.op].format(a=row_column(left.name), b=other)
    if isinstance(right, Queryable):
        other = _as_type_of(right, left, node.left)
        inverse = _INVERSE[node.op]
        return _TESTS[inverse].format(a=row_column(right.name), b=other)
    if _holds(node.op, left, right):
        return SQL("true")
    return SQL("false")


def _operand(scope: FilterScope, node: Value) -> Queryable | Array:
    if isinstance(node, Array):
        return node
    if isinstance(node, Property):
        found = find_queryable(scope.collection, node)
        if found.kind is ValueKind.ARRAY:
            return found
    raise InvalidFilter("an array was expected", node.at)


def _as_type_of(
    array: Queryable,
    other: Queryable | Array,
    node: Value,
) -> Composable:
    """Write the other array as the type of this one.

    Args:
        node: the node of the other array.
    Raises: InvalidFilter.
    """
    column = array.column
    if column is None or array.elements is None:
        raise TypeError(array)
    if isinstance(other, Array):
        texts: list[str] = []
        for element in other.elements:
            texts.append(_element_text(element, column, array.elements))
        return Param(texts, "text[]", type_name(column))
    if other.column is None or other.column.type_name != column.type_name:
        raise InvalidFilter(f"{array.name} and {other.name} are arrays of different types", node.at)
    value = row_column(other.name)
    if array.elements is ValueKind.TEXT:
        return SQL('{} COLLATE "C"').format(value)
    return value


def _holds(op: ArrayOperator, left: Array, right: Array) -> bool:
    """Compare two literals. Raises: InvalidFilter."""
    first = _set_of(left)
    second = _set_of(right)
    if op == "equals":
        return first == second
    if op == "contains":
        return first >= second
    if op == "containedby":
        return first <= second
    return bool(first & second)


def _element_text(
    node: Value,
    column: Column,
    kind: ValueKind,
) -> str:
    """Write an element as PostgreSQL reads it. Raises: InvalidFilter."""
    element = _literal(node)
    if _KINDS[type(element)] is not kind:
        raise InvalidFilter(f"{column.name} holds no elements of this kind", element.at)
    if isinstance(element, Number) and column.type_name in _INTEGER_BITS:
        return _integer_text(element, column)
    if isinstance(element, Boolean):
        return "true" if element.value else "false"
    if isinstance(element, Date | Timestamp):
        return element.value.isoformat()
    return str(element.value)


def _integer_text(element: Number, column: Column) -> str:
    bits = _INTEGER_BITS[column.type_name]
    limit = 1 << (bits - 1)
    is_whole = element.value == element.value.to_integral_value()
    if not is_whole or not -limit <= element.value < limit:
        raise InvalidFilter(f"{column.name} holds whole numbers of {bits} bits", element.at)
    return str(int(element.value))


def _literal(element: Value) -> LiteralNode:
    """Return an element that is a literal. Raises: InvalidFilter."""
    if not isinstance(element, LiteralNode):
        raise InvalidFilter("a literal was expected", element.at)
    return element


def _set_of(array: Array) -> frozenset[Value | frozenset[Any]]:
    """Return the elements as a set; an element that is an array becomes a set as well.

    Raises: InvalidFilter.
    """
    elements: set[Value | frozenset[Any]] = set()
    for element in array.elements:
        if isinstance(element, Property | Arithmetic | Folded | Function):
            raise InvalidFilter("a literal was expected", element.at)
        if isinstance(element, Array):
            elements.add(_set_of(element))
        else:
            elements.add(element)
    return frozenset(elements)
