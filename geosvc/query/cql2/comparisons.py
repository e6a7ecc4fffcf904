"""Comparisons of single values of a filter, in SQL.

Texts are compared by code point, as OGC 21-065r2 requires, whatever the collation of the database.
The operator = gives the same result in every deterministic collation, so an index serves it. A date
and a timestamp are compared as days.
"""

from collections.abc import Callable, Mapping
from datetime import date

from geosvc.cql2.tree import (
    Between,
    Comparison,
    ComparisonOperator,
    Date,
    Folded,
    In,
    Like,
    Text,
    Timestamp,
)
from geosvc.errors import InvalidFilter, InvalidParameter
from geosvc.model.queryables import ValueKind
from geosvc.query.cql2.filter_scope import FilterScope
from geosvc.query.cql2.literal_types import make_comparable
from geosvc.query.cql2.operands import Operand, operand, require_kind
from geosvc.query.cql2.text_equality import equal_to_texts
from geosvc.query.cql2.timestamp_params import write_date, write_day, write_instant
from geosvc.query.sql_parts import any_of
from geosvc.sql.compose import SQL, Composable, Identifier, Param
from geosvc.values.parsing import check_value

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
_SWAPPED: Mapping[ComparisonOperator, ComparisonOperator] = {
    "=": "=",
    "<>": "<>",
    "<": ">",
    "<=": ">=",
    ">": "<",
    ">=": "<=",
}
_IS_ON_DAY = SQL("({value} >= {start} AND {value} < {next_start})")
_IS_NOT_ON_DAY = SQL("({value} < {start} OR {value} >= {next_start})")
_ParamType = tuple[str, Identifier | None]
"""The type of a parameter, and the type that it is cast to."""

_INT8: _ParamType = ("int8", None)
_NUMERIC: _ParamType = ("numeric", None)
# The type of a parameter is a literal in the source code (`sql.compose`).
_ARRAY_PARAMS: Mapping[str, Callable[[list[object]], Param]] = {
    "int8": lambda values: Param(values, "int8[]"),
    "numeric": lambda values: Param(values, "numeric[]"),
    "float4": lambda values: Param(values, "float4[]"),
    "float8": lambda values: Param(values, "float8[]"),
    "bool": lambda values: Param(values, "bool[]"),
    "date": lambda values: Param(values, "date[]"),
    "timestamp": lambda values: Param(values, "timestamp[]"),
    "timestamptz": lambda values: Param(values, "timestamptz[]"),
}


def compare(scope: FilterScope, node: Comparison) -> Composable:
    """Write a comparison of two values. Raises: InvalidFilter."""
    left = operand(scope, node.left)
    right = operand(scope, node.right)
    return _compare(node.op, left, right)


def _compare(
    op: ComparisonOperator,
    left: Operand,
    right: Operand,
) -> Composable:
    left, right = make_comparable(left, right)
    if left.kind is ValueKind.TEXT:
        return _compare_texts(op, left, right)
    if left.kind in (ValueKind.DATE, ValueKind.TIMESTAMP):
        return _compare_instants(op, left, right)
    return _OPERATORS[op].format(left.sql, right.sql)


def _compare_texts(
    op: ComparisonOperator,
    left: Operand,
    right: Operand,
) -> Composable:
    has_literal = left.literal is not None or right.literal is not None
    if op not in ("=", "<>") or not has_literal:
        return _BY_CODE_POINT[op].format(left.sql, right.sql)
    value = left
    text = right.literal
    if not isinstance(text, Text):
        value = right
        text = left.literal
    if isinstance(text, Text):
        _check_enum_label(value, text)
        if op == "=":
            return equal_to_texts(value, [text.value])
    return _OPERATORS[op].format(left.sql, right.sql)


def _check_enum_label(value: Operand, text: Text) -> None:
    """Refuse a text that is not a label of the enum: most likely it is mistyped.

    Raises: InvalidFilter.
    """
    column = value.column
    if column is None or column.enum is None:
        return
    try:
        check_value(column, text.value, column.name)
    except InvalidParameter as error:
        raise InvalidFilter(error.detail, text.at) from None


def _compare_instants(
    op: ComparisonOperator,
    left: Operand,
    right: Operand,
) -> Composable:
    operator = _OPERATORS[op]
    if left.kind is right.kind:
        first = _instant(left, other=right)
        second = _instant(right, other=left)
        return operator.format(first, second)
    if left.kind is ValueKind.DATE:
        return _compare_instants(_SWAPPED[op], right, left)
    if isinstance(right.literal, Date):
        return _compare_with_day(op, left, right.literal.value)
    if isinstance(left.literal, Timestamp):
        day = left.literal.value.date()
        return operator.format(write_date(day), right.sql)
    day_of_value = SQL("({} AT TIME ZONE 'UTC')::date").format(_with_time_zone(left))
    return operator.format(day_of_value, right.sql)


