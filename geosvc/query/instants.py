"""How two times of a filter lie to each other, in SQL. Source: OGC 21-065r2 7.8, OWL-Time.

An instant is an interval whose ends are alike; intervals are closed. Days compare as days; where one of the two is finer than a
day, a day goes from its first to its last microsecond. Timestamps without a zone are UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Literal

from geosvc.cql2.tree import Date, Interval, Scalar, Temporal, TemporalOperator, Timestamp, Value
from geosvc.errors import InvalidFilter
from geosvc.model.collection import Collection
from geosvc.model.queryables import ValueKind
from geosvc.query.moments import write_timestamp
from geosvc.query.operands import Operand, midnight, operand
from geosvc.sql.compose import SQL, Composable

Grain = Literal["date", "timestamp", "timestamptz"]
_INSTANTS = (ValueKind.DATE, ValueKind.TIMESTAMP)
# s1, e1: the ends of the first; s2, e2: those of the second
_TESTS: Mapping[TemporalOperator, SQL] = {
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
_UNBOUNDED: Mapping[tuple[Grain, bool], SQL] = {
    ("date", False): SQL("'-infinity'::date"),
    ("date", True): SQL("'infinity'::date"),
    ("timestamp", False): SQL("'-infinity'::timestamp"),
    ("timestamp", True): SQL("'infinity'::timestamp"),
    ("timestamptz", False): SQL("'-infinity'::timestamptz"),
    ("timestamptz", True): SQL("'infinity'::timestamptz"),
}
_END_OF_DAY = time(23, 59, 59, 999_999)


@dataclass(frozen=True, slots=True)
class _Extent:
    """The ends of a time; None is unbounded."""

    start: Operand | None
    end: Operand | None


def _end(collection: Collection, node: Scalar | None) -> Operand | None:
    if node is None:
        return None
    value = operand(collection, node)
    if value.kind not in _INSTANTS:
        raise InvalidFilter(f"a date or a timestamp was expected, not {value.kind.value}", node.at)
    return value


def _extent(collection: Collection, node: Value, op: TemporalOperator) -> _Extent:
    if isinstance(node, Interval):
        start, end = node.start, node.end
        if isinstance(start, Date | Timestamp) and isinstance(end, Date | Timestamp) and _first(start) > _first(end):
            raise InvalidFilter("the interval starts after its end", node.at)
        return _Extent(_end(collection, start), _end(collection, end))
    if not isinstance(node, Scalar):
        raise InvalidFilter("a date, a timestamp or an interval was expected", node.at)
    if op not in _OF_INSTANTS:
        raise InvalidFilter(f"an interval was expected: T_{op.upper()} knows no instants", node.at)
    instant = _end(collection, node)
    return _Extent(instant, instant)


def _first(node: Date | Timestamp) -> datetime:
    return _moment(node.value, last=False)


def _moment(value: date, last: bool) -> datetime:
    if isinstance(value, datetime):
        return value
    return datetime.combine(value, _END_OF_DAY if last else time(), tzinfo=UTC)


def _grain(ends: list[Operand]) -> Grain:
    """What all of them can be compared as."""
    if all(end.kind is ValueKind.DATE for end in ends):
        return "date"
    finer = [end for end in ends if end.kind is ValueKind.TIMESTAMP and end.literal is None]
    naive = [end.column is not None and end.column.type_name == "timestamp" for end in finer]
    return "timestamp" if naive and all(naive) else "timestamptz"


def _write(end: Operand | None, grain: Grain, last: bool) -> Composable:
    if end is None:
        return _UNBOUNDED[grain, last]
    if grain == "date":
        return end.sql
    if isinstance(end.literal, Date | Timestamp):
        moment = _moment(end.literal.value, last)
        return write_timestamp(moment, grain)
    sql = end.sql
    naive = end.column is not None and end.column.type_name == "timestamp"
    if end.kind is ValueKind.DATE:
        sql, naive = midnight(sql), True
        if last:
            sql = SQL("({} + interval '1 day' - interval '1 microsecond')").format(sql)
    return SQL("({} AT TIME ZONE 'UTC')").format(sql) if naive and grain == "timestamptz" else sql


def relate_times(collection: Collection, node: Temporal) -> Composable:
    """How two times lie to each other. Raises: InvalidFilter."""
    first, second = _extent(collection, node.left, node.op), _extent(collection, node.right, node.op)
    ends = [end for end in (first.start, first.end, second.start, second.end) if end is not None]
    grain = _grain(ends) if ends else "timestamptz"
    return _TESTS[node.op].format(
        s1=_write(first.start, grain, last=False),
        e1=_write(first.end, grain, last=True),
        s2=_write(second.start, grain, last=False),
        e2=_write(second.end, grain, last=True),
    )
