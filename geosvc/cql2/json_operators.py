"""The operators of CQL2 JSON: how many arguments each takes, and which node it becomes.

`and`, `or` and `in` are not among them, because they take lists.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from geosvc.cql2.names import ARRAY, COMPARISONS, PRODUCTS, SPATIAL, SUMS, TEMPORAL
from geosvc.cql2.narrowing import as_condition, as_scalar, as_value
from geosvc.cql2.tree import (
    Arithmetic,
    ArrayPredicate,
    Between,
    Comparison,
    Folded,
    IsNull,
    Like,
    Node,
    Not,
    Scalar,
    Spatial,
    Temporal,
    Text,
    Value,
)
from geosvc.errors import InvalidFilter

AnyOperator = TypeVar("AnyOperator", bound=str)


@dataclass(frozen=True, slots=True)
class JsonOperation:
    """An operator with its arguments.

    Attributes:
        op: the name of the operator.
        args: as many as the operator takes.
        at: the pointer to the operation.
    """

    op: str
    args: Sequence[Node]
    at: str

    def scalars(self) -> list[Scalar]:
        """The arguments, which must be single values. Raises: InvalidFilter."""
        return [as_scalar(arg) for arg in self.args]

    def values(self) -> list[Value]:
        """The arguments, which must be values. Raises: InvalidFilter."""
        return [as_value(arg) for arg in self.args]


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator of CQL2.

    Attributes:
        count: how many arguments it takes.
        make: makes the node of an operation. It raises InvalidFilter.
    """

    count: int
    make: Callable[[JsonOperation], Node]


def check_count(op: str, args: Sequence[Any], count: int, at: str) -> None:
    """Checks that an operator has as many arguments as it takes. Raises: InvalidFilter."""
    if len(args) != count:
        noun = "argument" if count == 1 else "arguments"
        raise InvalidFilter(f"{op} takes {count} {noun}, not {len(args)}", f"{at}/args")


def _by_json_name(operators: Mapping[str, AnyOperator]) -> dict[str, AnyOperator]:
    """The operators by their names in JSON: T_FINISHEDBY in text is t_finishedBy in JSON."""
    by_name: dict[str, AnyOperator] = {}
    for name, operator in operators.items():
        json_name = name.lower()
        if json_name.endswith("by"):
            json_name = json_name.removesuffix("by") + "By"
        by_name[json_name] = operator
    return by_name


_ARITHMETIC = _by_json_name({**SUMS, **PRODUCTS, "^": "^"})
_SPATIAL = _by_json_name(SPATIAL)
_TEMPORAL = _by_json_name(TEMPORAL)
_ARRAY = _by_json_name(ARRAY)


def _make_comparison(operation: JsonOperation) -> Node:
    left, right = operation.scalars()
    operator = COMPARISONS[operation.op]
    return Comparison(operator, left, right, at=operation.at)


def _make_arithmetic(operation: JsonOperation) -> Node:
    left, right = operation.scalars()
    operator = _ARITHMETIC[operation.op]
    return Arithmetic(operator, left, right, at=operation.at)


def _make_spatial(operation: JsonOperation) -> Node:
    left, right = operation.values()
    operator = _SPATIAL[operation.op]
    return Spatial(operator, left, right, at=operation.at)


def _make_temporal(operation: JsonOperation) -> Node:
    left, right = operation.values()
    operator = _TEMPORAL[operation.op]
    return Temporal(operator, left, right, at=operation.at)


def _make_array_predicate(operation: JsonOperation) -> Node:
    left, right = operation.values()
    operator = _ARRAY[operation.op]
    return ArrayPredicate(operator, left, right, at=operation.at)


def _make_not(operation: JsonOperation) -> Node:
    arg = as_condition(operation.args[0])
    return Not(arg, at=operation.at)


def _make_is_null(operation: JsonOperation) -> Node:
    (value,) = operation.values()
    return IsNull(value, at=operation.at)


def _make_casei(operation: JsonOperation) -> Node:
    (text,) = operation.scalars()
    return Folded("casei", text, at=operation.at)


def _make_accenti(operation: JsonOperation) -> Node:
    (text,) = operation.scalars()
    return Folded("accenti", text, at=operation.at)


def _make_like(operation: JsonOperation) -> Node:
    text, pattern = operation.scalars()
    innermost = pattern
    while isinstance(innermost, Folded):
        innermost = innermost.text
    if not isinstance(innermost, Text):
        raise InvalidFilter("a pattern was expected", f"{operation.at}/args/1")
    return Like(text, pattern, at=operation.at)


def _make_between(operation: JsonOperation) -> Node:
    value, low, high = operation.scalars()
    return Between(value, low, high, at=operation.at)


OPERATORS: Mapping[str, Operator] = {
    **dict.fromkeys(COMPARISONS, Operator(2, _make_comparison)),
    **dict.fromkeys(_ARITHMETIC, Operator(2, _make_arithmetic)),
    **dict.fromkeys(_SPATIAL, Operator(2, _make_spatial)),
    **dict.fromkeys(_TEMPORAL, Operator(2, _make_temporal)),
    **dict.fromkeys(_ARRAY, Operator(2, _make_array_predicate)),
    "not": Operator(1, _make_not),
    "isNull": Operator(1, _make_is_null),
    "casei": Operator(1, _make_casei),
    "accenti": Operator(1, _make_accenti),
    "like": Operator(2, _make_like),
    "between": Operator(3, _make_between),
}