def _with_time_zone(value: Operand) -> Composable:
    """Write a date as it is, a timestamp as timestamptz."""
    if value.is_naive_timestamp:
        return SQL("({} AT TIME ZONE 'UTC')").format(value.sql)
    return value.sql


def _instant(value: Operand, other: Operand) -> Composable:
    """Write a date or a timestamp that is compared with `other`, a literal as its type."""
    if isinstance(value.literal, Date | Timestamp):
        return _instant_param(value.literal, other)
    if other.is_naive_timestamp or other.literal is not None:
        return value.sql
    return _with_time_zone(value)


def _instant_param(literal: Date | Timestamp, other: Operand) -> Param:
    return write_instant(literal.value, _column_type(other))


def _column_type(value: Operand) -> str:
    if value.column is None:
        return ""
    return value.column.type_name


def _compare_with_day(
    op: ComparisonOperator,
    value: Operand,
    day: date,
) -> Composable:
    """Compare a timestamp with the beginning and the end of a day, so that an index serves."""
    start, next_start = write_day(day, _column_type(value))
    if op in ("=", "<>"):
        template = _IS_NOT_ON_DAY
        if op == "=":
            template = _IS_ON_DAY
        return template.format(value=value.sql, start=start, next_start=next_start)
    if op == "<=":
        return _OPERATORS["<"].format(value.sql, next_start)
    if op == ">":
        return _OPERATORS[">="].format(value.sql, next_start)
    return _OPERATORS[op].format(value.sql, start)


def between(scope: FilterScope, node: Between) -> Composable:
    """Write the condition that a value lies between two others. Raises: InvalidFilter."""
    value = operand(scope, node.value)
    low = operand(scope, node.low)
    high = operand(scope, node.high)
    is_above = _compare(">=", value, low)
    is_below = _compare("<=", value, high)
    return SQL("({} AND {})").format(is_above, is_below)


def one_of(scope: FilterScope, node: In) -> Composable:
    """Write the condition that a value is one of several. Raises: InvalidFilter.

    All literals of one type become one parameter.
    """
    value = operand(scope, node.value)
    conditions: list[Composable] = []
    texts: list[str] = []
    lists: dict[_ParamType, list[object]] = {}
    for member_node in node.among:
        member = operand(scope, member_node)
        left, right = make_comparable(value, member)
        param = _equality_param(left, right)
        if isinstance(right.literal, Text) and right.kind is ValueKind.TEXT:
            _check_enum_label(value, right.literal)
            texts.append(right.literal.value)
        elif param is not None:
            values = lists.setdefault((param.type, param.cast), [])
            values.append(param.value)
        else:
            conditions.append(_compare("=", left, right))
    if texts:
        conditions.append(equal_to_texts(value, texts))
    if value.number_type == "int8" and _INT8 in lists:
        # Numbers with a fraction equal no whole number, and no index would serve them.
        lists.pop(_NUMERIC, None)
    for param_type, values in lists.items():
        conditions.append(_equal_to_any(value, param_type, values))
    return SQL("({})").format(any_of(conditions))


def _equality_param(value: Operand, member: Operand) -> Param | None:
    """Return the parameter that = compares a value with; None where it takes more than =."""
    if member.literal is None:
        return None
    if value.kind is not member.kind or value.kind is ValueKind.TEXT:
        return None
    if isinstance(member.literal, Date | Timestamp):
        return _instant_param(member.literal, value)
    if isinstance(member.sql, Param):
        return member.sql
    return None


def _equal_to_any(
    value: Operand,
    param_type: _ParamType,
    values: list[object],
) -> Composable:
    type_name, cast = param_type
    compared = value.sql
    if type_name == "timestamptz":
        compared = _with_time_zone(value)
    if cast is not None:
        return SQL("({value} = ANY ({texts}::{kind}[]))").format(
            value=compared,
            texts=Param(values, "text[]"),
            kind=cast,
        )
    params = _ARRAY_PARAMS[type_name](values)
    return SQL("({} = ANY ({}))").format(compared, params)


def like(scope: FilterScope, node: Like) -> Composable:
    r"""Write the condition that a text matches a pattern, in which `\` escapes a character.

    Raises: InvalidFilter.
    """
    text = operand(scope, node.text)
    require_kind(text, ValueKind.TEXT)
    pattern = operand(scope, node.pattern)
    literal = node.pattern
    while isinstance(literal, Folded):
        literal = literal.text
    if isinstance(literal, Text) and _ends_with_escape(literal.value):
        raise InvalidFilter(
            "the pattern ends with a backslash, which takes the next character as it is",
            literal.at,
        )
    return SQL("({} LIKE {})").format(text.sql, pattern.sql)


def _ends_with_escape(pattern: str) -> bool:
    backslashes = len(pattern) - len(pattern.rstrip("\\"))
    return backslashes % 2 == 1
