"""The conditions that the features of a query fulfil."""

from collections.abc import Iterator
from datetime import datetime

from geosvc.model.collection import Collection, Column, TypedName
from geosvc.query.cql2.condition import filter_condition
from geosvc.query.cql2.timestamp_params import write_instant
from geosvc.query.geometry.boxes import bbox_condition
from geosvc.query.geometry.expressions import GeometryTest
from geosvc.query.geometry.spatial import spatial_condition
from geosvc.query.sql_parts import all_of, row_column, type_name
from geosvc.requests.items import ItemsQuery
from geosvc.sql.compose import PLANNED_BY_VALUES, SQL, Composable, Param
from geosvc.values.temporal import Interval


def cast_text(typed: TypedName, text: str | None) -> Param:
    """Write a text that PostgreSQL casts to a type, so that values are compared as that type."""
    return Param(text, "text", type_name(typed))


def query_conditions(
    collection: Collection,
    query: ItemsQuery,
    geometry_test: GeometryTest = GeometryTest.EXACT,
) -> Iterator[Composable]:
    """Yield the conditions of a query; a feature must fulfil all of them.

    The best plan depends on their values, and on the arguments of a function.

    Args:
        geometry_test: how geometries are compared.
    """
    if query.values_decide_plan:
        yield PLANNED_BY_VALUES
    if query.bbox is not None:
        yield bbox_condition(collection.geometry, query.bbox, geometry_test, matches_null=True)
    if query.spatial is not None:
        yield spatial_condition(collection, query.spatial, geometry_test)
    if query.interval is not None:
        by_time = time_condition(collection, query.interval)
        if by_time is not None:
            yield by_time
    if query.filter is not None:
        yield filter_condition(collection, query.filter, geometry_test)
    for name, text in query.equals:
        value = cast_text(collection.by_name[name], text)
        yield SQL("{} = {}").format(row_column(name), value)


def time_condition(collection: Collection, interval: Interval) -> Composable | None:
    """Write the condition that the time of a feature intersects the interval, or is NULL.

    An interval of a feature is unbounded where its start or its end is NULL. Returns None where the
    interval selects everything. Source: OGC 17-069r4 7.15.4, requirement C.
    """
    if not collection.temporal:
        return None
    first = collection.by_name[collection.temporal[0]]
    last = collection.by_name[collection.temporal[-1]]
    conditions = []
    if interval.end is not None:
        starts_before = _compare_time(SQL("{} <= {}"), first, interval.end)
        conditions.append(starts_before)
    if interval.start is not None:
        ends_after = _compare_time(SQL("{} >= {}"), last, interval.start)
        conditions.append(ends_after)
    if not conditions:
        return None
    return all_of(conditions)


def _compare_time(comparison: SQL, column: Column, instant: datetime) -> Composable:
    """Write a comparison that is true where the column has no value."""
    value = row_column(column.name)
    compared = comparison.format(value, _write_instant(column, instant))
    if column.not_null:
        return compared
    return SQL("({} OR {} IS NULL)").format(compared, value)


def _write_instant(column: Column, instant: datetime) -> Param:
    """Write an instant as the type of a column; timestamps without a time zone are UTC."""
    if column.type_name == "date":
        return write_instant(instant.date(), column.type_name)
    return write_instant(instant, column.type_name)


def where_clause(conditions: list[Composable]) -> Composable:
    """Write a WHERE clause; nothing without conditions."""
    if not conditions:
        return SQL("")
    return SQL(" WHERE {}").format(all_of(conditions))
