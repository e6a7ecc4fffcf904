"""What a filter says of a row, worked out in Python from its tree:

None is unknown, and SQL is nowhere.

A row is a mapping of names to values: str, int, Decimal, float, numpy.float32, bool, date, datetime
(UTC), UUID, frozenset of elements, or a shape; None where there is none.
"""

import math
import operator
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any
from uuid import UUID

import numpy as np
import shapely

from geosvc.cql2.tree import (
    And,
    Arithmetic,
    Array,
    ArrayPredicate,
    Between,
    Boolean,
    Comparison,
    Date,
    Folded,
    Function,
    Geometry,
    In,
    IntervalLiteral,
    IsNull,
    Like,
    Not,
    Number,
    Or,
    Property,
    Spatial,
    Temporal,
    Text,
    Timestamp,
)

Row = Mapping[str, Any]
Truth = bool | None
DAYS = frozenset({"day"})  # the names of properties that are days
_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MARKS = ((0x0300, 0x036F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F))


def holds(node: Any, row: Row) -> Truth:  # noqa: C901, PLR0911 - one case a kind of node
    """Whether the condition holds for the row; None where that is unknown."""
    match node:
        case And():
            return _all(holds(each, row) for each in node.args)
        case Or():
            return _not(_all(_not(holds(each, row)) for each in node.args))
        case Not():
            return _not(holds(node.arg, row))
        case Comparison():
            return _compare(
                node.op, value_of(node.left, row), value_of(node.right, row), node.left, node.right
            )
        case Between():
            value, low, high = (value_of(each, row) for each in (node.value, node.low, node.high))
            return _all(
                (
                    _compare(">=", value, low, node.value, node.low),
                    _compare("<=", value, high, node.value, node.high),
                )
            )
        case In():
            value = value_of(node.value, row)
            among = (
                _compare("=", value, value_of(each, row), node.value, each) for each in node.among
            )
            return _not(_all(map(_not, among)))
        case Like():
            text, pattern = value_of(node.text, row), value_of(node.pattern, row)
            return (
                None
                if text is None
                else re.fullmatch(_expression(pattern), text, re.DOTALL) is not None
            )
        case IsNull():
            return value_of(node.value, row) is None
        case Spatial():
            return _spatial(node.op, value_of(node.left, row), value_of(node.right, row))
        case Temporal():
            return _temporal(
                node.op,
                _ends(node.left, row),
                _ends(node.right, row),
                _by_day(node.left) and _by_day(node.right),
            )
        case ArrayPredicate():
            return _arrays(node.op, value_of(node.left, row), value_of(node.right, row))
    truth = value_of(node, row)
    assert truth is None or isinstance(truth, bool), node
    return truth


def _not(truth: Truth) -> Truth:
    return None if truth is None else not truth


def _all(truths: Any) -> Truth:
    every = list(truths)
    return False if False in every else None if None in every else True


def value_of(node: Any, row: Row) -> Any:  # noqa: PLR0911 - one case a kind of node
    """The value of a scalar, an array or a geometry; None where there is none."""
    match node:
        case Property():
            return row[node.name]
        case Text() | Number() | Boolean() | Date() | Timestamp():
            return node.value
        case Geometry():
            return shapely.from_geojson(node.ewkb)
        case Array():
            return frozenset(value_of(each, row) for each in node.elements)
        case Folded():
            text = value_of(node.text, row)
            return (
                None
                if text is None
                else (text.casefold() if node.what == "casei" else _without_accents(text))
            )
        case Arithmetic():
            with localcontext(prec=80):
                return _calculate(node.op, value_of(node.left, row), value_of(node.right, row))
        case Function():
            args = [value_of(each, row) for each in node.args]
            return None if None in args else _FUNCTIONS[node.name](*args)
    raise TypeError(node)


def _without_accents(text: str) -> str:
    kept = (
        each
        for each in unicodedata.normalize("NFD", text)
        if not any(low <= ord(each) <= high for low, high in _MARKS)
    )
    return unicodedata.normalize("NFC", "".join(kept))


def _calculate(op: str, left: Any, right: Any) -> Any:
    if left is None or right is None:
        return None
    floats = (
        isinstance(left, float | np.float32) or isinstance(right, float | np.float32) or op == "^"
    )
    x: Any
    y: Any
    x, y = (float(each) if floats else Decimal(each) for each in (left, right))
    if op == "^":
        return None if (x == 0 and y < 0) or (x < 0 and y != math.floor(y)) else x**y
    if op in ("/", "div", "%") and y == 0:
        return None
    if op == "%":
        return Decimal(repr(x) if floats else x) % Decimal(repr(y) if floats else y)
    quotient: Any = operator.truediv(x, y) if op in ("/", "div") else None
    if op == "div":
        return float(math.trunc(quotient)) if floats else Decimal(math.trunc(quotient))
    return (
        quotient
        if op == "/"
        else {"+": operator.add, "-": operator.sub, "*": operator.mul}[op](x, y)
    )


def _instant(value: Any) -> datetime:
    return (
        value.replace(tzinfo=UTC)
        if isinstance(value, datetime)
        else datetime.combine(value, time(), UTC)
    )


def _calculable(number: Any) -> Any:
    """Whole numbers as decimal ones, and the others as they are in 64 bits."""
    return Decimal(number) if isinstance(number, int | Decimal) else float(number)


