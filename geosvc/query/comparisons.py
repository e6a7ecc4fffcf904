"""How single values of a filter compare, in SQL.

Texts compare by code point whatever the database's collation, as OGC 21-065r2 asks; whether they are equal no collation
changes, so that an index serves. A date and a timestamp compare as days.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from geosvc.cql2.tree import Between, Comparison, ComparisonOperator, Date, Folded, In, Like, Number, Scalar, Text, Timestamp
from geosvc.errors import InvalidFilter
from geosvc.model.collection import Collection
from geosvc.model.queryables import ValueKind
from geosvc.query.operands import Operand, expect, operand, pair, write_instant
from geosvc.sql.compose import SQL, Composable, Identifier, Param

_OPERATORS: Mapping[ComparisonOperator, SQL] = {
    "=": SQL("({} = {})"),
    "<>": SQL("({} <> {})"),
    "<": SQL("({} < {})"),
    "<=": SQL("({} <= {})"),
    ">": SQL("({} > {})"),
    ">=": SQL("({} >= {})"),
}
_BY_CODE_POINT: Mapping[ComparisonOperator, SQL] = {
    "=": SQL('({} = {} COLLATE "C")'),
    "<>": SQL('({} <> {} COLLATE "C")'),
    "<": SQL('({} < {} COLLATE "C")'),
    "<=": SQL('({} <= {} COLLATE "C")'),
    ">": SQL('({} > {} COLLATE "C")'),
    ">=": SQL('({} >= {} COLLATE "C")'),
}
_SWAPPED: Mapping[ComparisonOperator, ComparisonOperator] = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_DAY = timedelta(days=1)


def compare(collection: Collection, node: Comparison) -> Composable:
    """A comparison. Raises: InvalidFilter."""
    return _compared(node.op, operand(collection, node.left), operand(collection, node.right))


def _compared(op: ComparisonOperator, left: Operand, right: Operand) -> Composable:
    left, right = pair(left, right)
    if left.kind is ValueKind.TEXT:
        return _compared_texts(op, left, right)
    if left.kind in (ValueKind.DATE, ValueKind.TIMESTAMP):
        return _compared_times(op, left, right)
    return _OPERATORS[op].format(left.sql, right.sql)


def _compared_texts(op: ComparisonOperator, left: Operand, right: Operand) -> Composable:
    if op not in ("=", "<>") or left.literal is right.literal is None:
        return _BY_CODE_POINT[op].format(left.sql, right.sql)
    column, value = (left, right) if left.column is not None else (right, left)
    if column.column is not None and isinstance(value.literal, Text) and _has_own_equality(column, value.literal.value):
        cast = Identifier(column.column.type_schema, column.column.type_name)
        bare = SQL("t.{}").format(Identifier(column.column.name))
        return _OPERATORS[op].format(bare, Param(value.literal.value, "text", cast))
    return _OPERATORS[op].format(left.sql, right.sql)


def _has_own_equality(column: Operand, value: str) -> bool:
    """Enums with this label, and char(n): an index on them knows no text."""
    typed = column.column
    return typed is not None and (typed.type_name == "bpchar" or (typed.enum is not None and value in typed.enum))


def _compared_times(op: ComparisonOperator, left: Operand, right: Operand) -> Composable:
    if left.kind is right.kind:
        return _OPERATORS[op].format(_instant(left, right), _instant(right, left))
    if left.kind is ValueKind.DATE:
        return _compared_times(_SWAPPED[op], right, left)
    if isinstance(right.literal, Date):
        return _compared_with_day(op, left, right.literal.value)
    if isinstance(left.literal, Timestamp):
        return _OPERATORS[op].format(Param(left.literal.value.date(), "date"), right.sql)
    return _OPERATORS[op].format(SQL("({} AT TIME ZONE 'UTC')::date").format(_zoned(left)), right.sql)


def _zoned(value: Operand) -> Composable:
    naive = value.column is not None and value.column.type_name == "timestamp"
    return SQL("({} AT TIME ZONE 'UTC')").format(value.sql) if naive else value.sql


def _instant(value: Operand, other: Operand) -> Composable:
    """A literal as the type of the column that it is compared with."""
    if isinstance(value.literal, Date | Timestamp):
        return write_instant(value.literal.value, other.column.type_name if other.column is not None else "")
    naive = other.column is not None and other.column.type_name == "timestamp"
    return value.sql if naive or other.literal is not None else _zoned(value)


def _compared_with_day(op: ComparisonOperator, value: Operand, day: date) -> Composable:
    """A timestamp with a day: within it, before it or after it, in terms of its edges, which an index knows."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if day == date.max:
        raise InvalidFilter("the day is the last of the calendar", value.node.at)
    type_name = value.column.type_name if value.column is not None else ""
    first, beyond = write_instant(start, type_name), write_instant(start + _DAY, type_name)
    if op == "=":
        return SQL("({v} >= {first} AND {v} < {beyond})").format(v=value.sql, first=first, beyond=beyond)
    if op == "<>":
        return SQL("({v} < {first} OR {v} >= {beyond})").format(v=value.sql, first=first, beyond=beyond)
    if op in ("<", ">="):
        return _OPERATORS[op].format(value.sql, first)
    return _OPERATORS["<" if op == "<=" else ">="].format(value.sql, beyond)


def between(collection: Collection, node: Between) -> Composable:
    """A value between two. Raises: InvalidFilter."""
    value, low, high = (operand(collection, each) for each in (node.value, node.low, node.high))
    return SQL("({} AND {})").format(_compared(">=", value, low), _compared("<=", value, high))


def among(collection: Collection, node: In) -> Composable:
    """A value that is one of several; a list of literals is one parameter. Raises: InvalidFilter."""
    value = operand(collection, node.value)
    whole = _listed(value, node.among)
    if whole is not None:
        return SQL("({} = ANY ({}))").format(value.sql, whole)
    tests = [_compared("=", value, operand(collection, each)) for each in node.among]
    return SQL("({})").format(SQL(" OR ").join(tests))


def _listed(value: Operand, nodes: Sequence[Scalar]) -> Composable | None:
    """Literals as an array of the type of a column; None where they are no such."""
    if value.column is None:
        return None
    texts = [each.value for each in nodes if isinstance(each, Text)]
    if value.kind is ValueKind.TEXT and len(texts) == len(nodes) and value.column.type_name in ("text", "varchar"):
        return Param(texts, "text[]")
    numbers = [each.value for each in nodes if isinstance(each, Number)]
    if value.kind is not ValueKind.NUMBER or len(numbers) != len(nodes):
        return None
    if value.number == "int8" and all(abs(each) < 1 << 63 and each == each.to_integral_value() for each in numbers):
        return Param([int(each) for each in numbers], "int8[]")
    if value.number == "float8":
        return Param([float(each) for each in numbers], "float8[]")
    return Param(numbers, "numeric[]") if value.number == "numeric" else None


def like(collection: Collection, node: Like) -> Composable:
    """A text that matches a pattern; a backslash takes the next character as it is. Raises: InvalidFilter."""
    text, pattern = expect(operand(collection, node.text), ValueKind.TEXT), operand(collection, node.pattern)
    inner = node.pattern
    while isinstance(inner, Folded):
        inner = inner.text
    if isinstance(inner, Text) and (len(inner.value) - len(inner.value.rstrip("\\"))) % 2:
        raise InvalidFilter("the pattern ends with a backslash, which takes the next character as it is", inner.at)
    return SQL("({} LIKE {})").format(text.sql, pattern.sql)
