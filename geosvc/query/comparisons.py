"""How single values of a filter compare, in SQL.

Texts compare by code point whatever the database's collation, as OGC 21-065r2 asks; whether they are equal no collation
changes, so that an index serves. A date and a timestamp compare as days.
"""

from collections.abc import Callable, Mapping
from datetime import date

from geosvc.cql2.tree import Between, Comparison, ComparisonOperator, Date, Folded, In, Like, Text, Timestamp
from geosvc.errors import InvalidFilter
from geosvc.model.collection import Collection
from geosvc.model.queryables import ValueKind
from geosvc.query.moments import write_date, write_day, write_instant
from geosvc.query.operands import Operand, expect, operand, pair
from geosvc.query.texts import equal_to_texts
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
_ARRAYS: Mapping[str, Callable[[list[object]], Param]] = {
    "int8": lambda values: Param(values, "int8[]"),
    "numeric": lambda values: Param(values, "numeric[]"),
    "float4": lambda values: Param(values, "float4[]"),
    "float8": lambda values: Param(values, "float8[]"),
    "bool": lambda values: Param(values, "bool[]"),
    "date": lambda values: Param(values, "date[]"),
    "timestamp": lambda values: Param(values, "timestamp[]"),
    "timestamptz": lambda values: Param(values, "timestamptz[]"),
}
_SWAPPED: Mapping[ComparisonOperator, ComparisonOperator] = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


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
    value, literal = (left, right) if isinstance(right.literal, Text) else (right, left)
    if op == "=" and isinstance(literal.literal, Text):
        return equal_to_texts(value, [literal.literal.value])
    return _OPERATORS[op].format(left.sql, right.sql)


def _compared_times(op: ComparisonOperator, left: Operand, right: Operand) -> Composable:
    if left.kind is right.kind:
        return _OPERATORS[op].format(_instant(left, right), _instant(right, left))
    if left.kind is ValueKind.DATE:
        return _compared_times(_SWAPPED[op], right, left)
    if isinstance(right.literal, Date):
        return _compared_with_day(op, left, right.literal.value)
    if isinstance(left.literal, Timestamp):
        return _OPERATORS[op].format(write_date(left.literal.value.date()), right.sql)
    return _OPERATORS[op].format(SQL("({} AT TIME ZONE 'UTC')::date").format(_zoned(left)), right.sql)


def _zoned(value: Operand) -> Composable:
    naive = value.column is not None and value.column.type_name == "timestamp"
    return SQL("({} AT TIME ZONE 'UTC')").format(value.sql) if naive else value.sql


def _instant(value: Operand, other: Operand) -> Composable:
    """A literal as the type of the column that it is compared with."""
    if isinstance(value.literal, Date | Timestamp):
        return _instant_param(value.literal, other)
    naive = other.column is not None and other.column.type_name == "timestamp"
    return value.sql if naive or other.literal is not None else _zoned(value)


def _instant_param(literal: Date | Timestamp, other: Operand) -> Param:
    return write_instant(literal.value, other.column.type_name if other.column is not None else "")


def _compared_with_day(op: ComparisonOperator, value: Operand, day: date) -> Composable:
    """A timestamp with a day: within it, before it or after it, in terms of its edges, which an index knows."""
    first, beyond = write_day(day, value.column.type_name if value.column is not None else "")
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
    """A value that is one of several; literals of a type are one parameter. Raises: InvalidFilter."""
    value = operand(collection, node.value)
    tests: list[Composable] = []
    texts: list[str] = []
    lists: dict[tuple[str, Identifier | None], list[object]] = {}
    for each in node.among:
        left, right = pair(value, operand(collection, each))
        if isinstance(right.literal, Text) and right.kind is ValueKind.TEXT:
            texts.append(right.literal.value)
        elif (param := _plain_param(left, right)) is not None:
            lists.setdefault((param.type, param.cast), []).append(param.value)
        else:
            tests.append(_compared("=", left, right))
    if texts:
        tests.append(equal_to_texts(value, texts))
    if value.number == "int8" and ("int8", None) in lists:
        lists.pop(("numeric", None), None)  # no whole number, and no index would be used
    tests += [_among_values(value, type_name, cast, values) for (type_name, cast), values in lists.items()]
    return SQL("({})").format(SQL(" OR ").join(tests))


def _plain_param(value: Operand, literal: Operand) -> Param | None:
    """What a value is compared with by `=` as it is; None where there is more to a comparison."""
    if literal.literal is None or value.kind is not literal.kind or value.kind is ValueKind.TEXT:
        return None
    if isinstance(literal.literal, Date | Timestamp):
        return _instant_param(literal.literal, value)
    return literal.sql if isinstance(literal.sql, Param) else None


def _among_values(value: Operand, type_name: str, cast: Identifier | None, values: list[object]) -> Composable:
    sql = _zoned(value) if type_name == "timestamptz" else value.sql
    if cast is not None:
        return SQL("({} = ANY ({}::{}[]))").format(sql, Param(values, "text[]"), cast)
    return SQL("({} = ANY ({}))").format(sql, _ARRAYS[type_name](values))


def like(collection: Collection, node: Like) -> Composable:
    """A text that matches a pattern; a backslash takes the next character as it is. Raises: InvalidFilter."""
    text, pattern = expect(operand(collection, node.text), ValueKind.TEXT), operand(collection, node.pattern)
    inner = node.pattern
    while isinstance(inner, Folded):
        inner = inner.text
    if isinstance(inner, Text) and (len(inner.value) - len(inner.value.rstrip("\\"))) % 2:
        raise InvalidFilter("the pattern ends with a backslash, which takes the next character as it is", inner.at)
    return SQL("({} LIKE {})").format(text.sql, pattern.sql)