def _rounded(number: Any) -> Any:
    """Halves go away from zero in decimal numbers, and to the even neighbour in binary ones."""
    if isinstance(number, Decimal):
        return number.to_integral_value(ROUND_HALF_UP) if number.is_finite() else number
    return float(round(number)) if math.isfinite(number) else number


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "lower": str.lower,
    "upper": str.upper,
    "trim": lambda text: text.strip(" "),
    "length": lambda text: Decimal(len(text)),
    "starts_with": str.startswith,
    "contains_text": operator.contains,
    "abs": lambda number: abs(_calculable(number)),
    "floor": lambda number: (
        number if not math.isfinite(number) else type(_calculable(number))(math.floor(number))
    ),
    "ceil": lambda number: (
        number if not math.isfinite(number) else type(_calculable(number))(math.ceil(number))
    ),
    "round": lambda number: _rounded(_calculable(number)),
    "year": lambda value: Decimal(_instant(value).year),
    "month": lambda value: Decimal(_instant(value).month),
    "day": lambda value: Decimal(_instant(value).day),
    "hour": lambda value: Decimal(_instant(value).hour),
}


def _compare(op: str, left: Any, right: Any, left_node: Any, right_node: Any) -> Truth:
    if left is None or right is None:
        return None
    left, right = _fitted(left, right, right_node), _fitted(right, left, left_node)
    if isinstance(left, datetime) != isinstance(
        right, datetime
    ):  # a day and an instant compare as days
        left, right = (
            each.date() if isinstance(each, datetime) else each for each in (left, right)
        )
    if (
        isinstance(left, float)
        and isinstance(right, float)
        and (math.isnan(left) or math.isnan(right))
    ):
        left, right = (
            math.isnan(left),
            math.isnan(right),
        )  # as PostgreSQL has it: NaN is more than everything else
    return bool(_COMPARED[op](left, right))


def _fitted(value: Any, other: Any, other_node: Any) -> Any:
    """A value beside another: a literal is as exact as what it is compared with."""
    if isinstance(value, np.float32):
        return float(value)
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        if isinstance(other, np.float32) and isinstance(value, Decimal):
            return float(np.float32(value))
        return float(value) if isinstance(other, float) else Decimal(value)
    if isinstance(value, str) and isinstance(other, UUID):
        return UUID(value)
    if isinstance(value, str) and isinstance(other, date):
        return datetime.fromisoformat(value) if "T" in value else date.fromisoformat(value)
    return value


def _expression(pattern: str) -> str:
    """The regular expression of a pattern."""
    found, characters = "", iter(pattern)
    for each in characters:
        found += {"%": ".*", "_": "."}.get(each) or re.escape(
            next(characters) if each == "\\" else each
        )
    return found


def _spatial(op: str, left: Any, right: Any) -> Truth:
    return None if left is None or right is None else bool(getattr(shapely, op)(left, right))


def _arrays(op: str, left: Any, right: Any) -> Truth:
    if left is None or right is None:
        return None
    # an element that is unknown equals nothing
    within, around = (
        (left - {None} == left and left <= right),
        (right - {None} == right and right <= left),
    )
    overlapping = bool((left & right) - {None})
    return bool(
        {
            "contains": around,
            "containedby": within,
            "equals": within and around,
            "overlaps": overlapping,
        }[op]
    )


_UNBOUNDED = object()


def _ends(node: Any, row: Row) -> tuple[Any, Any]:
    if isinstance(node, IntervalLiteral):
        return tuple(
            _UNBOUNDED if each is None else value_of(each, row) for each in (node.start, node.end)
        )  # type: ignore[return-value]  # two
    value = value_of(node, row)
    return value, value


def _by_day(node: Any) -> bool:
    if isinstance(node, IntervalLiteral):
        return all(each is None or _by_day(each) for each in (node.start, node.end))
    return isinstance(node, Date) or (isinstance(node, Property) and node.name in DAYS)


def _temporal(op: str, first: tuple[Any, Any], second: tuple[Any, Any], by_day: bool) -> Truth:
    (s1, e1), (s2, e2) = ([_number(each, by_day, last) for each, last in zip(ends, (False, True), strict=True)]
                          for ends in (first, second))  # fmt: skip
    lt, eq = _less, _same
    tests: Mapping[str, Callable[[], Sequence[Truth]]] = {
        "after": lambda: [lt(e2, s1)],
        "before": lambda: [lt(e1, s2)],
        "equals": lambda: [eq(s1, s2), eq(e1, e2)],
        "intersects": lambda: [_not(lt(e2, s1)), _not(lt(e1, s2))],
        "contains": lambda: [lt(s1, s2), lt(e2, e1)],
        "during": lambda: [lt(s2, s1), lt(e1, e2)],
        "finishedby": lambda: [lt(s1, s2), eq(e1, e2)],
        "finishes": lambda: [lt(s2, s1), eq(e1, e2)],
        "meets": lambda: [eq(e1, s2)],
        "metby": lambda: [eq(s1, e2)],
        "overlappedby": lambda: [lt(s2, s1), lt(s1, e2), lt(e2, e1)],
        "overlaps": lambda: [lt(s1, s2), lt(s2, e1), lt(e1, e2)],
        "startedby": lambda: [eq(s1, s2), lt(e2, e1)],
        "starts": lambda: [eq(s1, s2), lt(e1, e2)],
    }
    if op == "disjoint":
        return _not(_all(tests["intersects"]()))
    return _all(tests[op]())


def _number(value: Any, by_day: bool, last: bool) -> float | None:
    if value is _UNBOUNDED:
        return math.inf if last else -math.inf
    if value is None:
        return None
    if by_day:
        return value.toordinal()  # type: ignore[no-any-return]  # a whole number
    if not isinstance(value, datetime):
        value = datetime.combine(value, time.max if last else time(), UTC)
    return (value - datetime(1, 1, 1, tzinfo=UTC)) // (datetime.resolution)  # type: ignore[no-any-return]  # a whole number


def _less(left: float | None, right: float | None) -> Truth:
    return None if left is None or right is None else left < right


def _same(left: float | None, right: float | None) -> Truth:
    return None if left is None or right is None else left == right
