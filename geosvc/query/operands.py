"""Single values of a filter in SQL: typed, so that what cannot be compared is refused before the database sees it, and
literals written as the type of what they are compared with, so that an index on the column serves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from geosvc.cql2.tree import (
    Arithmetic,
    Boolean,
    Date,
    Folded,
    Function,
    Node,
    Number,
    Property,
    Scalar,
    Text,
    Timestamp,
)
from geosvc.errors import InvalidFilter, InvalidParameter
from geosvc.model.collection import Collection, Column
from geosvc.model.queryables import Queryable, ValueKind, queryable
from geosvc.query.folding import without_accents, without_case
from geosvc.query.functions import FUNCTIONS
from geosvc.query.moments import write_date, write_timestamp
from geosvc.requests.temporal import parse_temporal
from geosvc.requests.values import check_value
from geosvc.sql.compose import SQL, Composable, Identifier, Param

_INT8 = (-(1 << 63), (1 << 63) - 1)
_FLOAT4_LIMIT = Decimal("3.4e38")
_PLAIN_TEXTS = frozenset({"text", "varchar"})
NumberType = Literal["int8", "numeric", "float4", "float8"]
_NUMBER_TYPES: dict[str, NumberType] = {"float4": "float4", "float8": "float8", "numeric": "numeric"}
_ARITHMETIC = {"+": SQL("({} + {})"), "-": SQL("({} - {})"), "*": SQL("({} * {})"), "/": SQL("({} / nullif({}, 0))")}
_INTEGER_DIVISION = {
    "numeric": SQL("div({}, nullif({}, 0))"),
    "float8": SQL("trunc({} / nullif({}, 0))"),
}
_REMAINDER = SQL("({}::numeric % nullif({}::numeric, 0))")
# functions refuse texts of different collations, and of those by which different texts are equal
_BY_CODE_POINT = SQL('({} COLLATE "C")')
# not every day has a timestamp; those beyond them all are as far as infinity
_MIDNIGHT = SQL("(CASE WHEN {d} > '294276-12-30' THEN 'infinity' ELSE {d}::timestamp END)")
_POWER = SQL("CASE WHEN {x} = 0 AND {y} < 0 OR {x} < 0 AND {y} <> floor({y}) THEN NULL ELSE power({x}, {y}) END")


@dataclass(frozen=True, slots=True)
class Operand:
    """A single value.

    Attributes:
        sql: its text, whatever it is compared with.
        column: of a bare property.
        literal: of a literal.
        number: the type of a number that is no literal.
    """

    sql: Composable
    kind: ValueKind
    node: Node
    column: Column | None = None
    literal: Text | Number | Boolean | Date | Timestamp | None = None
    number: NumberType | None = None


def find(collection: Collection, node: Property) -> Queryable:
    """The property of this name. Raises: InvalidFilter."""
    found = queryable(collection, node.name)
    if found is None:
        column = collection.by_name.get(node.name)
        reason = f"cannot be filtered by: {node.name!r} is {column.type}" if column else f"has no property {node.name!r}"
        raise InvalidFilter(f"{collection.id} {reason}", node.at)
    return found


_LITERALS: Mapping[type, tuple[Callable[[Any], Param], ValueKind]] = {
    Text: (lambda value: Param(value, "text"), ValueKind.TEXT),
    Number: (lambda value: Param(value, "numeric"), ValueKind.NUMBER),
    Boolean: (lambda value: Param(value, "bool"), ValueKind.BOOLEAN),
    Date: (write_date, ValueKind.DATE),
    Timestamp: (lambda value: write_timestamp(value, "timestamptz"), ValueKind.TIMESTAMP),
}


def operand(collection: Collection, node: Scalar) -> Operand:
    """A single value. Raises: InvalidFilter."""
    if isinstance(node, Property):
        return _property(collection, node)
    if isinstance(node, Arithmetic):
        return _arithmetic(collection, node)
    if isinstance(node, Folded):
        text = expect(operand(collection, node.text), ValueKind.TEXT)
        fold = without_case if node.what == "casei" else without_accents
        return Operand(fold(text.sql), ValueKind.TEXT, node)
    if isinstance(node, Function):
        return _function(collection, node)
    return operand_of(node)


def operand_of(literal: Text | Number | Boolean | Date | Timestamp) -> Operand:
    """A literal."""
    write, kind = _LITERALS[type(literal)]
    return Operand(write(literal.value), kind, literal, literal=literal)


def expect(value: Operand, kind: ValueKind) -> Operand:
    """The value, if it is of this kind. Raises: InvalidFilter."""
    if value.kind is not kind:
        raise InvalidFilter(f"{kind.value} was expected, not {value.kind.value}", value.node.at)
    return value


def _property(collection: Collection, node: Property) -> Operand:
    found = find(collection, node)
    if found.column is None or found.kind is ValueKind.ARRAY:
        raise InvalidFilter(f"{node.name!r} is {found.kind.value}, and a single value was expected", node.at)
    sql: Composable = SQL("t.{}").format(Identifier(node.name))
    if found.kind is ValueKind.TEXT:
        if found.column.type_name not in _PLAIN_TEXTS:
            sql = SQL("{}::text").format(sql)
        if not found.column.deterministic:
            sql = _BY_CODE_POINT.format(sql)
    number = _NUMBER_TYPES.get(found.column.type_name, "int8") if found.kind is ValueKind.NUMBER else None
    if found.column.type_name == "oid":
        sql = SQL("{}::int8").format(sql)
    return Operand(sql, found.kind, node, column=found.column, number=number)


def _function(collection: Collection, node: Function) -> Operand:
    function = FUNCTIONS.get(node.name.lower())
    if function is None:
        raise InvalidFilter(f"there is no function {node.name!r}; GET /functions lists them", node.at)
    if len(node.args) != len(function.takes):
        raise InvalidFilter(f"{function.name} takes {len(function.takes)} arguments, not {len(node.args)}", node.at)
    args = []
    number: NumberType = "numeric"
    for arg, kind in zip(node.args, function.takes, strict=True):
        if not isinstance(arg, Scalar):
            raise InvalidFilter(f"{kind.value} was expected", arg.at)
        value = operand(collection, arg)
        if kind is ValueKind.NUMBER:
            number = "float8" if expect(value, kind).number in ("float4", "float8") else "numeric"
            args.append(_as(value, number))
        else:
            args.append(_utc(value) if kind is ValueKind.TIMESTAMP else _argument(expect(value, kind)))
    return Operand(
        function.sql.format(*args), function.returns, node, number=number if function.returns is ValueKind.NUMBER else None
    )


def _argument(value: Operand) -> Composable:
    return _BY_CODE_POINT.format(value.sql) if value.kind is ValueKind.TEXT else value.sql


def midnight(day: Composable) -> Composable:
    """When a day begins, as a timestamp without a zone."""
    return _MIDNIGHT.format(d=day)


def _utc(value: Operand) -> Composable:
    """An instant as timestamptz: those without a zone are UTC, and days begin at midnight. Raises: InvalidFilter."""
    if value.kind is ValueKind.DATE:
        return SQL("({} AT TIME ZONE 'UTC')").format(midnight(value.sql))
    if value.column is not None and value.column.type_name == "timestamp":
        return SQL("({} AT TIME ZONE 'UTC')").format(value.sql)
    return expect(value, ValueKind.TIMESTAMP).sql


def _arithmetic(collection: Collection, node: Arithmetic) -> Operand:
    left, right = (expect(operand(collection, each), ValueKind.NUMBER) for each in (node.left, node.right))
    floating = "float8" if {"float4", "float8"} & {left.number, right.number} or node.op == "^" else "numeric"
    x, y = (_as(each, floating) for each in (left, right))
    result: NumberType = "float8" if floating == "float8" else "numeric"
    if node.op == "^":
        sql = SQL("(SELECT {} FROM (SELECT {} AS x, {} AS y OFFSET 0) p)").format(
            _POWER.format(x=SQL("p.x"), y=SQL("p.y")), x, y
        )
    elif node.op == "%":
        sql, result = _REMAINDER.format(x, y), "numeric"
    elif node.op == "div":
        sql = _INTEGER_DIVISION[floating].format(x, y)
    else:
        sql = _ARITHMETIC[node.op].format(x, y)
    return Operand(sql, ValueKind.NUMBER, node, number=result)


def _as(value: Operand, floating: str) -> Composable:
    """A number as the type that is calculated with; whole numbers as numeric, which cannot overflow."""
    if isinstance(value.literal, Number):
        return Param(float(value.literal.value), "float8") if floating == "float8" else value.sql
    if floating == "float8":
        return value.sql if value.number == "float8" else SQL("{}::float8").format(value.sql)
    return value.sql if value.number == "numeric" else SQL("{}::numeric").format(value.sql)


def pair(left: Operand, right: Operand) -> tuple[Operand, Operand]:
    """Two values that can be compared; a literal is written as the type of the other. Raises: InvalidFilter."""
    if left.literal is not None and right.literal is None:
        right, left = pair(right, left)
        return left, right
    if right.literal is not None and left.literal is None:
        right = fitted(left, right)
    if left.kind is not right.kind and {left.kind, right.kind} != {ValueKind.DATE, ValueKind.TIMESTAMP}:
        raise InvalidFilter(f"{left.kind.value} cannot be compared with {right.kind.value}", right.node.at)
    if left.kind is ValueKind.SCALAR is right.kind and not _same_type(left, right):
        raise InvalidFilter("the two are of different types", right.node.at)
    return left, right


def _same_type(left: Operand, right: Operand) -> bool:
    types = {(each.column.type_schema, each.column.type_name) for each in (left, right) if each.column is not None}
    return len(types) == 1


def fitted(other: Operand, literal: Operand) -> Operand:
    """A literal as the type of `other`. Raises: InvalidFilter."""
    value = literal.literal
    if isinstance(value, Number) and other.kind is ValueKind.NUMBER:
        return replace(literal, sql=write_number(value.value, other.number))
    if isinstance(value, Text):
        return _fitted_text(other, literal, value)
    return literal


def write_number(value: Decimal, number: NumberType | None) -> Param:
    """A number as a parameter of the type that an index knows."""
    if number == "float4" and abs(value) < _FLOAT4_LIMIT:
        return Param(float(value), "float4")
    if number in ("float4", "float8"):
        return Param(float(value), "float8")
    if number == "int8" and value == value.to_integral_value() and _INT8[0] <= value <= _INT8[1]:
        return Param(int(value), "int8")
    return Param(value, "numeric")


def _fitted_text(other: Operand, literal: Operand, value: Text) -> Operand:
    if other.kind in (ValueKind.DATE, ValueKind.TIMESTAMP):
        # quotes without DATE or TIMESTAMP, as people write them
        try:
            start, end = parse_temporal(value.value)
        except ValueError as error:
            raise InvalidFilter(f"{error} was expected", value.at) from None
        if start != end:
            return operand_of(Date(start.date(), at=value.at))
        return operand_of(Timestamp(start, at=value.at))
    if other.column is None:
        return literal
    if other.kind is ValueKind.SCALAR:
        try:
            check_value(other.column, value.value, other.column.name)
        except InvalidParameter as error:
            raise InvalidFilter(error.detail, value.at) from None
        cast = Identifier(other.column.type_schema, other.column.type_name)
        return replace(literal, sql=Param(value.value, "text", cast), kind=ValueKind.SCALAR)
    return literal
