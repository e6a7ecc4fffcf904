"""Single values of a filter in SQL.

Every value has a kind (a number, a text, a date), so that values that cannot be compared are
refused before the database sees them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

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
from geosvc.errors import InvalidFilter
from geosvc.filter_functions import FilterFunction
from geosvc.model.collection import Collection, Column
from geosvc.model.queryables import Queryable, ValueKind, queryable
from geosvc.model.similar_names import did_you_mean
from geosvc.model.type_names import FLOATS
from geosvc.query.cql2.case_folding import without_accents, without_case
from geosvc.query.cql2.filter_scope import FilterScope
from geosvc.query.cql2.timestamp_params import write_date, write_timestamp
from geosvc.query.sql_parts import row_column
from geosvc.sql.compose import SQL, Composable, Param

NumberType = Literal["int8", "numeric", "float4", "float8"]
LiteralNode = Text | Number | Boolean | Date | Timestamp

_GEOMETRY_NAMES = frozenset({"geometry", "geom", "the_geom", "wkb_geometry", "shape", "msgeometry"})
_PLAIN_TEXTS = frozenset({"text", "varchar"})
_NUMBER_TYPES: dict[str, NumberType] = {
    "float4": "float4",
    "float8": "float8",
    "numeric": "numeric",
}
_ARITHMETIC = {
    "+": SQL("({} + {})"),
    "-": SQL("({} - {})"),
    "*": SQL("({} * {})"),
    "/": SQL("({} / nullif({}, 0))"),
}
_INTEGER_DIVISION = {
    "numeric": SQL("div({}, nullif({}, 0))"),
    "float8": SQL("trunc({} / nullif({}, 0))"),
}
_REMAINDER = SQL("({}::numeric % nullif({}::numeric, 0))")
# Functions refuse two texts of different collations, and texts of a non-deterministic collation.
_BY_CODE_POINT = SQL('({} COLLATE "C")')
# The range of dates is wider than the range of timestamps: a later day becomes infinity.
_MIDNIGHT = SQL("(CASE WHEN {d} > '294276-12-30' THEN 'infinity' ELSE {d}::timestamp END)")
_POWER = SQL(
    "(SELECT CASE WHEN p.x = 0 AND p.y < 0 OR p.x < 0 AND p.y <> floor(p.y)"
    " THEN NULL ELSE power(p.x, p.y) END FROM (SELECT {x} AS x, {y} AS y OFFSET 0) p)"
)
_AT_UTC = SQL("({} AT TIME ZONE 'UTC')")
_LITERAL_KINDS: Mapping[type[LiteralNode], ValueKind] = {
    Text: ValueKind.TEXT,
    Number: ValueKind.NUMBER,
    Boolean: ValueKind.BOOLEAN,
    Date: ValueKind.DATE,
    Timestamp: ValueKind.TIMESTAMP,
}


@dataclass(frozen=True, slots=True)
class Operand:
    """A single value of a filter.

    Attributes:
        sql: the value in SQL.
        node: the value in the tree of the filter, which knows its position.
        column: the column, if the value is a property.
        literal: the literal, if the value is one.
        number_type: the type of a number that is not a literal.
    """

    sql: Composable
    kind: ValueKind
    node: Node
    column: Column | None = None
    literal: LiteralNode | None = None
    number_type: NumberType | None = None

    @property
    def is_naive_timestamp(self) -> bool:
        """Whether it is a column of timestamps without a time zone, which are UTC."""
        return self.column is not None and self.column.type_name == "timestamp"


def find_queryable(collection: Collection, node: Property) -> Queryable:
    """Find the queryable that a property of a filter names. Raises: InvalidFilter."""
    found = queryable(collection, node.name)
    if found is not None:
        return found
    column = collection.by_name.get(node.name)
    if column is not None:
        raise InvalidFilter(
            f"{collection.id} cannot be filtered by {node.name!r}, whose type is {column.type}",
            node.at,
        )
    if node.name.lower() in _GEOMETRY_NAMES:
        hint = f": the geometry is called {collection.geometry.name}"
    else:
        hint = did_you_mean(node.name, [*collection.by_name, collection.geometry.name])
    raise InvalidFilter(f"{collection.id} has no property {node.name!r}{hint}", node.at)


def operand(scope: FilterScope, node: Scalar) -> Operand:
    """Write a single value in SQL. Raises: InvalidFilter."""
    if isinstance(node, Property):
        return _property(scope.collection, node)
    if isinstance(node, Arithmetic):
        return _arithmetic(scope, node)
    if isinstance(node, Folded):
        return _folded(scope, node)
    if isinstance(node, Function):
        return _function(scope, node)
    return literal_operand(node)


def literal_operand(literal: LiteralNode) -> Operand:
    """Write a literal as a parameter."""
    kind = _LITERAL_KINDS[type(literal)]
    return Operand(_literal_param(literal), kind, literal, literal=literal)


def _literal_param(literal: LiteralNode) -> Param:
    if isinstance(literal, Text):
        return Param(literal.value, "text")
    if isinstance(literal, Number):
        return Param(literal.value, "numeric")
    if isinstance(literal, Boolean):
        return Param(literal.value, "bool")
    if isinstance(literal, Date):
        return write_date(literal.value)
    return write_timestamp(literal.value, "timestamptz")


def require_kind(value: Operand, kind: ValueKind) -> None:
    """Refuse a value of another kind. Raises: InvalidFilter."""
    if value.kind is not kind:
        raise InvalidFilter(f"{kind.value} was expected, not {value.kind.value}", value.node.at)


def _property(collection: Collection, node: Property) -> Operand:
    found = find_queryable(collection, node)
    column = found.column
    if column is None or found.kind is ValueKind.ARRAY:
        raise InvalidFilter(
            f"{node.name!r} is {found.kind.value}, and a single value was expected", node.at
        )
    value: Composable = row_column(node.name)
    number_type: NumberType | None = None
    if found.kind is ValueKind.TEXT:
        value = _text_of_column(column, value)
    elif found.kind is ValueKind.NUMBER:
        number_type = _NUMBER_TYPES.get(column.type_name, "int8")
    if column.type_name == "oid":
        value = SQL("{}::int8").format(value)
    return Operand(value, found.kind, node, column=column, number_type=number_type)


def _text_of_column(column: Column, value: Composable) -> Composable:
    """Write the value of a column as text, with a deterministic collation."""
    text = value
    if column.type_name not in _PLAIN_TEXTS:
        text = SQL("{}::text").format(value)
    if not column.deterministic:
        text = _BY_CODE_POINT.format(text)
    return text


def _folded(scope: FilterScope, node: Folded) -> Operand:
    text = operand(scope, node.text)
    require_kind(text, ValueKind.TEXT)
    if node.what == "casei":
        folded = without_case(text.sql)
    else:
        folded = without_accents(text.sql)
    return Operand(folded, ValueKind.TEXT, node)


def _function(scope: FilterScope, node: Function) -> Operand:
    function = _find_function(scope, node)
    args: list[Composable] = []
    number_type: NumberType = "numeric"
    for arg, kind in zip(node.args, function.takes, strict=True):
        if not isinstance(arg, Scalar):
            raise InvalidFilter(f"{kind.value} was expected", arg.at)
        value = operand(scope, arg)
        args.append(_argument(value, kind))
        if kind is ValueKind.NUMBER:
            number_type = _calculation_type(value)
    result = function.sql.format(*args)
    if function.returns is not ValueKind.NUMBER:
        return Operand(result, function.returns, node)
    return Operand(result, function.returns, node, number_type=number_type)


def _find_function(scope: FilterScope, node: Function) -> FilterFunction:
    """Find the function that a filter calls. Raises: InvalidFilter."""
    function = scope.functions.find(node.name)
    if function is None:
        hint = scope.functions.suggest(scope.collection.id, node.name)
        raise InvalidFilter(
            f"the service has no function {node.name!r}{hint};"
            " GET /functions returns the available ones",
            node.at,
        )
    expected = len(function.takes)
    if len(node.args) != expected:
        raise InvalidFilter(
            f"{function.name} takes {expected} arguments, not {len(node.args)}", node.at
        )
    return function


def _argument(value: Operand, kind: ValueKind) -> Composable:
    """Write an argument of a function that takes this kind. Raises: InvalidFilter."""
    if kind is ValueKind.TIMESTAMP:
        return _at_utc(value)
    require_kind(value, kind)
    if kind is ValueKind.NUMBER:
        return _cast_number(value, _calculation_type(value))
    if kind is ValueKind.TEXT:
        return _BY_CODE_POINT.format(value.sql)
    return value.sql


def midnight(day: Composable) -> Composable:
    """Write the beginning of a day as a timestamp without a time zone."""
    return _MIDNIGHT.format(d=day)


def _at_utc(value: Operand) -> Composable:
    """Write a date or a timestamp as timestamptz; a day begins at midnight UTC.

    Raises: InvalidFilter.
    """
    if value.kind is ValueKind.DATE:
        return _AT_UTC.format(midnight(value.sql))
    if value.is_naive_timestamp:
        return _AT_UTC.format(value.sql)
    require_kind(value, ValueKind.TIMESTAMP)
    return value.sql


def _arithmetic(scope: FilterScope, node: Arithmetic) -> Operand:
    left = operand(scope, node.left)
    require_kind(left, ValueKind.NUMBER)
    right = operand(scope, node.right)
    require_kind(right, ValueKind.NUMBER)
    number_type: NumberType = "numeric"
    has_float = left.number_type in FLOATS or right.number_type in FLOATS
    if node.op == "^" or has_float:
        number_type = "float8"
    x = _cast_number(left, number_type)
    y = _cast_number(right, number_type)
    result: Composable
    if node.op == "^":
        result = _POWER.format(x=x, y=y)
    elif node.op == "%":
        result = _REMAINDER.format(x, y)
        number_type = "numeric"
    elif node.op == "div":
        result = _INTEGER_DIVISION[number_type].format(x, y)
    else:
        result = _ARITHMETIC[node.op].format(x, y)
    return Operand(result, ValueKind.NUMBER, node, number_type=number_type)


def _calculation_type(value: Operand) -> NumberType:
    """Choose float8 for floats and numeric for others: whole numbers as numeric cannot overflow."""
    if value.number_type in FLOATS:
        return "float8"
    return "numeric"


def _cast_number(value: Operand, number_type: NumberType) -> Composable:
    """Write a number as float8 or numeric."""
    literal = value.literal
    if isinstance(literal, Number):
        if number_type == "float8":
            return Param(float(literal.value), "float8")
        return value.sql
    if value.number_type == number_type:
        return value.sql
    if number_type == "float8":
        return SQL("{}::float8").format(value.sql)
    return SQL("{}::numeric").format(value.sql)
