"""Temporal relations of a filter, in SQL. Source: OGC 21-065r2 7.8, OWL-Time.

An instant is an interval whose start and end are equal. Intervals are closed. Two dates are
compared as days. Where a date is compared with a timestamp, the day lasts from its first to its
last microsecond. Timestamps without a time zone are UTC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Literal

from geosvc.cql2.tree import (
    Date,
    IntervalLiteral,
    Scalar,
    Temporal,
    TemporalOperator,
    Timestamp,
    Value,
)
from geosvc.errors import InvalidFilter
from geosvc.model.queryables import ValueKind
from geosvc.query.cql2.filter_scope import FilterScope
from geosvc.query.cql2.operands import Operand, midnight, operand
from geosvc.query.cql2.timestamp_params import write_timestamp
from geosvc.sql.compose import SQL, Composable

InstantType = Literal["date", "timestamp", "timestamptz"]
_INSTANTS = (ValueKind.DATE, ValueKind.TIMESTAMP)
# s1 and e1 are the start and the end of the first time, s2 and e2 those of the second.
_RELATIONS: Mapping[TemporalOperator, SQL] = {
    "after": SQL("({s1} > {e2})"),
    "before": SQL("({e1} < {s2})"),
    "disjoint": SQL("({e1} < {s2} OR {s1} > {e2})"),
    "equals": SQL("({s1} = {s2} AND {e1} = {e2})"),
    "intersects": SQL("({s1} <= {e2} AND {e1} >= {s2})"),
    "contains": SQL("({s1} < {s2} AND {e1} > {e2})"),
    "during": SQL("({s1} > {s2} AND {e1} < {e2})"),
    "finishedby": SQL("({s1} < {s2} AND {e1} = {e2})"),
    "finishes": SQL("({s1} > {s2} AND {e1} = {e2})"),
    "meets": SQL("({e1} = {s2})"),
    "metby": SQL("({s1} = {e2})"),
    "overlappedby": SQL("({s1} > {s2} AND {s1} < {e2} AND {e1} > {e2})"),
    "overlaps": SQL("({s1} < {s2} AND {e1} > {s2} AND {e1} < {e2})"),
    "startedby": SQL("({s1} = {s2} AND {e1} > {e2})"),
    "starts": SQL("({s1} = {s2} AND {e1} < {e2})"),
}
_OF_INSTANTS = frozenset({"after", "before", "disjoint", "equals", "intersects"})
_UNBOUNDED: Mapping[tuple[InstantType, bool], SQL] = {
    ("date", False): SQL("'-infinity'::date"),
    ("date", True): SQL("'infinity'::date"),
    ("timestamp", False): SQL("'-infinity'::timestamp"),
    ("timestamp", True): SQL("'infinity'::timestamp"),
    ("timestamptz", False): SQL("'-infinity'::timestamptz"),
    ("timestamptz", True): SQL("'infinity'::timestamptz"),
}
_END_OF_DAY = time(23, 59, 59, 999_999)
_LAST_MICROSECOND = SQL("({} + interval '1 day' - interval '1 microsecond')")
"""The end of the day that begins then."""


@dataclass(frozen=True, slots=True)
class _Span:
    """The start and the end of a time; None is unbounded."""

    start: Operand | None
    end: Operand | None


def relate_times(scope: FilterScope, node: Temporal) -> Composable:
    """Write the temporal relation of two times. Raises: InvalidFilter."""
    first = _span(scope, node.left, node.op)
    second = _span(scope, node.right, node.op)
    instant_type = _common_type([first.start, first.end, second.start, second.end])
    return _RELATIONS[node.op].format(
        s1=_write(first.start, instant_type, is_end=False),
        e1=_write(first.end, instant_type, is_end=True),
        s2=_write(second.start, instant_type, is_end=False),
        e2=_write(second.end, instant_type, is_end=True),
    )


def _span(
    scope: FilterScope,
    node: Value,
    op: TemporalOperator,
) -> _Span:
    if isinstance(node, IntervalLiteral):
        _check_order(node)
        start = _instant(scope, node.start)
        end = _instant(scope, node.end)
        return _Span(start, end)
    if not isinstance(node, Scalar):
        raise InvalidFilter("a date, a timestamp or an interval was expected", node.at)
    if op not in _OF_INSTANTS:
        raise InvalidFilter(
            f"an interval was expected: T_{op.upper()} does not take instants", node.at
        )
    instant = _instant(scope, node)
    return _Span(instant, instant)


def _check_order(node: IntervalLiteral) -> None:
    """Refuse an interval of two literals that starts after its end. Raises: InvalidFilter."""
    if not isinstance(node.start, Date | Timestamp) or not isinstance(node.end, Date | Timestamp):
        return
    start = _as_timestamp(node.start.value, is_end=False)
    end = _as_timestamp(node.end.value, is_end=False)
    if start > end:
        raise InvalidFilter("the interval starts after its end", node.at)


def _instant(scope: FilterScope, node: Scalar | None) -> Operand | None:
    if node is None:
        return None
    value = operand(scope, node)
    if value.kind not in _INSTANTS:
        raise InvalidFilter(f"a date or a timestamp was expected, not {value.kind.value}", node.at)
    return value


def _as_timestamp(value: date, is_end: bool) -> datetime:
    """Return a timestamp as it is, the first or the last microsecond of a day."""
    if isinstance(value, datetime):
        return value
    clock = time()
    if is_end:
        clock = _END_OF_DAY
    return datetime.combine(value, clock, tzinfo=UTC)


def _common_type(instants: Sequence[Operand | None]) -> InstantType:
    """Choose the type as which all these instants can be compared."""
    bounded = [instant for instant in instants if instant is not None]
    if not bounded:
        return "timestamptz"
    if all(instant.kind is ValueKind.DATE for instant in bounded):
        return "date"
    has_naive = False
    for instant in bounded:
        if instant.is_naive_timestamp:
            has_naive = True
        elif instant.kind is ValueKind.TIMESTAMP and instant.literal is None:
            return "timestamptz"
    if has_naive:
        return "timestamp"
    return "timestamptz"


def _write(
    instant: Operand | None,
    instant_type: InstantType,
    is_end: bool,
) -> Composable:
    """Write the start or the end of a time as a value of this type."""
    if instant is None:
        return _UNBOUNDED[instant_type, is_end]
    if instant_type == "date":
        return instant.sql
    literal = instant.literal
    if isinstance(literal, Date | Timestamp):
        timestamp = _as_timestamp(literal.value, is_end)
        return write_timestamp(timestamp, instant_type)
    value = instant.sql
    is_naive = instant.is_naive_timestamp
    if instant.kind is ValueKind.DATE:
        is_naive = True
        value = midnight(value)
        if is_end:
            value = _LAST_MICROSECOND.format(value)
    if is_naive and instant_type == "timestamptz":
        return SQL("({} AT TIME ZONE 'UTC')").format(value)
    return value
