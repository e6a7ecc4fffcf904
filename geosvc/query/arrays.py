"""How two arrays of a filter relate as sets, in SQL. Source: OGC 21-065r2 7.9."""

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
from geosvc.model.collection import Collection
from geosvc.model.queryables import Queryable, ValueKind
from geosvc.query.operands import find
from geosvc.sql.compose import SQL, Composable, Identifier, Param

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
_KINDS = {
    Text: ValueKind.TEXT,
    Number: ValueKind.NUMBER,
    Boolean: ValueKind.BOOLEAN,
    Date: ValueKind.DATE,
    Timestamp: ValueKind.TIMESTAMP,
}


def relate_arrays(collection: Collection, node: ArrayPredicate) -> Composable:
    """How two arrays relate as sets. Raises: InvalidFilter."""
    left, right = _side(collection, node.left), _side(collection, node.right)
    if isinstance(left, Queryable):
        return _TESTS[node.op].format(a=_column(left), b=_beside(left, right, node.right))
    if isinstance(right, Queryable):
        return _TESTS[_INVERSE[node.op]].format(a=_column(right), b=_beside(right, left, node.left))
    return _relate_literals(node.op, left, right)


def _side(collection: Collection, node: Value) -> Queryable | Array:
    if isinstance(node, Array):
        return node
    found = find(collection, node) if isinstance(node, Property) else None
    if found is None or found.kind is not ValueKind.ARRAY:
        raise InvalidFilter("an array was expected", node.at)
    return found


def _column(found: Queryable) -> Composable:
    return SQL("t.{}").format(Identifier(found.name))


def _beside(column: Queryable, other: Queryable | Array, node: Value) -> Composable:
    """The other array, written as `node`, as the type of the column. Raises: InvalidFilter."""
    if column.column is None or column.elements is None:
        raise TypeError(column)
    if isinstance(other, Queryable):
        if other.column is None or other.column.type_name != column.column.type_name:
            raise InvalidFilter(f"{column.name} and {other.name} are arrays of different types", node.at)
        return SQL('{} COLLATE "C"').format(_column(other)) if column.elements is ValueKind.TEXT else _column(other)
    elements = [_text(element, column) for element in other.elements]
    return Param(elements, "text[]", Identifier(column.column.type_schema, column.column.type_name))


def _text(element: Value, column: Queryable) -> str:
    """An element as PostgreSQL reads it. Raises: InvalidFilter."""
    element = _literal(element)
    if _KINDS[type(element)] is not column.elements:
        raise InvalidFilter(f"{column.name} holds no elements of this kind", element.at)
    if isinstance(element, Number) and column.column is not None and column.column.type_name in ("_int2", "_int4", "_int8"):
        return _whole(element, column)
    if isinstance(element, Boolean):
        return "true" if element.value else "false"
    if isinstance(element, Date | Timestamp):
        return element.value.isoformat()
    return str(element.value)


def _whole(element: Number, column: Queryable) -> str:
    bits = 8 * int(column.column.type_name[-1]) if column.column is not None else 64
    if element.value != element.value.to_integral_value() or not -(1 << (bits - 1)) <= element.value < 1 << (bits - 1):
        raise InvalidFilter(f"{column.name} holds whole numbers of {bits} bits", element.at)
    return str(int(element.value))


def _literal(element: Value) -> Text | Number | Boolean | Date | Timestamp:
    """Raises: InvalidFilter."""
    if not isinstance(element, Text | Number | Boolean | Date | Timestamp):
        raise InvalidFilter("a literal was expected", element.at)
    return element


def _relate_literals(op: ArrayOperator, left: Array, right: Array) -> Composable:
    a, b = _set_of(left), _set_of(right)
    holds = {"equals": a == b, "contains": a >= b, "containedby": a <= b, "overlaps": bool(a & b)}
    return SQL("true") if holds[op] else SQL("false")


def _set_of(array: Array) -> frozenset[Value | frozenset[Any]]:
    """The elements, which are sets themselves where they are arrays. Raises: InvalidFilter."""
    for each in array.elements:
        if isinstance(each, Property | Arithmetic | Folded | Function):
            raise InvalidFilter("a literal was expected", each.at)
    return frozenset(_set_of(each) if isinstance(each, Array) else each for each in array.elements)
